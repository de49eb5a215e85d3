mod reference;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn parse(endpoint: Endpoint, body: &str) -> Result<RequestView, Malformed> {
    RequestView::parse(endpoint, &Bytes::copy_from_slice(body.as_bytes()))
}

fn view(endpoint: Endpoint, body: Value) -> RequestView {
    parse(endpoint, &body.to_string()).unwrap()
}

fn refused(body: &str) -> Malformed {
    parse(Endpoint::ChatCompletions, body).unwrap_err()
}

#[test]
fn a_chat_request_tells_all_that_admission_needs() {
    let view = view(
        Endpoint::ChatCompletions,
        json!({
            "model": "m", "stream": true, "stream_options": {"include_usage": true}, "max_tokens": 5,
            "max_completion_tokens": 50, "n": 2, "temperature": 0.5, "logprobs": true,
            "messages": [{"role": "system", "content": "abc"}, {"role": "user", "content": [{"type": "text", "text": "dé"}]}],
        }),
    );
    assert_eq!(
        (view.model.as_deref(), view.stream, view.include_usage),
        (Some("m"), true, true)
    );
    assert_eq!(
        (
            view.max_output_tokens,
            view.n,
            view.temperature,
            view.logprobs
        ),
        (Some(50), 2, Some(0.5), true)
    );
    assert_eq!((view.prompt_text_bytes, view.non_ascii_bytes), (6, 2));
    assert_eq!(view.last_user_text().as_deref(), Some("dé"));
    assert!(!view.has_tools && !view.has_tool_turns && !view.has_images);
}

