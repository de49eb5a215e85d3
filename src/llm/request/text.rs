//! How much text a request holds, what else it holds, and which text came last.

use std::io;

use serde_json::{Map, Value};

use super::super::endpoint::Endpoint;

/// Fields whose whole value the model reads as JSON or text.
const READ_AS_JSON: [&str; 4] = ["tools", "functions", "response_format", "output_config"];

/// Keys inside messages that name or locate things; the model does not read their values.
const NOT_READ: [&str; 16] = [
    "type",
    "role",
    "id",
    "tool_call_id",
    "tool_use_id",
    "call_id",
    "item_id",
    "status",
    "cache_control",
    "signature",
    "encrypted_content",
    "encrypted_index",
    "annotations",
    "logprobs",
    "detail",
    "media_type",
];

/// Keys inside messages whose values the model reads as JSON, keys and all.
const JSON_VALUES: [&str; 3] = ["input", "args", "parameters"];

/// What was found while walking through the parts a model reads.
#[derive(Debug, Default)]
pub(super) struct Reader {
    pub(super) bytes: u64,
    pub(super) non_ascii: u64,
    pub(super) tool_turns: bool,
    pub(super) media: bool,
}

impl Reader {
    pub(super) fn read(endpoint: Endpoint, fields: &Map<String, Value>) -> Self {
        let mut reader = Self::default();
        let read: &[&str] = match endpoint {
            Endpoint::ChatCompletions => &["messages"],
            Endpoint::Messages => &["system", "messages"],
            Endpoint::Responses => &["instructions", "input"],
            Endpoint::Completions => &["prompt", "suffix"],
            Endpoint::Embeddings => &["input"],
        };
        let tokens = matches!(endpoint, Endpoint::Completions | Endpoint::Embeddings);
        for value in read.iter().filter_map(|name| fields.get(*name)) {
            if tokens {
                reader.prompt(value)
            } else {
                reader.turns(value)
            }
        }
        for value in READ_AS_JSON.iter().filter_map(|name| fields.get(*name)) {
            reader.json(value);
        }
        if endpoint == Endpoint::Responses
            && let Some(format) = fields.get("text").and_then(|text| text.get("format"))
        {
            reader.json(format);
        }
        reader
    }

    fn text(&mut self, text: &str) {
        self.bytes += text.len() as u64;
        self.non_ascii += non_ascii(text.as_bytes());
    }

    /// A value the model sees written out.
    fn json(&mut self, value: &Value) {
        if !value.is_null() {
            // The writer below cannot fail, and neither can writing a value that was read from JSON.
            let _ = serde_json::to_writer(self, value);
        }
    }

    /// Text, texts, token ids, or lists of token ids.
    fn prompt(&mut self, value: &Value) {
        match value {
            Value::String(text) => self.text(text),
            Value::Number(_) => self.bytes += 4,
            Value::Array(items) => items.iter().for_each(|item| self.prompt(item)),
            Value::Object(_) => self.turns(value),
            Value::Null | Value::Bool(_) => {}
        }
    }

    /// Messages, items, parts and blocks of any dialect. Unknown forms are read too: a text too many is a better
    /// estimate than a text forgotten.
    fn turns(&mut self, value: &Value) {
        match value {
            Value::String(text) => self.text(text),
            Value::Array(items) => items.iter().for_each(|item| self.turns(item)),
            Value::Object(fields) => self.part(fields),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    fn part(&mut self, fields: &Map<String, Value>) {
        let word = |name| fields.get(name).and_then(Value::as_str).unwrap_or("");
        let kind = word("type");
        self.tool_turns |= matches!(word("role"), "tool" | "function")
            || super::filled_array(fields.get("tool_calls"))
            || fields.get("function_call").is_some_and(Value::is_object)
            || is_tool(kind);
        if is_media(kind) {
            self.media = true;
            // A document may be plain text after all; everything else inside is data or an address.
            let source = fields
                .get("source")
                .filter(|source| source.get("type").is_some_and(|kind| kind == "text"));
            if let Some(text) = source
                .and_then(|source| source.get("data"))
                .and_then(Value::as_str)
            {
                self.text(text);
            }
            return;
        }
        for (name, value) in fields {
            if NOT_READ.contains(&name.as_str()) {
                continue;
            }
            match value {
                Value::Object(_) if JSON_VALUES.contains(&name.as_str()) => self.json(value),
                _ => self.turns(value),
            }
        }
    }
}

impl io::Write for &mut Reader {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes += bytes.len() as u64;
        self.non_ascii += non_ascii(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn non_ascii(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|byte| !byte.is_ascii()).count() as u64
}

fn is_tool(kind: &str) -> bool {
    kind == "tool_use"
        || kind == "tool_result"
        || kind.ends_with("_tool_use")
        || kind.ends_with("_tool_result")
        || kind.ends_with("_call")
        || kind.ends_with("_call_output")
}

fn is_media(kind: &str) -> bool {
    matches!(
        kind,
        "image"
            | "image_url"
            | "input_image"
            | "audio"
            | "input_audio"
            | "audio_url"
            | "video"
            | "video_url"
            | "input_video"
            | "file"
            | "input_file"
            | "document"
            | "container_upload"
            | "computer_screenshot"
            | "image_generation_call"
    )
}

/// The last turn's text and where it stands.
#[derive(Debug)]
pub(super) struct LastUser {
    pub(super) text: String,
    pub(super) at: Vec<String>,
}

/// `None` unless the last turn is the user's and pure text.
pub(super) fn last_user(endpoint: Endpoint, fields: &Map<String, Value>) -> Option<LastUser> {
    let turns = match endpoint {
        Endpoint::ChatCompletions | Endpoint::Messages => "messages",
        Endpoint::Responses => "input",
        Endpoint::Completions => "prompt",
        // Nobody answers it, and the vector of a similar text is another vector.
        Endpoint::Embeddings => return None,
    };
    let value = fields.get(turns)?;
    if let (Value::String(text), false) = (value, turns == "messages") {
        return Some(LastUser {
            text: text.clone(),
            at: vec![format!("/{turns}")],
        });
    }
    if endpoint == Endpoint::Completions {
        return None;
    }
    let turns_seen = value.as_array()?;
    let last = turns_seen.last()?.as_object()?;
    let kind = last
        .get("type")
        .and_then(Value::as_str)
        .unwrap_or("message");
    if last.get("role").and_then(Value::as_str) != Some("user") || kind != "message" {
        return None;
    }
    pure_text(
        last.get("content")?,
        &format!("/{turns}/{}/content", turns_seen.len() - 1),
    )
}

fn pure_text(content: &Value, at: &str) -> Option<LastUser> {
    match content {
        Value::String(text) => Some(LastUser {
            text: text.clone(),
            at: vec![at.to_owned()],
        }),
        Value::Array(parts) if !parts.is_empty() => {
            let mut last = LastUser {
                text: String::new(),
                at: Vec::with_capacity(parts.len()),
            };
            for (place, part) in parts.iter().enumerate() {
                if !matches!(
                    part.get("type").and_then(Value::as_str),
                    Some("text" | "input_text")
                ) {
                    return None;
                }
                if place > 0 {
                    last.text.push('\n');
                }
                last.text.push_str(part.get("text")?.as_str()?);
                last.at.push(format!("{at}/{place}/text"));
            }
            Some(last)
        }
        _ => None,
    }
}
