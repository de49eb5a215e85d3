//! The usage chunk of a recorded chat or completion stream: there for clients that ask, and for no others.

use serde_json::{Map, Value, json};

use super::super::endpoint::Endpoint;
use super::super::sse::{SseEvent, SseSplitter};
use super::super::usage::Usage;
use super::chunks::REPEATED;
use super::{filled, object, openai_usage, write};

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
        // Most chunks are deltas that say nothing of usage; one is enough to know what all of them repeat.
        let is_delta =
            !head.is_empty() && !contains(frame, b"\"usage\"") && !contains(frame, b"[DONE]");
        if is_delta {
            out.extend_from_slice(frame);
            continue;
        }
        let mut is_usage_chunk = false;
        let mut read = |event: SseEvent<'_>| {
            if event.data.trim_ascii() == b"[DONE]" {
                done_at = done_at.or(Some(out.len()));
            } else if let Ok(chunk) = object(event.data) {
                let usage = filled(&chunk, "usage");
                told |= usage;
                is_usage_chunk = usage && chunk.get("choices") == Some(&Value::Array(Vec::new()));
                if head.is_empty() {
                    head = chunk;
                }
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

fn contains(frame: &[u8], word: &[u8]) -> bool {
    frame.windows(word.len()).any(|window| window == word)
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