#[test]
fn what_is_wrong_and_where_is_said() {
    assert_eq!(
        refused("{\"model\":\n oops}").at,
        Place::Text { line: 2, column: 2 }
    );
    assert!(
        refused("{\"model\":\n oops}")
            .to_string()
            .ends_with(" at line 2, column 2")
    );
    assert_eq!(
        refused("[]").to_string(),
        "the body must be an object, not an array"
    );
    assert_eq!(
        refused(r#"{"model":7}"#).to_string(),
        "'model' must be a string, not a number"
    );
    assert_eq!(refused(r#"{"model":null}"#).field(), Some("model"));
    assert_eq!(
        refused(r#"{"model":"m","stream":"yes"}"#).field(),
        Some("stream")
    );
    assert!(matches!(refused("").at, Place::Text { .. }));
}

#[test]
fn deep_nesting_is_refused_and_not_a_crash() {
    let deep = format!(
        "{{\"messages\":{}{}}}",
        "[".repeat(100_000),
        "]".repeat(100_000)
    );
    assert!(refused(&deep).what.contains("recursion limit"));
}

#[test]
fn bounds_that_mean_no_limit_are_no_bound() {
    for odd in [json!(-1), json!("many"), json!(null), json!(1e30)] {
        assert_eq!(
            view(Endpoint::ChatCompletions, json!({"max_tokens": odd})).max_output_tokens,
            None
        );
    }
    assert_eq!(
        view(Endpoint::Responses, json!({"max_output_tokens": 9})).max_output_tokens,
        Some(9)
    );
    assert_eq!(
        view(Endpoint::Messages, json!({"max_tokens": 9})).max_output_tokens,
        Some(9)
    );
    assert_eq!(
        view(Endpoint::Embeddings, json!({"input": "x"})).max_output_tokens,
        Some(0)
    );
}

#[test]
fn token_ids_count_four_bytes() {
    for (prompt, bytes) in [
        (json!([1, 2, 3]), 12),
        (json!([[1], [2, 3]]), 12),
        (json!(["ab", "c"]), 3),
        (json!("abc"), 3),
    ] {
        assert_eq!(
            view(Endpoint::Embeddings, json!({"input": prompt})).prompt_text_bytes,
            bytes
        );
        assert_eq!(
            view(Endpoint::Completions, json!({"prompt": prompt})).prompt_text_bytes,
            bytes
        );
    }
}

#[test]
fn images_are_seen_and_their_bytes_are_not_text() {
    let data = "A".repeat(10_000);
    for part in [
        json!({"type": "image_url", "image_url": {"url": format!("data:image/png;base64,{data}")}}),
        json!({"type": "image", "source": {"type": "base64", "data": data}}),
        json!({"type": "input_audio", "input_audio": {"data": data}}),
    ] {
        let content = json!([{"type": "text", "text": "what?"}, part]);
        let view = view(
            Endpoint::Messages,
            json!({"messages": [{"role": "user", "content": content}]}),
        );
        assert_eq!(
            (
                view.has_images,
                view.prompt_text_bytes,
                view.last_user_text()
            ),
            (true, 5, None)
        );
    }
}

#[test]
fn tool_turns_are_seen_in_every_dialect() {
    let cases = [
        (
            Endpoint::ChatCompletions,
            json!({"messages": [{"role": "tool", "tool_call_id": "x", "content": "42"}]}),
        ),
        (
            Endpoint::ChatCompletions,
            json!({"messages": [{"role": "assistant", "tool_calls": [{"id": "x"}]}]}),
        ),
        (
            Endpoint::Messages,
            json!({"messages": [{"role": "user", "content": [{"type": "tool_result", "content": "42"}]}]}),
        ),
        (
            Endpoint::Responses,
            json!({"input": [{"type": "function_call_output", "output": "42"}]}),
        ),
        (
            Endpoint::Responses,
            json!({"input": [{"type": "web_search_call"}, {"role": "user", "content": "x"}]}),
        ),
    ];
    for (endpoint, body) in cases {
        assert!(view(endpoint, body.clone()).has_tool_turns, "{body}");
    }
    let offered = view(
        Endpoint::ChatCompletions,
        json!({"tools": [{"type": "function"}], "messages": []}),
    );
    assert!(offered.has_tools && !offered.has_tool_turns);
    assert_eq!(
        offered.prompt_text_bytes,
        r#"[{"type":"function"}]"#.len() as u64
    );
}

#[test]
fn only_a_last_turn_of_the_user_is_the_last_user_text() {
    let last = |endpoint, body| view(endpoint, body).last_user_text().map(Cow::into_owned);
    let assistant = json!({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]});
    assert_eq!(last(Endpoint::ChatCompletions, assistant.clone()), None);
    assert_eq!(last(Endpoint::Messages, assistant), None);
    assert_eq!(
        last(Endpoint::Responses, json!({"input": "hi"})).as_deref(),
        Some("hi")
    );
    let item = json!({"input": [{"role": "user", "content": [{"type": "input_text", "text": "a"}, {"type": "input_text", "text": "b"}]}]});
    assert_eq!(last(Endpoint::Responses, item).as_deref(), Some("a\nb"));
    assert_eq!(
        last(Endpoint::Completions, json!({"prompt": "p"})).as_deref(),
        Some("p")
    );
    assert_eq!(last(Endpoint::Completions, json!({"prompt": ["p"]})), None);
    assert_eq!(last(Endpoint::Embeddings, json!({"input": "p"})), None);
    assert_eq!(
        last(Endpoint::ChatCompletions, json!({"messages": "x"})),
        None
    );
}

fn json_value() -> impl Strategy<Value = Value> {
    let word = prop::sample::select(vec!["user", "assistant", "text", "tool", "image", "é", ""]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        word.prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ];
    let name = prop::sample::select(vec![
        "role",
        "content",
        "type",
        "text",
        "messages",
        "input",
        "prompt",
        "tools",
        "max_tokens",
        "n",
        "source",
        "tool_calls",
        "stream_options",
        "system",
        "logprobs",
        "include",
        "data",
    ]);
    leaf.prop_recursive(5, 64, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((name.clone(), inner), 0..6).prop_map(|fields| {
                Value::Object(
                    fields
                        .into_iter()
                        .map(|(name, value)| (name.to_owned(), value))
                        .collect(),
                )
            }),
        ]
    })
}

proptest! {
    #[test]
    fn parse_never_panics_on_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        for endpoint in Endpoint::ALL {
            let _ = RequestView::parse(endpoint, &Bytes::copy_from_slice(&bytes));
        }
    }

    #[test]
    fn parse_reads_any_object_and_counts_no_more_than_is_there(body in json_value()) {
        let text = body.to_string();
        for endpoint in Endpoint::ALL {
            match parse(endpoint, &text) {
                Ok(view) => {
                    prop_assert!(view.non_ascii_bytes <= view.prompt_text_bytes);
                    // Token ids count four bytes however short they are written.
                    let whole = 4 * text.len() as u64;
                    prop_assert!(view.prompt_text_bytes <= whole);
                    prop_assert_eq!(serde_json::to_value(view.body.root()).unwrap(), body.clone());
                }
                Err(_) => prop_assert!(!body.is_object() || body.get("stream").is_some() || body.get("model").is_some()),
            }
        }
    }

    #[test]
    fn what_is_read_is_what_a_tree_of_the_same_body_says(body in json_value()) {
        let fields = body.as_object().cloned().unwrap_or_default();
        for endpoint in Endpoint::ALL {
            if let Ok(view) = parse(endpoint, &body.to_string()) {
                prop_assert_eq!(reference::Read::from(&view), reference::read(endpoint, &fields));
            }
        }
    }
}
