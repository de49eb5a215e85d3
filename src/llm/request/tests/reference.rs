//! The same reading over a tree of values, as it was first written: what the one pass must agree with.

use std::io;

use serde_json::{Map, Value};

use super::super::{Endpoint, RequestView};

/// What a request says.
#[derive(Debug, PartialEq)]
pub(super) struct Read {
    include_usage: bool,
    max_output_tokens: Option<u64>,
    n: u64,
    temperature: Option<f64>,
    text_bytes: u64,
    non_ascii_bytes: u64,
    last_user_text: Option<String>,
    tools: bool,
    tool_turns: bool,
    media: bool,
    logprobs: bool,
}

impl From<&RequestView> for Read {
    fn from(view: &RequestView) -> Self {
        Self {
            include_usage: view.include_usage,
            max_output_tokens: view.max_output_tokens,
            n: view.n,
            temperature: view.temperature,
            text_bytes: view.prompt_text_bytes,
            non_ascii_bytes: view.non_ascii_bytes,
            last_user_text: view.last_user_text().map(|text| text.into_owned()),
            tools: view.has_tools,
            tool_turns: view.has_tool_turns,
            media: view.has_images,
            logprobs: view.logprobs,
        }
    }
}

pub(super) fn read(endpoint: Endpoint, fields: &Map<String, Value>) -> Read {
    let read = Reader::read(endpoint, fields);
    Read {
        include_usage: include_usage(endpoint, fields),
        max_output_tokens: max_output_tokens(endpoint, fields),
        n: fields.get("n").and_then(Value::as_u64).unwrap_or(1).max(1),
        temperature: fields.get("temperature").and_then(Value::as_f64),
        text_bytes: read.bytes,
        non_ascii_bytes: read.non_ascii,
        last_user_text: last_user(endpoint, fields),
        tools: ["tools", "functions"]
            .iter()
            .any(|field| filled_array(fields.get(*field))),
        tool_turns: read.tool_turns,
        media: read.media,
        logprobs: logprobs(fields),
    }
}

fn include_usage(endpoint: Endpoint, fields: &Map<String, Value>) -> bool {
    let asked = fields
        .get("stream_options")
        .and_then(|options| options.get("include_usage"));
    matches!(endpoint, Endpoint::ChatCompletions | Endpoint::Completions)
        && asked == Some(&Value::Bool(true))
}

fn max_output_tokens(endpoint: Endpoint, fields: &Map<String, Value>) -> Option<u64> {
    let field = |name| fields.get(name).and_then(Value::as_u64);
    match endpoint {
        Endpoint::ChatCompletions => field("max_tokens").max(field("max_completion_tokens")),
        Endpoint::Completions | Endpoint::Messages => field("max_tokens"),
        Endpoint::Responses => field("max_output_tokens"),
        Endpoint::Embeddings => Some(0),
    }
}

fn logprobs(fields: &Map<String, Value>) -> bool {
    let flag = match fields.get("logprobs") {
        Some(Value::Bool(asked)) => *asked,
        Some(Value::Number(_)) => true,
        _ => false,
    };
    let top = fields
        .get("top_logprobs")
        .and_then(Value::as_u64)
        .is_some_and(|top| top > 0);
    let included = fields
        .get("include")
        .and_then(Value::as_array)
        .is_some_and(|include| {
            include
                .iter()
                .filter_map(Value::as_str)
                .any(|what| what.ends_with(".logprobs"))
        });
    flag || top || included
}

fn filled_array(value: Option<&Value>) -> bool {
    value
        .and_then(Value::as_array)
        .is_some_and(|array| !array.is_empty())
}

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
struct Reader {
    bytes: u64,
    non_ascii: u64,
    tool_turns: bool,
    media: bool,
}

impl Reader {
    fn read(endpoint: Endpoint, fields: &Map<String, Value>) -> Self {
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
            || filled_array(fields.get("tool_calls"))
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

/// `None` unless the last turn is the user's and pure text.
fn last_user(endpoint: Endpoint, fields: &Map<String, Value>) -> Option<String> {
    let turns = match endpoint {
        Endpoint::ChatCompletions | Endpoint::Messages => "messages",
        Endpoint::Responses => "input",
        Endpoint::Completions => "prompt",
        Endpoint::Embeddings => return None,
    };
    let value = fields.get(turns)?;
    if let (Value::String(text), false) = (value, turns == "messages") {
        return Some(text.clone());
    }
    if endpoint == Endpoint::Completions {
        return None;
    }
    let last = value.as_array()?.last()?.as_object()?;
    let kind = last
        .get("type")
        .and_then(Value::as_str)
        .unwrap_or("message");
    if last.get("role").and_then(Value::as_str) != Some("user") || kind != "message" {
        return None;
    }
    match last.get("content")? {
        Value::String(text) => Some(text.clone()),
        Value::Array(parts) if !parts.is_empty() => {
            let texts: Option<Vec<&str>> = parts.iter().map(pure_text).collect();
            texts.map(|texts| texts.join("\n"))
        }
        _ => None,
    }
}

fn pure_text(part: &Value) -> Option<&str> {
    match part.get("type").and_then(Value::as_str) {
        Some("text" | "input_text") => part.get("text")?.as_str(),
        _ => None,
    }
}
