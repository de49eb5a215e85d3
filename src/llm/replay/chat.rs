//! Reads streams of chat completions and completions, which differ in little but names.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::super::sse::SseEvent;
use super::super::usage::Usage;
use super::{Unreplayable, assemble, each_event, filled, object, openai_usage};

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Chat,
    Text,
}

impl Kind {
    fn object(self) -> &'static str {
        match self {
            Self::Chat => "chat.completion",
            Self::Text => "text_completion",
        }
    }

    pub(super) fn chunk_object(self) -> &'static str {
        match self {
            Self::Chat => "chat.completion.chunk",
            Self::Text => "text_completion",
        }
    }
}

pub(super) fn to_json(kind: Kind, sse: &[u8], fallback: Usage) -> Result<Vec<u8>, Unreplayable> {
    let mut answer = Answer::default();
    each_event(sse, |event| answer.event(event))?;
    answer
        .finish(kind, fallback)
        .map(|answer| answer.to_string().into_bytes())
}

#[derive(Default)]
struct Answer {
    fields: Map<String, Value>,
    choices: BTreeMap<u64, Map<String, Value>>,
    usage: Option<Value>,
    ended: bool,
}

impl Answer {
    fn event(&mut self, event: SseEvent<'_>) -> Result<(), Unreplayable> {
        let data = event.data.trim_ascii();
        if data == b"[DONE]" {
            self.ended = true;
            return Ok(());
        }
        let chunk = object(data)?;
        if event.event == Some("error") || filled(&chunk, "error") {
            return Err(Unreplayable::Failed);
        }
        for (name, value) in chunk {
            match (name.as_str(), value) {
                ("object" | "obfuscation" | "error", _) | (_, Value::Null) => {}
                ("usage", usage) => self.usage = Some(usage),
                ("choices", Value::Array(choices)) => {
                    choices
                        .into_iter()
                        .try_for_each(|choice| self.choice(choice))?;
                }
                ("choices", _) => {
                    return Err(Unreplayable::Malformed("'choices' is no array".to_owned()));
                }
                (_, value) => {
                    if let Some(usage) = value
                        .get("usage")
                        .filter(|_| name == "x_groq" && self.usage.is_none())
                    {
                        self.usage = Some(usage.clone());
                    }
                    self.fields.entry(name).or_insert(value);
                }
            }
        }
        Ok(())
    }

    fn choice(&mut self, choice: Value) -> Result<(), Unreplayable> {
        let Value::Object(mut choice) = choice else {
            return Err(Unreplayable::Malformed("a choice is no object".to_owned()));
        };
        let index = choice.get("index").and_then(Value::as_u64).unwrap_or(0);
        if let Some(delta) = choice.remove("delta") {
            choice.insert("message".to_owned(), delta);
        }
        assemble::merge(self.choices.entry(index).or_default(), choice);
        Ok(())
    }

    fn finish(mut self, kind: Kind, fallback: Usage) -> Result<Value, Unreplayable> {
        if !self.ended {
            return Err(Unreplayable::Incomplete("[DONE]"));
        }
        if self.choices.is_empty() {
            return Err(Unreplayable::Incomplete("choices"));
        }
        let choices = self.choices.into_iter().map(|(index, mut choice)| {
            if choice
                .get("finish_reason")
                .and_then(Value::as_str)
                .is_none_or(str::is_empty)
            {
                return Err(Unreplayable::Incomplete("finish_reason"));
            }
            choice.insert("index".to_owned(), index.into());
            choice.entry("logprobs").or_insert(Value::Null);
            match kind {
                Kind::Chat => complete_message(&mut choice),
                Kind::Text => {
                    choice.entry("text").or_insert_with(|| "".into());
                }
            }
            Ok(Value::Object(choice))
        });
        let choices = choices.collect::<Result<Vec<_>, _>>()?;
        self.fields
            .insert("object".to_owned(), kind.object().into());
        self.fields.insert("choices".to_owned(), choices.into());
        self.fields.insert(
            "usage".to_owned(),
            self.usage.unwrap_or_else(|| openai_usage(fallback)),
        );
        Ok(Value::Object(self.fields))
    }
}

/// Gives a message what streams leave out, and takes away what only streams have.
fn complete_message(choice: &mut Map<String, Value>) {
    let message = choice.entry("message").or_insert(Value::Null);
    if !message.is_object() {
        *message = Value::Object(Map::new());
    }
    let Some(message) = message.as_object_mut() else {
        return;
    };
    message.entry("content").or_insert(Value::Null);
    if !filled(message, "role") {
        message.insert("role".to_owned(), "assistant".into());
    }
    for call in message
        .get_mut("tool_calls")
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
    {
        if let Some(call) = call.as_object_mut() {
            call.remove("index");
        }
    }
}
