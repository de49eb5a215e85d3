//! Turns a recorded stream into the JSON answer it spells, and a JSON answer into a stream.
//!
//! So one recorded answer serves both kinds of client. Only whole answers can be turned: whatever lacks its end, holds
//! an error or cannot be read is [`Unreplayable`], never a shortened answer. Fields nobody here knows are carried along.

mod assemble;
mod chat;
mod chunks;
mod messages;
mod responses;
mod said;
mod stamp;
#[cfg(test)]
mod tests;
mod usage_chunk;
mod write;

use std::fmt;

use serde_json::{Map, Value, json};

use super::endpoint::Endpoint;
use super::sse::{SseEvent, SseSplitter};
use super::usage::Usage;
use chat::Kind;
pub use said::said;
pub use stamp::Stamp;
pub use usage_chunk::with_usage;

/// Why an answer cannot be turned into the other form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unreplayable {
    /// The endpoint has no streams.
    NotStreamed,
    /// The answer is an error, or holds one.
    Failed,
    /// Something that every whole answer has is missing.
    Incomplete(&'static str),
    /// Something cannot be read.
    Malformed(String),
}

impl fmt::Display for Unreplayable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotStreamed => f.write_str("the endpoint has no streams"),
            Self::Failed => f.write_str("the answer holds an error"),
            Self::Incomplete(what) => write!(f, "the answer has no {what}"),
            Self::Malformed(what) => write!(f, "the answer cannot be read: {what}"),
        }
    }
}

impl std::error::Error for Unreplayable {}

impl From<serde_json::Error> for Unreplayable {
    fn from(error: serde_json::Error) -> Self {
        Self::Malformed(error.to_string())
    }
}

/// The JSON answer that a recorded stream spells. `fallback` is its usage when the stream reports none.
///
/// # Errors
/// [`Unreplayable`] when the stream is not a whole answer of `endpoint`.
pub fn to_json(endpoint: Endpoint, sse: &[u8], fallback: Usage) -> Result<Vec<u8>, Unreplayable> {
    match endpoint {
        Endpoint::ChatCompletions => chat::to_json(Kind::Chat, sse, fallback),
        Endpoint::Completions => chat::to_json(Kind::Text, sse, fallback),
        Endpoint::Messages => messages::to_json(sse, fallback),
        Endpoint::Responses => responses::to_json(sse, fallback),
        Endpoint::Embeddings => Err(Unreplayable::NotStreamed),
    }
}

/// The stream that a JSON answer would have been. `include_usage` asks for the usage chunk of chat and completion
/// streams; the other two always tell theirs.
///
/// # Errors
/// [`Unreplayable`] when the answer is not a whole one of `endpoint`, or the endpoint has no streams.
pub fn to_sse(
    endpoint: Endpoint,
    answer: &[u8],
    include_usage: bool,
) -> Result<Vec<u8>, Unreplayable> {
    match endpoint {
        Endpoint::ChatCompletions => chunks::to_sse(Kind::Chat, answer, include_usage),
        Endpoint::Completions => chunks::to_sse(Kind::Text, answer, include_usage),
        Endpoint::Messages => messages::to_sse(answer),
        Endpoint::Responses => responses::to_sse(answer),
        Endpoint::Embeddings => Err(Unreplayable::NotStreamed),
    }
}

/// Hands out each event of a recorded stream.
fn each_event(
    sse: &[u8],
    mut each: impl FnMut(SseEvent<'_>) -> Result<(), Unreplayable>,
) -> Result<(), Unreplayable> {
    let mut outcome = Ok(());
    let mut splitter = SseSplitter::new(usize::MAX);
    let mut read = |event: SseEvent<'_>| {
        if outcome.is_ok() {
            outcome = each(event);
        }
    };
    splitter.push(sse, &mut read);
    splitter.finish(&mut read);
    outcome
}

/// Parses an object; anything else is malformed.
fn object(bytes: &[u8]) -> Result<Map<String, Value>, Unreplayable> {
    Ok(serde_json::from_slice(bytes)?)
}

/// A field that is there and says something.
fn filled(fields: &Map<String, Value>, name: &str) -> bool {
    !matches!(
        fields.get(name),
        None | Some(Value::Null | Value::Bool(false))
    )
}

/// The `type` of an object, or nothing.
fn kind_of(fields: &Map<String, Value>) -> &str {
    fields.get("type").and_then(Value::as_str).unwrap_or("")
}

fn openai_usage(usage: Usage) -> Value {
    json!({
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.total_tokens(),
        "prompt_tokens_details": {"cached_tokens": usage.cached_input_tokens},
    })
}
