//! Writes chat completions and completions as streams.

use serde_json::{Map, Value, json};

use super::chat::Kind;
use super::{Unreplayable, filled, object, write};

/// Fields that every chunk repeats.
pub(super) const REPEATED: [&str; 5] = [
    "id",
    "created",
    "model",
    "system_fingerprint",
    "service_tier",
];

const DONE: &[u8] = b"data: [DONE]\n\n";

pub(super) fn to_sse(
    kind: Kind,
    answer: &[u8],
    include_usage: bool,
) -> Result<Vec<u8>, Unreplayable> {
    let mut answer = object(answer)?;
    if filled(&answer, "error") {
        return Err(Unreplayable::Failed);
    }
    let Some(Value::Array(choices)) = answer.remove("choices") else {
        return Err(Unreplayable::Incomplete("choices"));
    };
    if choices.is_empty() {
        return Err(Unreplayable::Incomplete("choices"));
    }
    let usage = answer.remove("usage").filter(|usage| !usage.is_null());
    answer.insert("object".to_owned(), kind.chunk_object().into());
    if include_usage {
        answer.insert("usage".to_owned(), Value::Null);
    }
    let mut chunks = Chunks {
        out: Vec::new(),
        fields: answer,
        begun: false,
    };
    for (place, choice) in choices.into_iter().enumerate() {
        let Value::Object(mut choice) = choice else {
            return Err(Unreplayable::Malformed("a choice is no object".to_owned()));
        };
        if choice
            .get("finish_reason")
            .and_then(Value::as_str)
            .is_none_or(str::is_empty)
        {
            return Err(Unreplayable::Incomplete("finish_reason"));
        }
        let index = choice.remove("index").unwrap_or_else(|| place.into());
        match kind {
            Kind::Chat => chunks.chat_choice(&index, choice)?,
            Kind::Text => chunks.text_choice(&index, choice),
        }
    }
    if let Some(usage) = usage.filter(|_| include_usage) {
        chunks.fields.insert("usage".to_owned(), usage);
        chunks.chunk(Vec::new());
    }
    chunks.out.extend_from_slice(DONE);
    Ok(chunks.out)
}

struct Chunks {
    out: Vec<u8>,
    /// Everything of the answer but its choices; after the first chunk only what every chunk repeats.
    fields: Map<String, Value>,
    begun: bool,
}

impl Chunks {
    fn chunk(&mut self, choices: Vec<Value>) {
        self.fields.insert("choices".to_owned(), choices.into());
        let chunk = Value::Object(std::mem::take(&mut self.fields));
        write::data(&mut self.out, &chunk);
        let Value::Object(fields) = chunk else { return };
        self.fields = fields;
        if !std::mem::replace(&mut self.begun, true) {
            self.fields.retain(|name, _| {
                REPEATED.contains(&&**name) || name == "object" || name == "usage"
            });
        }
    }

    fn delta(&mut self, index: &Value, delta: Value) {
        self.chunk(vec![
            json!({"index": index, "delta": delta, "logprobs": null, "finish_reason": null}),
        ]);
    }

    fn string(&mut self, index: &Value, name: &str, text: &str) {
        for piece in write::pieces(text) {
            self.delta(index, json!({name: piece}));
        }
    }

    /// Moves a text of the message into pieces of its own.
    fn take_string(&mut self, index: &Value, name: &str, message: &mut Map<String, Value>) {
        if message
            .get(name)
            .and_then(Value::as_str)
            .is_none_or(str::is_empty)
        {
            return;
        }
        if let Some(Value::String(text)) = message.remove(name) {
            self.string(index, name, &text);
        }
    }

    fn chat_choice(
        &mut self,
        index: &Value,
        mut choice: Map<String, Value>,
    ) -> Result<(), Unreplayable> {
        let Some(Value::Object(mut message)) = choice.remove("message") else {
            return Err(Unreplayable::Incomplete("message"));
        };
        let content = message.remove("content").unwrap_or_default();
        let logprobs = choice.remove("logprobs").unwrap_or_default();
        let start = if content.is_string() {
            "".into()
        } else {
            Value::Null
        };
        let role = message.remove("role").unwrap_or_else(|| "assistant".into());
        self.delta(index, json!({"role": role, "content": start}));
        for name in ["reasoning_content", "reasoning"] {
            self.take_string(index, name, &mut message);
        }
        match content {
            // Probabilities belong to the tokens of one chunk, and where the tokens end is not known here.
            content if !logprobs.is_null() => {
                let delta = if content.is_null() {
                    json!({})
                } else {
                    json!({"content": content})
                };
                self.chunk(vec![json!({"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": null})]);
            }
            Value::String(text) => self.string(index, "content", &text),
            Value::Null => {}
            parts => self.delta(index, json!({"content": parts})),
        }
        self.take_string(index, "refusal", &mut message);
        if let Some(Value::Array(calls)) = message.get_mut("tool_calls") {
            let calls = std::mem::take(calls);
            let had_calls = !calls.is_empty();
            for (place, call) in calls.into_iter().enumerate() {
                self.tool_call(index, place, call);
            }
            if had_calls {
                message.remove("tool_calls");
            }
        }
        if !message.is_empty() {
            self.delta(index, Value::Object(message));
        }
        choice.insert("index".to_owned(), index.clone());
        choice.insert("delta".to_owned(), json!({}));
        choice.insert("logprobs".to_owned(), Value::Null);
        self.chunk(vec![Value::Object(choice)]);
        Ok(())
    }

    fn tool_call(&mut self, index: &Value, place: usize, mut call: Value) {
        let arguments = match call.pointer_mut("/function/arguments") {
            Some(Value::String(arguments)) => std::mem::take(arguments),
            _ => String::new(),
        };
        if let Some(call) = call.as_object_mut() {
            call.insert("index".to_owned(), place.into());
        }
        self.delta(index, json!({"tool_calls": [call]}));
        for piece in write::pieces(&arguments) {
            self.delta(
                index,
                json!({"tool_calls": [{"index": place, "function": {"arguments": piece}}]}),
            );
        }
    }

    fn text_choice(&mut self, index: &Value, mut choice: Map<String, Value>) {
        let text = choice.remove("text").unwrap_or_default();
        let text = text.as_str().unwrap_or("");
        let logprobs = choice.remove("logprobs").unwrap_or_default();
        if logprobs.is_null() {
            for piece in write::pieces(text) {
                self.chunk(vec![
                    json!({"index": index, "text": piece, "logprobs": null, "finish_reason": null}),
                ]);
            }
        } else {
            self.chunk(vec![
                json!({"index": index, "text": text, "logprobs": logprobs, "finish_reason": null}),
            ]);
        }
        choice.insert("index".to_owned(), index.clone());
        choice.insert("text".to_owned(), "".into());
        choice.insert("logprobs".to_owned(), Value::Null);
        self.chunk(vec![Value::Object(choice)]);
    }
}
