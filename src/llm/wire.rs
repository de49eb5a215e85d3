//! The parts of answers and events that Tollgate reads, borrowed from the bytes they came in.
//!
//! Content is only asked whether it is there, so reading a delta allocates nothing.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize as Derive;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::finish::Finish;

/// A string, borrowed when it has no escapes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Text<'a>(pub(crate) Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Strings;
        impl<'de> Visitor<'de> for Strings {
            type Value = Text<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(Strings)
    }
}

/// Whether a value is there and not empty. Any JSON will do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Filled(pub(crate) bool);

impl<'de> Deserialize<'de> for Filled {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Anything;
        impl<'de> Visitor<'de> for Anything {
            type Value = Filled;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("anything")
            }
            fn visit_unit<E>(self) -> Result<Filled, E> {
                Ok(Filled(false))
            }
            fn visit_bool<E>(self, value: bool) -> Result<Filled, E> {
                Ok(Filled(value))
            }
            fn visit_i64<E>(self, _: i64) -> Result<Filled, E> {
                Ok(Filled(true))
            }
            fn visit_u64<E>(self, _: u64) -> Result<Filled, E> {
                Ok(Filled(true))
            }
            fn visit_f64<E>(self, _: f64) -> Result<Filled, E> {
                Ok(Filled(true))
            }
            fn visit_str<E>(self, text: &str) -> Result<Filled, E> {
                Ok(Filled(!text.is_empty()))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Filled, A::Error> {
                let mut filled = false;
                while items.next_element::<IgnoredAny>()?.is_some() {
                    filled = true;
                }
                Ok(Filled(filled))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Filled, A::Error> {
                let mut filled = false;
                while fields.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {
                    filled = true;
                }
                Ok(Filled(filled))
            }
        }
        deserializer.deserialize_any(Anything)
    }
}

/// A chunk of a chat or completion stream.
#[derive(Debug, Derive)]
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

#[derive(Debug, Derive)]
struct Groq<'a> {
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
}

/// A choice of a chunk or of a whole answer.
#[derive(Debug, Derive)]
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

#[derive(Debug, Derive)]
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
#[derive(Debug, Derive)]
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

#[derive(Debug, Derive)]
pub(crate) struct MessageHead<'a> {
    #[serde(borrow)]
    pub(crate) model: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) usage: Option<&'a RawValue>,
}

#[derive(Debug, Derive)]
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
#[derive(Debug, Derive)]
pub(crate) struct ResponseEvent<'a> {
    #[serde(borrow, rename = "type")]
    pub(crate) kind: Text<'a>,
    #[serde(default)]
    pub(crate) delta: Filled,
    #[serde(borrow)]
    pub(crate) response: Option<&'a RawValue>,
}

/// A response object of the Responses API, whole or in an event.
#[derive(Debug, Derive)]
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

#[derive(Debug, Derive)]
struct IncompleteDetails<'a> {
    #[serde(borrow)]
    reason: Option<Text<'a>>,
}

#[derive(Debug, Derive)]
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
