//! Chat completions and completions, which differ in little but names.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::super::endpoint::Endpoint;
use super::super::sse::{SseEvent, SseSplitter};
use super::super::usage::Usage;
use super::{Unreplayable, assemble, each_event, filled, object, openai_usage, write};

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

    fn chunk_object(self) -> &'static str {
        match self {
            Self::Chat => "chat.completion.chunk",
            Self::Text => "text_completion",
        }
    }
}

/// Fields that every chunk repeats.
const REPEATED: [&str; 5] = [
    "id",
    "created",
    "model",
    "system_fingerprint",
    "service_tier",
];

const DONE: &[u8] = b"data: [DONE]\n\n";

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

/// A recorded stream with the usage chunk that the client asked for, or without the one that it did not ask for. Usage
/// that rides on a chunk with choices is left there; `fallback` is told when the stream has none at all. All other bytes
/// stay as they were recorded, and streams of other endpoints stay whole.
pub fn with_usage(endpoint: Endpoint, sse: &[u8], include_usage: bool, fallback: Usage) -> Vec<u8> {
    if !matches!(endpoint, Endpoint::ChatCompletions | Endpoint::Completions) {
        return sse.to_vec();
    }
    let mut out = Vec::with_capacity(sse.len() + 256);
    let mut head = Map::new();
    let mut told = false;
    let mut done_at = None;
    for frame in frames(sse) {
        let mut is_usage_chunk = false;
        let mut read = |event: SseEvent<'_>| {
            if event.data.trim_ascii() == b"[DONE]" {
                done_at = done_at.or(Some(out.len()));
            } else if let Ok(chunk) = object(event.data) {
                let usage = filled(&chunk, "usage");
                told |= usage;
                is_usage_chunk = usage && chunk.get("choices") == Some(&Value::Array(Vec::new()));
                head = chunk;
            }
        };
        let mut splitter = SseSplitter::new(usize::MAX);
        splitter.push(frame, &mut read);
        splitter.finish(&mut read);
        if include_usage || !is_usage_chunk {
            out.extend_from_slice(frame);
        }
    }
    if include_usage && !told && !head.is_empty() {
        head.retain(|name, _| REPEATED.contains(&&**name) || name == "object");
        head.insert("choices".to_owned(), json!([]));
        head.insert("usage".to_owned(), openai_usage(fallback));
        let mut chunk = Vec::new();
        write::data(&mut chunk, &Value::Object(head));
        let at = done_at.unwrap_or(out.len());
        out.splice(at..at, chunk);
    }
    out
}

/// The stream cut after each event's blank line; together they are the stream.
fn frames(mut sse: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let mut at = 0;
        let mut line_is_empty = true;
        let end = loop {
            let Some(byte) = sse.get(at) else {
                break sse.len();
            };
            at += 1;
            if !matches!(byte, b'\n' | b'\r') {
                line_is_empty = false;
                continue;
            }
            if *byte == b'\r' && sse.get(at) == Some(&b'\n') {
                at += 1;
            }
            if std::mem::replace(&mut line_is_empty, true) {
                break at;
            }
        };
        let (frame, rest) = sse.split_at(end);
        sse = rest;
        (!frame.is_empty()).then_some(frame)
    })
}
