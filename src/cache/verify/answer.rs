//! When two answers are the same.
//!
//! Short ones are when their words are. Two long texts hardly ever agree word for word; whether they say the same is for
//! those to tell who can compare their meaning, and what they told is kept with the entry.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::Value;

use crate::cache::entry::Answer;
use crate::llm::{Endpoint, Usage, replay};

/// Longest answer, in bytes of its words, that is compared word for word.
pub const SHORT: usize = 120;

/// What an answer says; equal for entries that say the same. Worked out when it is first asked for.
#[derive(Debug, Clone, Default)]
pub struct AnswerClass(Arc<AtomicU64>);

impl AnswerClass {
    /// The class of `answer`.
    #[must_use]
    pub fn of(&self, answer: &Answer) -> u64 {
        match self.0.load(Ordering::Relaxed) {
            0 => {
                let class = digest(&words(answer));
                self.set(class);
                class
            }
            known => known,
        }
    }

    /// Someone compared: it says the same as those of `class`.
    pub fn set(&self, class: u64) {
        self.0.store(class.max(1), Ordering::Relaxed);
    }
}

fn digest(words: &str) -> u64 {
    let hash = blake3::hash(words.as_bytes());
    let first = hash.as_bytes().first_chunk().copied().unwrap_or_default();
    u64::from_le_bytes(first).max(1)
}

/// The words of an answer, without what may differ between two that say the same: case, spaces, the last full stop. The
/// whole body where no words are found.
#[must_use]
pub fn words(answer: &Answer) -> String {
    let said = text(answer).map(|text| plain(&text));
    said.filter(|words| !words.is_empty())
        .unwrap_or_else(|| String::from_utf8_lossy(&answer.body).into_owned())
}

/// What an answer says, as it says it; `None` where nothing is found.
#[must_use]
pub fn text(answer: &Answer) -> Option<String> {
    let body: Value = match answer.streamed {
        true => unstreamed(answer)?,
        false => serde_json::from_slice(&answer.body).ok()?,
    };
    let mut texts = Vec::new();
    for choice in items(&body, "choices") {
        let message = &choice["message"];
        gather(&message["content"], &mut texts);
        gather(&choice["text"], &mut texts);
        gather(&message["refusal"], &mut texts);
        if let Some(calls) = message.get("tool_calls").filter(|calls| !calls.is_null()) {
            // Their ids differ each time.
            for call in calls.as_array().into_iter().flatten() {
                texts.push(call["function"].to_string());
            }
        }
    }
    gather(&body["content"], &mut texts);
    for item in items(&body, "output") {
        gather(&item["content"], &mut texts);
        if !item["arguments"].is_null() {
            texts.push(format!("{} {}", item["name"], item["arguments"]));
        }
    }
    let said = texts.join(" ");
    (!said.trim().is_empty()).then_some(said)
}

/// Endpoints share names; a stream is that of the one that can read it.
fn unstreamed(answer: &Answer) -> Option<Value> {
    Endpoint::ALL
        .into_iter()
        .filter(|endpoint| endpoint.name() == answer.endpoint)
        .find_map(|endpoint| replay::to_json(endpoint, &answer.body, Usage::default()).ok())
        .and_then(|whole| serde_json::from_slice(&whole).ok())
}

fn items<'a>(body: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    body[name].as_array().into_iter().flatten()
}

fn gather(content: &Value, texts: &mut Vec<String>) {
    match content {
        Value::String(text) => texts.push(text.clone()),
        Value::Array(parts) => {
            for part in parts {
                match part["text"].as_str() {
                    Some(text) => texts.push(text.to_owned()),
                    None => texts.push(part["input"].to_string()),
                }
            }
        }
        _ => {}
    }
}

fn plain(text: &str) -> String {
    let words: Vec<String> = text.split_whitespace().map(str::to_lowercase).collect();
    words.join(" ").trim_end_matches(['.', '!']).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::entry::tests::answer;

    fn class(body: &str) -> u64 {
        AnswerClass::default().of(&answer(body))
    }

    fn chat(text: &str, id: &str) -> String {
        serde_json::json!({
            "id": id, "object": "chat.completion", "created": 1, "model": "m",
            "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}],
        })
        .to_string()
    }

    #[test]
    fn answers_are_the_same_whatever_their_ids_and_their_case() {
        assert_eq!(
            class(&chat("Card arrival.", "a")),
            class(&chat("card  arrival", "b"))
        );
        assert_ne!(
            class(&chat("card arrival", "a")),
            class(&chat("card linking", "a"))
        );
    }

    #[test]
    fn a_stream_says_the_same_as_its_json() {
        let json = chat("card arrival", "a");
        let stream = replay::to_sse(Endpoint::ChatCompletions, json.as_bytes(), false).unwrap();
        let streamed = Answer {
            streamed: true,
            body: stream.into(),
            ..answer("")
        };
        assert_eq!(AnswerClass::default().of(&streamed), class(&json));
    }

    #[test]
    fn streams_of_every_dialect_are_read() {
        let whole = serde_json::json!({
            "id": "msg_1", "type": "message", "role": "assistant", "model": "m",
            "content": [{"type": "text", "text": "card arrival"}],
            "stop_reason": "end_turn", "usage": {"input_tokens": 1, "output_tokens": 2},
        });
        let stream = replay::to_sse(Endpoint::Messages, whole.to_string().as_bytes(), false);
        let streamed = Answer {
            streamed: true,
            body: stream.unwrap().into(),
            ..answer("")
        };
        assert_eq!(words(&streamed), "card arrival");
    }

    #[test]
    fn what_someone_told_is_kept() {
        let told = AnswerClass::default();
        told.set(42);
        assert_eq!(told.clone().of(&answer("anything")), 42);
    }

    #[test]
    fn bodies_that_are_no_answers_are_compared_whole() {
        assert_eq!(class("x"), class("x"));
        assert_ne!(class("x"), class("y"));
        assert_ne!(class("{}"), class("[]"));
    }
}
