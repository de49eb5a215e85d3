//! The parts of answers and events that Tollgate reads, borrowed from the bytes they came in.
//!
//! Content is only asked whether it is there, so reading a delta allocates nothing.

mod values;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::finish::Finish;
pub(crate) use values::{Filled, Text};

/// Reads JSON. Text that is known to be UTF-8 is read quicker; where it is not, only what is kept has to be.
pub(crate) fn read<'a, T: Deserialize<'a>>(json: &'a [u8]) -> Result<T, serde_json::Error> {
    match std::str::from_utf8(json) {
        Ok(text) => serde_json::from_str(text),
        Err(_) => serde_json::from_slice(json),
    }
}

/// A chunk of a chat or completion stream.
#[derive(Debug, Deserialize)]
pub(crate) struct Chunk<'a> {
    #[serde(borrow)]
    pub(crate) model: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) choices: Option<Vec<Choice<'a>>>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
    #[serde(borrow)]
    x_groq: Option<Groq<'a>>,
    #[serde(default)]
    pub(crate) error: Filled,
}

impl<'a> Chunk<'a> {
    /// The usage, also where Groq puts it.
    pub(crate) fn usage(&self) -> Option<&'a RawValue> {
        self.usage
            .or_else(|| self.x_groq.as_ref().and_then(|groq| groq.usage))
    }
}

#[derive(Debug, Deserialize)]
struct Groq<'a> {
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
}

/// A choice of a chunk or of a whole answer.
#[derive(Debug, Deserialize)]
pub(crate) struct Choice<'a> {
    pub(crate) index: Option<usize>,
    #[serde(borrow)]
    pub(crate) finish_reason: Option<Text<'a>>,
    pub(crate) delta: Option<Delta>,
    pub(crate) message: Option<IgnoredAny>,
    pub(crate) text: Option<Filled>,
}

impl Choice<'_> {
    /// The reason, where one is given: some servers write an empty one for "not yet".
    pub(crate) fn reason(&self) -> Option<&str> {
        self.finish_reason
            .as_ref()
            .map(|reason| &*reason.0)
            .filter(|reason| !reason.is_empty())
    }

    pub(crate) fn has_content(&self) -> bool {
        self.text.is_some_and(|text| text.0) || self.delta.as_ref().is_some_and(Delta::has_content)
    }
}

#[derive(Debug, Deserialize)]
#[serde(default)]
pub(crate) struct Delta {
    content: Filled,
    reasoning_content: Filled,
    reasoning: Filled,
    refusal: Filled,
    tool_calls: Filled,
    function_call: Filled,
    audio: Filled,
}

impl Default for Delta {
    fn default() -> Self {
        let empty = Filled(false);
        Self {
            content: empty,
            reasoning_content: empty,
            reasoning: empty,
            refusal: empty,
            tool_calls: empty,
            function_call: empty,
            audio: empty,
        }
    }
}

impl Delta {
    fn has_content(&self) -> bool {
        [
            self.content,
            self.reasoning_content,
            self.reasoning,
            self.refusal,
            self.tool_calls,
            self.function_call,
            self.audio,
        ]
        .iter()
        .any(|field| field.0)
    }
}

/// An event of a Messages stream.
#[derive(Debug, Deserialize)]
pub(crate) struct MessageEvent<'a> {
    #[serde(borrow, rename = "type")]
    pub(crate) kind: Text<'a>,
    #[serde(borrow)]
    pub(crate) message: Option<MessageHead<'a>>,
    #[serde(borrow)]
    pub(crate) delta: Option<MessageDelta<'a>>,
    #[serde(borrow)]
    pub(crate) usage: Option<&'a RawValue>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct MessageHead<'a> {
    #[serde(borrow)]
    pub(crate) model: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) usage: Option<&'a RawValue>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct MessageDelta<'a> {
    #[serde(borrow)]
    pub(crate) stop_reason: Option<Text<'a>>,
    #[serde(default)]
    text: Filled,
    #[serde(default)]
    thinking: Filled,
    #[serde(default)]
    partial_json: Filled,
    #[serde(default)]
    content: Filled,
}

impl MessageDelta<'_> {
    pub(crate) fn has_content(&self) -> bool {
        [self.text, self.thinking, self.partial_json, self.content]
            .iter()
            .any(|field| field.0)
    }
}

/// An event of a Responses stream.
#[derive(Debug, Deserialize)]
pub(crate) struct ResponseEvent<'a> {
    #[serde(borrow, rename = "type")]
    pub(crate) kind: Text<'a>,
    #[serde(default)]
    pub(crate) delta: Filled,
    #[serde(borrow)]
    pub(crate) response: Option<&'a RawValue>,
}

/// A response object of the Responses API, whole or in an event.
#[derive(Debug, Deserialize)]
pub(crate) struct ResponseObject<'a> {
    #[serde(borrow)]
    pub(crate) model: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) status: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) usage: Option<&'a RawValue>,
    #[serde(default)]
    pub(crate) error: Filled,
    #[serde(borrow)]
    incomplete_details: Option<IncompleteDetails<'a>>,
    #[serde(borrow)]
    pub(crate) output: Option<Vec<OutputItem<'a>>>,
}

#[derive(Debug, Deserialize)]
struct IncompleteDetails<'a> {
    #[serde(borrow)]
    reason: Option<Text<'a>>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct OutputItem<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<Text<'a>>,
}

impl ResponseObject<'_> {
    /// How it ended, and the words for it; `None` while it has not.
    pub(crate) fn finish(&self) -> Option<(Finish, &str)> {
        match self.status.as_ref().map(|status| &*status.0)? {
            "completed" if self.calls_tools() => Some((Finish::ToolCalls, "tool_calls")),
            "completed" => Some((Finish::Stop, "stop")),
            "incomplete" => {
                let reason = self
                    .incomplete_details
                    .as_ref()
                    .and_then(|details| details.reason.as_ref());
                Some(reason.map_or((Finish::Other, "incomplete"), |reason| {
                    (Finish::of_reason(&reason.0), &*reason.0)
                }))
            }
            ended @ ("failed" | "cancelled") => Some((Finish::Aborted, ended)),
            _ => None,
        }
    }

    /// Whether it waits for the client to run something, rather than having run it itself.
    fn calls_tools(&self) -> bool {
        let kinds = self
            .output
            .iter()
            .flatten()
            .filter_map(|item| item.kind.as_ref());
        kinds.into_iter().any(|kind| {
            matches!(
                &*kind.0,
                "function_call"
                    | "custom_tool_call"
                    | "computer_call"
                    | "local_shell_call"
                    | "mcp_approval_request"
            )
        })
    }
}
