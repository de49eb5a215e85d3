//! Lays the deltas of a stream over each other.

use serde_json::{Map, Value};

/// Strings that come in pieces. Any other string is whole each time, and the last one counts.
const IN_PIECES: [&str; 11] = [
    "content",
    "reasoning_content",
    "reasoning",
    "refusal",
    "arguments",
    "text",
    "thinking",
    "summary",
    "data",
    "transcript",
    "input",
];

/// Lays `delta` over `whole`: pieces of text are joined, lists grow (items with the same `index` are one), the rest is
/// replaced. A null says nothing.
pub(super) fn merge(whole: &mut Map<String, Value>, delta: Map<String, Value>) {
    for (name, value) in delta {
        let in_pieces = IN_PIECES.contains(&name.as_str());
        match whole.get_mut(&name) {
            Some(Value::Null) | None => {
                // Also a first list goes through the merge, since it may hold the same item twice.
                let first = match value {
                    Value::Array(items) => Value::Array(extended(Vec::new(), items)),
                    value => value,
                };
                whole.insert(name, first);
            }
            Some(known) => lay_over(known, value, in_pieces),
        }
    }
}

fn lay_over(known: &mut Value, value: Value, in_pieces: bool) {
    match (known, value) {
        (_, Value::Null) => {}
        (Value::String(known), Value::String(piece)) if in_pieces => known.push_str(&piece),
        (Value::String(known), Value::String(later)) if later.is_empty() && !known.is_empty() => {}
        (Value::Array(known), Value::Array(items)) => {
            *known = extended(std::mem::take(known), items)
        }
        (Value::Object(known), Value::Object(fields)) => merge(known, fields),
        (known, later) => *known = later,
    }
}

fn extended(mut list: Vec<Value>, items: Vec<Value>) -> Vec<Value> {
    for item in items {
        let place = item.as_object().and_then(|item| same(&list, item));
        match (place.and_then(|place| list.get_mut(place)), item) {
            (Some(Value::Object(known)), Value::Object(item)) => merge(known, item),
            (_, item) => list.push(item),
        }
    }
    list
}

/// Where the list holds an earlier piece of this item. A tool call without an index goes by its id, and one without
/// either goes on with the last call.
fn same(list: &[Value], item: &Map<String, Value>) -> Option<usize> {
    if let Some(index) = item.get("index").filter(|index| index.is_u64()) {
        return list
            .iter()
            .position(|known| known.get("index") == Some(index));
    }
    let is_call = item.contains_key("function");
    let id = item
        .get("id")
        .and_then(Value::as_str)
        .filter(|id| !id.is_empty());
    match (is_call, id) {
        (true, Some(id)) => list
            .iter()
            .position(|known| known.get("id").and_then(Value::as_str) == Some(id)),
        (true, None) => list.len().checked_sub(1),
        (false, _) => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn merged(deltas: Vec<Value>) -> Value {
        let mut whole = Map::new();
        for delta in deltas {
            let Value::Object(delta) = delta else {
                panic!("a delta is an object")
            };
            merge(&mut whole, delta);
        }
        Value::Object(whole)
    }

    #[test]
    fn text_grows_and_names_do_not() {
        let whole = merged(vec![
            json!({"role": "assistant", "content": null, "channel": "analysis"}),
            json!({"role": "assistant", "content": "a", "channel": "final"}),
            json!({"role": "", "content": "b", "refusal": null}),
        ]);
        assert_eq!(
            whole,
            json!({"role": "assistant", "content": "ab", "channel": "final", "refusal": null})
        );
    }

    #[test]
    fn calls_are_told_apart_by_index_then_id_then_order() {
        let indexed = merged(vec![
            json!({"tool_calls": [{"index": 0, "id": "a", "function": {"name": "f", "arguments": ""}}]}),
            json!({"tool_calls": [{"index": 1, "id": "b", "function": {"name": "g", "arguments": "{}"}}]}),
            json!({"tool_calls": [{"index": 0, "function": {"name": null, "arguments": "[]"}}]}),
        ]);
        assert_eq!(
            indexed["tool_calls"][0]["function"],
            json!({"name": "f", "arguments": "[]"})
        );
        assert_eq!(indexed["tool_calls"][1]["id"], "b");
        let bare = merged(vec![
            json!({"tool_calls": [{"id": "a", "function": {"name": "f", "arguments": "1"}}]}),
            json!({"tool_calls": [{"function": {"arguments": "2"}}]}),
            json!({"tool_calls": [{"id": "b", "function": {"name": "f", "arguments": "3"}}]}),
        ]);
        let arguments: Vec<_> = bare["tool_calls"]
            .as_array()
            .unwrap()
            .iter()
            .map(|call| &call["function"]["arguments"])
            .collect();
        assert_eq!(arguments, ["12", "3"]);
    }

    #[test]
    fn lists_without_indices_grow() {
        let whole = merged(vec![
            json!({"logprobs": {"content": [{"token": "a"}]}}),
            json!({"logprobs": {"content": [{"token": "a"}]}}),
        ]);
        assert_eq!(
            whole,
            json!({"logprobs": {"content": [{"token": "a"}, {"token": "a"}]}})
        );
    }
}
