//! Anthropic messages.
//!
//! The input of a tool call goes through untouched, as text, so that neither its order nor its numbers change.

mod write_stream;

use std::collections::BTreeMap;

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::super::sse::SseEvent;
use super::super::usage::Usage;
use super::{Unreplayable, each_event, filled, kind_of, object};
pub(super) use write_stream::to_sse;

pub(super) fn to_json(sse: &[u8], fallback: Usage) -> Result<Vec<u8>, Unreplayable> {
    let mut message = Message::default();
    each_event(sse, |event| message.event(event))?;
    message.finish(fallback)
}

#[derive(Default)]
struct Message {
    fields: Map<String, Value>,
    blocks: BTreeMap<u64, Block>,
    ended: bool,
}

/// A content block under way.
#[derive(Default)]
struct Block {
    fields: Map<String, Value>,
    /// Its input, in the pieces that came.
    input: String,
    raw_input: Option<Box<RawValue>>,
}

impl Message {
    fn event(&mut self, event: SseEvent<'_>) -> Result<(), Unreplayable> {
        let mut event = object(event.data)?;
        let index = event.get("index").and_then(Value::as_u64).unwrap_or(0);
        match kind_of(&event) {
            "message_start" => {
                let Some(Value::Object(fields)) = event.remove("message") else {
                    return Err(Unreplayable::Malformed("'message' is no object".to_owned()));
                };
                *self = Self {
                    fields,
                    ..Self::default()
                };
            }
            "content_block_start" => {
                let Some(Value::Object(fields)) = event.remove("content_block") else {
                    return Err(Unreplayable::Malformed(
                        "'content_block' is no object".to_owned(),
                    ));
                };
                self.blocks.insert(
                    index,
                    Block {
                        fields,
                        ..Block::default()
                    },
                );
            }
            "content_block_delta" => {
                let (Some(block), Some(Value::Object(delta))) =
                    (self.blocks.get_mut(&index), event.remove("delta"))
                else {
                    return Err(Unreplayable::Malformed(
                        "a delta without its block".to_owned(),
                    ));
                };
                block.delta(delta);
            }
            "message_delta" => self.delta(event),
            "message_stop" => self.ended = true,
            "error" => return Err(Unreplayable::Failed),
            _ => {}
        }
        Ok(())
    }

    fn delta(&mut self, mut event: Map<String, Value>) {
        if let Some(Value::Object(delta)) = event.remove("delta") {
            self.fields.extend(delta);
        }
        if let Some(Value::Object(later)) = event.remove("usage") {
            let known = self.fields.entry("usage").or_insert(Value::Null);
            match known.as_object_mut() {
                Some(known) => {
                    known.extend(later.into_iter().filter(|(_, value)| !value.is_null()))
                }
                None => *known = Value::Object(later),
            }
        }
        event.remove("type");
        self.fields.extend(event);
    }

    fn finish(mut self, fallback: Usage) -> Result<Vec<u8>, Unreplayable> {
        if !self.ended {
            return Err(Unreplayable::Incomplete("message_stop"));
        }
        if !filled(&self.fields, "stop_reason") {
            return Err(Unreplayable::Incomplete("stop_reason"));
        }
        if !filled(&self.fields, "usage") {
            let usage = json!({
                "input_tokens": fallback.input_tokens.saturating_sub(fallback.cached_input_tokens),
                "cache_read_input_tokens": fallback.cached_input_tokens,
                "output_tokens": fallback.output_tokens,
            });
            self.fields.insert("usage".to_owned(), usage);
        }
        self.fields.remove("content");
        for block in self
            .blocks
            .values_mut()
            .filter(|block| !block.input.is_empty())
        {
            block.raw_input = Some(RawValue::from_string(std::mem::take(&mut block.input))?);
        }
        Ok(serde_json::to_vec(&self)?)
    }
}

impl Block {
    fn delta(&mut self, mut delta: Map<String, Value>) {
        if let Some(citation) = delta.remove("citation") {
            let known = self.fields.entry("citations").or_insert(Value::Null);
            match known {
                Value::Array(known) => known.push(citation),
                _ => *known = json!([citation]),
            }
        }
        if let Some(Value::String(piece)) = delta.remove("partial_json") {
            self.input.push_str(&piece);
        }
        delta.remove("type");
        for (name, value) in delta {
            match (self.fields.get_mut(&name), value) {
                (_, Value::Null) => {}
                (Some(Value::String(known)), Value::String(piece)) => known.push_str(&piece),
                (_, value) => {
                    self.fields.insert(name, value);
                }
            }
        }
    }
}

impl Serialize for Message {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_map(None)?;
        for (name, value) in &self.fields {
            out.serialize_entry(name, value)?;
        }
        let blocks: Vec<&Block> = self.blocks.values().collect();
        out.serialize_entry("content", &blocks)?;
        out.end()
    }
}

impl Serialize for Block {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_map(None)?;
        for (name, value) in &self.fields {
            match (&self.raw_input, name.as_str()) {
                (Some(_), "input") => {}
                _ => out.serialize_entry(name, value)?,
            }
        }
        if let Some(input) = &self.raw_input {
            out.serialize_entry("input", input)?;
        }
        out.end()
    }
}
