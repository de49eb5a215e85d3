//! How much text a request holds, what else it holds, and which text came last.

use std::borrow::Cow;
use std::io;

use super::super::document::{Kind, Node};
use super::super::endpoint::Endpoint;
use super::filled_array;

/// What was found while walking through the parts a model reads.
#[derive(Debug)]
pub(super) struct Reader {
    endpoint: Endpoint,
    pub(super) bytes: u64,
    pub(super) non_ascii: u64,
    pub(super) tool_turns: bool,
    pub(super) media: bool,
}

impl Reader {
    pub(super) fn new(endpoint: Endpoint) -> Self {
        Self {
            endpoint,
            bytes: 0,
            non_ascii: 0,
            tool_turns: false,
            media: false,
        }
    }

    /// Reads a field at the top of the body, if the model does.
    pub(super) fn field(&mut self, name: &[u8], value: Node<'_>) {
        use Endpoint::{ChatCompletions, Completions, Embeddings, Messages, Responses};
        match (self.endpoint, name) {
            (ChatCompletions | Messages, b"messages")
            | (Messages, b"system")
            | (Responses, b"instructions" | b"input") => self.turns(value),
            (Completions, b"prompt" | b"suffix") | (Embeddings, b"input") => self.prompt(value),
            (_, b"tools" | b"functions" | b"response_format" | b"output_config") => {
                self.json(value)
            }
            (Responses, b"text") => {
                if let Some(format) = value.get("format") {
                    self.json(format);
                }
            }
            _ => {}
        }
    }

    fn text(&mut self, text: &[u8]) {
        self.bytes += text.len() as u64;
        self.non_ascii += non_ascii(text);
    }

    /// A value the model sees written out.
    fn json(&mut self, value: Node<'_>) {
        if !value.is_null() {
            // The writer below cannot fail, and neither can writing a value that was read from JSON.
            let _ = serde_json::to_writer(self, &value);
        }
    }

    /// Text, texts, token ids, or lists of token ids.
    fn prompt(&mut self, value: Node<'_>) {
        match value.kind() {
            Kind::Text(text) => self.text(text),
            Kind::Number(_) => self.bytes += 4,
            Kind::Array(items) => items.for_each(|item| self.prompt(item)),
            Kind::Object(_) => self.turns(value),
            Kind::Null | Kind::Bool(_) => {}
        }
    }

    /// Messages, items, parts and blocks of any dialect. Unknown forms are read too: a text too many is a better
    /// estimate than a text forgotten.
    fn turns(&mut self, value: Node<'_>) {
        match value.kind() {
            Kind::Text(text) => self.text(text),
            Kind::Array(items) => items.for_each(|item| self.turns(item)),
            Kind::Object(_) => self.part(value),
            Kind::Null | Kind::Bool(_) | Kind::Number(_) => {}
        }
    }

    fn part(&mut self, part: Node<'_>) {
        let mut source = None;
        let mut media = false;
        for (name, value) in part.fields() {
            match name {
                b"type" => {
                    let kind = value.bytes().unwrap_or_default();
                    self.tool_turns |= is_tool(kind);
                    media = is_media(kind);
                }
                b"role" => {
                    self.tool_turns |= matches!(value.bytes(), Some(b"tool" | b"function"));
                }
                b"tool_calls" => self.tool_turns |= filled_array(value),
                b"function_call" => self.tool_turns |= value.is_object(),
                b"source" => source = Some(value),
                _ => {}
            }
        }
        if media {
            self.media = true;
            // A document may be plain text after all; everything else inside is data or an address.
            let is_text = |source: &Node<'_>| word(*source, "type") == Some(b"text".as_slice());
            let source = source.filter(is_text);
            if let Some(text) = source.and_then(|source| word(source, "data")) {
                self.text(text);
            }
            return;
        }
        for (name, value) in part.fields() {
            match name {
                _ if is_not_read(name) => {}
                b"input" | b"args" | b"parameters" if value.is_object() => self.json(value),
                _ => self.turns(value),
            }
        }
    }
}

/// Keys inside messages that name or locate things; the model does not read their values.
fn is_not_read(name: &[u8]) -> bool {
    matches!(
        name,
        b"type"
            | b"role"
            | b"id"
            | b"tool_call_id"
            | b"tool_use_id"
            | b"call_id"
            | b"item_id"
            | b"status"
            | b"cache_control"
            | b"signature"
            | b"encrypted_content"
            | b"encrypted_index"
            | b"annotations"
            | b"logprobs"
            | b"detail"
            | b"media_type"
    )
}

fn word<'d>(value: Node<'d>, name: &str) -> Option<&'d [u8]> {
    value.get(name)?.bytes()
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
    // Sums that fit a byte are added up many at a time.
    let count = |part: &[u8]| part.iter().fold(0_u8, |sum, byte| sum + (byte >> 7));
    bytes.chunks(128).map(|part| u64::from(count(part))).sum()
}

fn is_tool(kind: &[u8]) -> bool {
    kind == b"tool_use"
        || kind == b"tool_result"
        || kind.ends_with(b"_tool_use")
        || kind.ends_with(b"_tool_result")
        || kind.ends_with(b"_call")
        || kind.ends_with(b"_call_output")
}

fn is_media(kind: &[u8]) -> bool {
    matches!(
        kind,
        b"image"
            | b"image_url"
            | b"input_image"
            | b"audio"
            | b"input_audio"
            | b"audio_url"
            | b"video"
            | b"video_url"
            | b"input_video"
            | b"file"
            | b"input_file"
            | b"document"
            | b"container_upload"
            | b"computer_screenshot"
            | b"image_generation_call"
    )
}

/// The text of the last turn; `None` unless that is the user's and pure text.
pub(super) fn last_user(endpoint: Endpoint, root: Node<'_>) -> Option<Cow<'_, str>> {
    let turns = match endpoint {
        Endpoint::ChatCompletions | Endpoint::Messages => "messages",
        Endpoint::Responses => "input",
        Endpoint::Completions => "prompt",
        // Nobody answers it, and the vector of a similar text is another vector.
        Endpoint::Embeddings => return None,
    };
    let value = root.get(turns)?;
    if let (Some(text), false) = (value.as_str(), turns == "messages") {
        return Some(Cow::Borrowed(text));
    }
    if endpoint == Endpoint::Completions {
        return None;
    }
    let last = value.items().last()?;
    let kind = word(last, "type").unwrap_or(b"message");
    if word(last, "role") != Some(b"user".as_slice()) || kind != b"message" {
        return None;
    }
    pure_text(last.get("content")?)
}

fn pure_text(content: Node<'_>) -> Option<Cow<'_, str>> {
    if let Some(text) = content.as_str() {
        return Some(Cow::Borrowed(text));
    }
    let mut whole: Option<Cow<'_, str>> = None;
    for part in content.items() {
        if !matches!(word(part, "type"), Some(b"text" | b"input_text")) {
            return None;
        }
        let text = part.get("text")?.as_str()?;
        match &mut whole {
            None => whole = Some(Cow::Borrowed(text)),
            Some(whole) => {
                let whole = whole.to_mut();
                whole.push('\n');
                whole.push_str(text);
            }
        }
    }
    whole
}
