//! What Tollgate needs to know of a request, read once.
//!
//! It is lenient where the server behind has the last word (a `max_tokens` of -1 means "no limit" to some), and strict
//! only where Tollgate itself must act: the body is an object, `model` a string, `stream` a boolean.

#[cfg(test)]
mod tests;
mod text;

use std::fmt;

use serde_json::{Map, Value};

use super::endpoint::Endpoint;
use text::Reader;

/// A request, as far as admission, routing, balancing and caching care.
#[derive(Debug, Clone, PartialEq)]
pub struct RequestView {
    /// The model asked for. Self-hosted servers with one model let it be left out.
    pub model: Option<String>,
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
    /// The last turn's text, if that turn is the user's and nothing but text; of several parts joined by line feeds.
    /// For completions the prompt, for embeddings nothing.
    pub last_user_text: Option<String>,
    /// JSON pointers in `body` of the strings that make up `last_user_text`.
    pub last_user_at: Vec<String>,
    /// Whether tools are offered.
    pub has_tools: bool,
    /// Whether tools were called, or answered, in the history.
    pub has_tool_turns: bool,
    /// Whether it holds anything but text: images, sound, files.
    pub has_images: bool,
    /// Whether token probabilities are asked for.
    pub logprobs: bool,
    /// The whole body. Integers beyond 64 bits are held as floats.
    pub body: Value,
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
    fn field_is_not(field: &'static str, expected: &str, found: &Value) -> Self {
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
    pub fn parse(endpoint: Endpoint, body: &[u8]) -> Result<Self, Malformed> {
        let body: Value = serde_json::from_slice(body)?;
        let Value::Object(fields) = &body else {
            return Err(Malformed {
                what: format!("the body must be an object, not {}", kind(&body)),
                at: Place::Body,
            });
        };
        let model = match fields.get("model") {
            None => None,
            Some(Value::String(model)) => Some(model.clone()),
            Some(other) => return Err(Malformed::field_is_not("model", "a string", other)),
        };
        let stream = match fields.get("stream") {
            None | Some(Value::Null) => false,
            Some(Value::Bool(stream)) => *stream,
            Some(other) => return Err(Malformed::field_is_not("stream", "true or false", other)),
        };
        let read = Reader::read(endpoint, fields);
        let (last_user_text, last_user_at) = match text::last_user(endpoint, fields) {
            Some(last) => (Some(last.text), last.at),
            None => (None, Vec::new()),
        };
        Ok(Self {
            model,
            stream,
            include_usage: include_usage(endpoint, fields),
            max_output_tokens: max_output_tokens(endpoint, fields),
            n: fields.get("n").and_then(Value::as_u64).unwrap_or(1).max(1),
            temperature: fields.get("temperature").and_then(Value::as_f64),
            prompt_text_bytes: read.bytes,
            non_ascii_bytes: read.non_ascii,
            last_user_text,
            last_user_at,
            has_tools: ["tools", "functions"]
                .iter()
                .any(|field| filled_array(fields.get(*field))),
            has_tool_turns: read.tool_turns,
            has_images: read.media,
            logprobs: logprobs(fields),
            body,
        })
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

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}
