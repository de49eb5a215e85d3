//! The wire formats of the simulated server: which API a path is, what a request asks, how an answer is written.

mod chat;
mod completions;
mod embeddings;
mod error;
mod events;
mod messages;
mod prompt;
mod request;
mod responses;

pub(super) use embeddings::{Encoding, embedding_list};
pub(super) use error::ApiError;
pub(super) use events::Events;
pub(super) use request::{Ask, read_ask, read_embed};

/// The model APIs that are served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sim) enum Api {
    /// OpenAI chat completions.
    Chat,
    /// OpenAI completions.
    Completions,
    /// OpenAI embeddings.
    Embeddings,
    /// OpenAI responses.
    Responses,
    /// Anthropic messages.
    Messages,
}

impl Api {
    /// The API behind a path.
    pub(in crate::sim) fn of(path: &str) -> Option<Self> {
        match path {
            "/v1/chat/completions" => Some(Self::Chat),
            "/v1/completions" => Some(Self::Completions),
            "/v1/embeddings" => Some(Self::Embeddings),
            "/v1/responses" => Some(Self::Responses),
            "/v1/messages" => Some(Self::Messages),
            _ => None,
        }
    }
}

/// What an answer says about itself.
#[derive(Debug, Clone)]
pub(super) struct Identity {
    pub(super) id: String,
    /// Unix time in seconds.
    pub(super) created: u64,
    pub(super) model: String,
}

/// Why a text ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Finish {
    /// The model had no more to say.
    Stop,
    /// The token limit was reached.
    Length,
    /// A content filter stepped in.
    Filtered,
}

/// Tokens of one answer and how it ended.
#[derive(Debug, Clone, Copy)]
pub(super) struct Outcome {
    pub(super) prompt: u32,
    pub(super) output: u32,
    pub(super) cached: u32,
    pub(super) finish: Finish,
}

/// Writes one answer, as a stream of events or whole.
pub(super) trait Form: Send {
    /// Events before the first token.
    fn begin(&mut self, events: &mut Events, outcome: &Outcome);
    /// The event of one token. The text is plain ASCII without anything to escape.
    fn token(&mut self, events: &mut Events, text: &str);
    /// Events after the last token.
    fn end(&mut self, events: &mut Events, text: &str, outcome: &Outcome);
    /// The same answer as one JSON document.
    fn whole(&self, text: &str, outcome: &Outcome) -> serde_json::Value;
}

/// The form in which an API answers. Embeddings have no text; they are written by [`embedding_list`].
pub(super) fn form(ask: &Ask, who: Identity) -> Box<dyn Form> {
    match ask.api {
        Api::Completions => Box::new(completions::Completions::new(who, ask.include_usage)),
        Api::Responses => Box::new(responses::Responses::new(who)),
        Api::Messages => Box::new(messages::Messages::new(who)),
        Api::Chat | Api::Embeddings => Box::new(chat::Chat::new(who, ask.include_usage)),
    }
}

/// Ends a stream of chat or completions: the chunk with the finish reason, the usage if it was asked for, the mark.
fn close(events: &mut Events, mut last: serde_json::Value, include_usage: bool, outcome: &Outcome) {
    events.event("", &[&last.to_string()]);
    if include_usage {
        last["choices"] = serde_json::json!([]);
        last["usage"] = usage(outcome);
        events.event("", &[&last.to_string()]);
    }
    events.event("", &["[DONE]"]);
}

/// OpenAI's `usage` object of chat and completions.
fn usage(outcome: &Outcome) -> serde_json::Value {
    serde_json::json!({
        "prompt_tokens": outcome.prompt,
        "completion_tokens": outcome.output,
        "total_tokens": outcome.prompt + outcome.output,
        "prompt_tokens_details": {"cached_tokens": outcome.cached},
    })
}

/// OpenAI's `finish_reason`.
fn finish_reason(finish: Finish) -> &'static str {
    match finish {
        Finish::Stop => "stop",
        Finish::Length => "length",
        Finish::Filtered => "content_filter",
    }
}

/// Stands in a [`Template`]'s document where the text goes; long enough to be nobody's model name.
const TEXT: &str = "@the text of the token goes here@";

/// The JSON around a place where many different texts go: written once, used for each.
struct Template {
    before: String,
    after: String,
}

impl Template {
    /// Splits a document at its string value [`TEXT`].
    fn new(document: &serde_json::Value) -> Self {
        let text = document.to_string();
        let (before, after) = text.split_once(TEXT).unwrap_or((&text, ""));
        Self {
            before: before.to_owned(),
            after: after.to_owned(),
        }
    }
}
