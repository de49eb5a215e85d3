//! The Responses API. Its last event holds the whole answer, so reading a stream means finding that.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::super::usage::Usage;
use super::{Unreplayable, each_event, filled, kind_of, object, write};

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(rename = "type")]
    kind: String,
    output_index: Option<u64>,
    #[serde(borrow)]
    item: Option<&'a RawValue>,
    #[serde(borrow)]
    response: Option<&'a RawValue>,
}

pub(super) fn to_json(sse: &[u8], fallback: Usage) -> Result<Vec<u8>, Unreplayable> {
    let mut last: Option<String> = None;
    let mut items = BTreeMap::new();
    each_event(sse, |event| {
        if event.data.trim_ascii() == b"[DONE]" {
            return Ok(());
        }
        let event: Event<'_> = serde_json::from_slice(event.data)?;
        match (event.kind.as_str(), event.response, event.item) {
            ("error" | "response.failed" | "response.cancelled", ..) => {
                return Err(Unreplayable::Failed);
            }
            ("response.created", ..) => {
                last = None;
                items.clear();
            }
            ("response.completed" | "response.incomplete", Some(response), _) => {
                last = Some(response.get().to_owned())
            }
            ("response.output_item.done", _, Some(item)) => {
                items.insert(
                    event.output_index.unwrap_or(items.len() as u64),
                    item.get().to_owned(),
                );
            }
            _ => {}
        }
        Ok(())
    })?;
    let last = last.ok_or(Unreplayable::Incomplete("response.completed"))?;
    let mut response = object(last.as_bytes())?;
    if filled(&response, "error") {
        return Err(Unreplayable::Failed);
    }
    let no_output = response
        .get("output")
        .and_then(Value::as_array)
        .is_none_or(Vec::is_empty);
    let lacks_items = no_output && !items.is_empty();
    if filled(&response, "usage") && !lacks_items {
        return Ok(last.into_bytes());
    }
    if lacks_items {
        let items = items
            .values()
            .map(|item| serde_json::from_str(item))
            .collect::<Result<Vec<Value>, _>>()?;
        response.insert("output".to_owned(), items.into());
    }
    if !filled(&response, "usage") {
        let usage = json!({
            "input_tokens": fallback.input_tokens,
            "input_tokens_details": {"cached_tokens": fallback.cached_input_tokens},
            "output_tokens": fallback.output_tokens,
            "total_tokens": fallback.total_tokens(),
        });
        response.insert("usage".to_owned(), usage);
    }
    Ok(Value::Object(response).to_string().into_bytes())
}

pub(super) fn to_sse(answer: &[u8]) -> Result<Vec<u8>, Unreplayable> {
    let response = object(answer)?;
    if filled(&response, "error") {
        return Err(Unreplayable::Failed);
    }
    let last = match response.get("status").and_then(Value::as_str) {
        Some("completed") => "response.completed",
        Some("incomplete") => "response.incomplete",
        _ => return Err(Unreplayable::Incomplete("end")),
    };
    let Some(Value::Array(output)) = response.get("output") else {
        return Err(Unreplayable::Incomplete("output"));
    };
    let mut begun = response.clone();
    begun.insert("status".to_owned(), "in_progress".into());
    begun.insert("output".to_owned(), json!([]));
    for later in ["usage", "completed_at", "incomplete_details"] {
        begun.insert(later.to_owned(), Value::Null);
    }
    let mut events = Events {
        out: Vec::with_capacity(4 * answer.len()),
        sequence: 0,
    };
    events.send(json!({"type": "response.created", "response": begun}));
    events.send(json!({"type": "response.in_progress", "response": begun}));
    for (place, item) in output.iter().enumerate() {
        events.item(place, item);
    }
    events.send_raw(
        last,
        &serde_json::from_slice::<&RawValue>(answer)?
            .get()
            .replace(['\n', '\r'], " "),
    );
    Ok(events.out)
}

struct Events {
    out: Vec<u8>,
    sequence: u64,
}

