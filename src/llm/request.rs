//! What Tollgate needs to know of a request, read once.
//!
//! It is lenient where the server behind has the last word (a `max_tokens` of -1 means "no limit" to some), and strict
//! only where Tollgate itself must act: the body is an object, `model` a string, `stream` a boolean.

#[cfg(test)]
mod tests;
mod text;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use text::Reader;

use super::document::{Document, Kind, Node, Number};
use super::endpoint::Endpoint;
use crate::util::names::shared;

/// A request, as far as admission, routing, balancing and caching care.
#[derive(Debug, Clone, PartialEq)]
pub struct RequestView {
    /// The model asked for. Self-hosted servers with one model let it be left out.
    pub model: Option<Arc<str>>,
    /// Whether the answer is to be streamed.
    pub stream: bool,
    /// Whether the client asked for the usage chunk of chat and completion streams.
    pub include_usage: bool,
    /// Most output tokens the client allows per choice; `Some(0)` for embeddings, `None` when it set no bound.
    pub max_output_tokens: Option<u64>,
    /// Choices asked for; at least 1.
    pub n: u64,
    /// Sampling temperature.
    pub temperature: Option<f64>,
    /// Bytes of text that the model must read: messages, system, instructions, input, prompt, and tools as JSON. A token
    /// id counts 4 bytes.
    pub prompt_text_bytes: u64,
    /// How many of them are not ASCII; such text has fewer bytes a token.
    pub non_ascii_bytes: u64,
    /// Whether tools are offered.
    pub has_tools: bool,
    /// Whether tools were called, or answered, in the history.
    pub has_tool_turns: bool,
    /// Whether it holds anything but text: images, sound, files.
    pub has_images: bool,
    /// Whether token probabilities are asked for.
    pub logprobs: bool,
    /// The whole body. Integers beyond 64 bits are held as floats.
    pub body: Document,
    endpoint: Endpoint,
}

/// Why a request body cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Malformed {
    /// What is wrong.
    pub what: String,
    /// Where.
    pub at: Place,
}

/// A place in a request body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Line and column, both from 1.
    Text {
        /// Line.
        line: usize,
        /// Column in bytes.
        column: usize,
    },
    /// A field.
    Field(&'static str),
    /// All of it.
    Body,
}

impl Malformed {
    fn field_is_not(field: &'static str, expected: &str, found: Node<'_>) -> Self {
        Self {
            what: format!("'{field}' must be {expected}, not {}", kind(found)),
            at: Place::Field(field),
        }
    }

    /// The field at fault, where it is one.
    pub fn field(&self) -> Option<&'static str> {
        match self.at {
            Place::Field(field) => Some(field),
            Place::Text { .. } | Place::Body => None,
        }
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.at {
            Place::Text { line, column } => {
                write!(f, "{} at line {line}, column {column}", self.what)
            }
            Place::Field(_) | Place::Body => f.write_str(&self.what),
        }
    }
}

impl std::error::Error for Malformed {}

impl From<serde_json::Error> for Malformed {
    fn from(error: serde_json::Error) -> Self {
        let (line, column) = (error.line(), error.column());
        let text = error.to_string();
        let what = text
            .strip_suffix(&format!(" at line {line} column {column}"))
            .unwrap_or(&text);
        Self {
            what: format!("the body is not JSON: {what}"),
            at: Place::Text { line, column },
        }
    }
}

impl RequestView {
    /// Reads a request body.
    ///
    /// # Errors
    /// [`Malformed`] when it is not a JSON object (nested at most 128 deep), when `model` is there and not a string, or
    /// `stream` is there and neither boolean nor null.
    pub fn parse(endpoint: Endpoint, body: &Bytes) -> Result<Self, Malformed> {
        let body = Document::parse(body)?;
        let root = body.root();
        if !root.is_object() {
            return Err(Malformed {
                what: format!("the body must be an object, not {}", kind(root)),
                at: Place::Body,
            });
        }
        let mut read = Reader::new(endpoint);
        let mut found = Found::default();
        for (name, value) in root.fields() {
            found.field(name, value)?;
            read.field(name, value);
        }
        Ok(Self {
            model: found.model.map(shared),
            stream: found.stream,
            include_usage: found.include_usage
                && matches!(endpoint, Endpoint::ChatCompletions | Endpoint::Completions),
            max_output_tokens: match endpoint {
                Endpoint::ChatCompletions => found.max_tokens.max(found.max_completion_tokens),
                Endpoint::Completions | Endpoint::Messages => found.max_tokens,
                Endpoint::Responses => found.max_output_tokens,
                Endpoint::Embeddings => Some(0),
            },
            n: found.n.unwrap_or(1).max(1),
            temperature: found.temperature,
            prompt_text_bytes: read.bytes,
            non_ascii_bytes: read.non_ascii,
            has_tools: found.tools,
            has_tool_turns: read.tool_turns,
            has_images: read.media,
            logprobs: found.logprobs,
            endpoint,
            body,
        })
    }

    /// The last turn's text, if that turn is the user's and nothing but text; of several parts joined by line feeds.
    /// For completions the prompt, for embeddings nothing.
    #[must_use]
    pub fn last_user_text(&self) -> Option<Cow<'_, str>> {
        text::last_user(self.endpoint, self.body.root())
    }
}

/// What the fields at the top say.
#[derive(Default)]
struct Found<'d> {
    model: Option<&'d str>,
    stream: bool,
    include_usage: bool,
    max_tokens: Option<u64>,
    max_completion_tokens: Option<u64>,
    max_output_tokens: Option<u64>,
    n: Option<u64>,
    temperature: Option<f64>,
    tools: bool,
    logprobs: bool,
}

impl<'d> Found<'d> {
    fn field(&mut self, name: &[u8], value: Node<'d>) -> Result<(), Malformed> {
        let count = || value.as_number().and_then(Number::as_u64);
        match name {
            b"model" => {
                let no_text = || Malformed::field_is_not("model", "a string", value);
                self.model = Some(value.as_str().ok_or_else(no_text)?);
            }
            b"stream" => {
                self.stream = match value.kind() {
                    Kind::Null => false,
                    Kind::Bool(stream) => stream,
                    _ => return Err(Malformed::field_is_not("stream", "true or false", value)),
                }
            }
            b"stream_options" => {
                let asked = value.get("include_usage").map(Node::kind);
                self.include_usage = asked == Some(Kind::Bool(true));
            }
            b"max_tokens" => self.max_tokens = count(),
            b"max_completion_tokens" => self.max_completion_tokens = count(),
            b"max_output_tokens" => self.max_output_tokens = count(),
            b"n" => self.n = count(),
            b"temperature" => self.temperature = value.as_number().map(Number::as_f64),
            b"tools" | b"functions" => self.tools |= filled_array(value),
            b"logprobs" => {
                self.logprobs |= matches!(value.kind(), Kind::Bool(true) | Kind::Number(_));
            }
            b"top_logprobs" => self.logprobs |= count().is_some_and(|top| top > 0),
            b"include" => {
                let mut included = value.items().filter_map(Node::bytes);
                self.logprobs |= included.any(|what| what.ends_with(b".logprobs"));
            }
            _ => {}
        }
        Ok(())
    }
}

fn filled_array(value: Node<'_>) -> bool {
    value.items().len() > 0
}

fn kind(value: Node<'_>) -> &'static str {
    match value.kind() {
        Kind::Null => "null",
        Kind::Bool(_) => "a boolean",
        Kind::Number(_) => "a number",
        Kind::Text(_) => "a string",
        Kind::Array(_) => "an array",
        Kind::Object(_) => "an object",
    }
}
