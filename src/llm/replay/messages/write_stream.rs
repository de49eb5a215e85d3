//! Writes messages as streams.

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::super::{Unreplayable, filled, kind_of, object, write};

/// The parts of an answer that are passed on as text.
#[derive(Deserialize)]
struct Raw<'a> {
    #[serde(borrow)]
    content: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct RawBlock<'a> {
    #[serde(borrow)]
    input: Option<&'a RawValue>,
}

pub(in crate::llm::replay) fn to_sse(answer: &[u8]) -> Result<Vec<u8>, Unreplayable> {
    let mut message = object(answer)?;
    if kind_of(&message) == "error" || filled(&message, "error") {
        return Err(Unreplayable::Failed);
    }
    if !filled(&message, "stop_reason") {
        return Err(Unreplayable::Incomplete("stop_reason"));
    }
    let raw: Raw<'_> = serde_json::from_slice(answer)?;
    let usage = message.get("usage").cloned().unwrap_or_default();
    let mut delta = Map::new();
    for name in ["stop_reason", "stop_sequence", "stop_details", "container"] {
        if let Some(value) = message.get_mut(name) {
            delta.insert(name.to_owned(), value.take());
        }
    }
    message.insert("content".to_owned(), json!([]));
    if let Some(output) = message
        .get_mut("usage")
        .and_then(|usage| usage.get_mut("output_tokens"))
    {
        *output = output.as_u64().unwrap_or(0).min(1).into();
    }
    let mut out = Vec::with_capacity(2 * answer.len());
    write::event(
        &mut out,
        &json!({"type": "message_start", "message": message}),
    );
    for (index, block) in raw.content.into_iter().enumerate() {
        let input = serde_json::from_str::<RawBlock<'_>>(block.get())?.input;
        self::block(&mut out, index, object(block.get().as_bytes())?, input);
    }
    write::event(
        &mut out,
        &json!({"type": "message_delta", "delta": delta, "usage": usage}),
    );
    write::event(&mut out, &json!({"type": "message_stop"}));
    Ok(out)
}

fn block(out: &mut Vec<u8>, index: usize, mut block: Map<String, Value>, input: Option<&RawValue>) {
    let mut deltas = Vec::new();
    if let Some(input) = input {
        block.insert("input".to_owned(), json!({}));
        deltas.push(json!({"type": "input_json_delta", "partial_json": ""}));
        deltas.extend(
            write::pieces(input.get())
                .map(|piece| json!({"type": "input_json_delta", "partial_json": piece})),
        );
    }
    if let Some(Value::Array(citations)) = block.get_mut("citations") {
        let citations = citations.drain(..);
        deltas.extend(
            citations.map(|citation| json!({"type": "citations_delta", "citation": citation})),
        );
    }
    let texts: &[(&str, &str)] = match kind_of(&block) {
        "text" => &[("text", "text_delta")],
        "thinking" => &[
            ("thinking", "thinking_delta"),
            ("signature", "signature_delta"),
        ],
        _ => &[],
    };
    for (name, delta) in texts {
        if let Some(Value::String(text)) = block.get_mut(*name) {
            let text = std::mem::take(text);
            // A signature is one word to those who check it.
            let whole = (*name == "signature" && !text.is_empty()).then_some(text.as_str());
            let pieces = write::pieces(&text)
                .filter(|_| *name != "signature")
                .chain(whole);
            deltas.extend(pieces.map(|piece| json!({"type": delta, *name: piece})));
        }
    }
    write::event(
        out,
        &json!({"type": "content_block_start", "index": index, "content_block": block}),
    );
    for delta in deltas {
        write::event(
            out,
            &json!({"type": "content_block_delta", "index": index, "delta": delta}),
        );
    }
    write::event(out, &json!({"type": "content_block_stop", "index": index}));
}