impl Events {
    fn send(&mut self, mut event: Value) {
        if let Some(event) = event.as_object_mut() {
            event.insert("sequence_number".to_owned(), self.sequence.into());
        }
        self.sequence += 1;
        write::event(&mut self.out, &event);
    }

    /// The last event, with the answer as it was stored. Line ends in JSON can only be space between tokens.
    fn send_raw(&mut self, kind: &str, response: &str) {
        let sequence = self.sequence;
        let event = format!(
            "event: {kind}\ndata: {{\"type\":\"{kind}\",\"sequence_number\":{sequence},\"response\":{response}}}\n\n"
        );
        self.sequence += 1;
        self.out.extend_from_slice(event.as_bytes());
    }

    fn item(&mut self, place: usize, item: &Value) {
        let mut begun = item.clone();
        if let Some(begun) = begun.as_object_mut() {
            begun.insert("status".to_owned(), "in_progress".into());
            for (name, empty) in [
                ("content", json!([])),
                ("summary", json!([])),
                ("arguments", json!("")),
            ] {
                if filled(begun, name) {
                    begun.insert(name.to_owned(), empty);
                }
            }
        }
        self.send(
            json!({"type": "response.output_item.added", "output_index": place, "item": begun}),
        );
        if let Some(fields) = item.as_object() {
            self.inside(place, fields);
        }
        self.send(
            json!({"type": "response.output_item.done", "output_index": place, "item": item}),
        );
    }

    /// The text of an item, in deltas.
    fn inside(&mut self, place: usize, item: &Map<String, Value>) {
        let at = Map::from_iter([
            (
                "item_id".to_owned(),
                item.get("id").cloned().unwrap_or_default(),
            ),
            ("output_index".to_owned(), place.into()),
        ]);
        if let (Some(arguments), "function_call") =
            (item.get("arguments").and_then(Value::as_str), kind_of(item))
        {
            self.text("function_call_arguments", &at, arguments, "arguments");
        }
        let list = |name| {
            item.get(name)
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
                .enumerate()
        };
        for (index, part) in list("summary") {
            let mut at = at.clone();
            at.insert("summary_index".to_owned(), index.into());
            self.part(
                "reasoning_summary_part",
                "reasoning_summary_text",
                &at,
                part,
                "text",
            );
        }
        for (index, part) in list("content") {
            let mut at = at.clone();
            at.insert("content_index".to_owned(), index.into());
            let (text, name) = match part.get("type").and_then(Value::as_str) {
                Some("refusal") => ("refusal", "refusal"),
                Some("reasoning_text") => ("reasoning_text", "text"),
                _ => ("output_text", "text"),
            };
            self.part("content_part", text, &at, part, name);
        }
    }

    fn part(
        &mut self,
        part_event: &str,
        text_event: &str,
        at: &Map<String, Value>,
        part: &Value,
        name: &str,
    ) {
        let mut begun = part.clone();
        if let Some(text) = begun.get_mut(name) {
            *text = "".into();
        }
        self.send(with(
            at,
            json!({"type": format!("response.{part_event}.added"), "part": begun}),
        ));
        if let Some(text) = part.get(name).and_then(Value::as_str) {
            self.text(text_event, at, text, name);
        }
        self.send(with(
            at,
            json!({"type": format!("response.{part_event}.done"), "part": part}),
        ));
    }

    fn text(&mut self, event: &str, at: &Map<String, Value>, text: &str, name: &str) {
        let is_output = event == "output_text";
        for piece in write::pieces(text) {
            let mut delta = json!({"type": format!("response.{event}.delta"), "delta": piece});
            if is_output {
                delta["logprobs"] = json!([]);
            }
            self.send(with(at, delta));
        }
        let mut done = json!({"type": format!("response.{event}.done"), name: text});
        if is_output {
            done["logprobs"] = json!([]);
        }
        self.send(with(at, done));
    }
}

fn with(at: &Map<String, Value>, mut event: Value) -> Value {
    if let Some(event) = event.as_object_mut() {
        event.extend(at.clone());
    }
    event
}
