use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::llm::replay::{to_json, to_sse};
use crate::llm::usage::Usage;

const RANDOM: u128 = 0xfeed_0000_0000_0000_0000_0000_0000_beef;
const TAIL: &str = "feed000000000000000000000000beef";
const NOW: u64 = 4_000_000_007;

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(NOW)
}

/// The answer as it is given again; as it was where nothing can be told.
fn again(endpoint: Endpoint, streamed: bool, answer: &str) -> String {
    match Stamp::of(endpoint, streamed, answer.as_bytes()) {
        Some(stamp) => {
            let renewed = stamp.renew(answer.as_bytes(), RANDOM, now());
            assert_eq!(renewed.len(), renewed.capacity());
            String::from_utf8(renewed).unwrap()
        }
        None => answer.to_owned(),
    }
}

fn chat(id: &str, text: &str) -> Value {
    json!({
        "id": id, "object": "chat.completion", "created": 1_700_000_000, "model": "m",
        "choices": [{"index": 0, "finish_reason": "tool_calls", "logprobs": null, "message": {
            "role": "assistant", "content": text,
            "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
        }}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3},
    })
}

fn whole(endpoint: Endpoint, id: &str, text: &str) -> Value {
    match endpoint {
        Endpoint::ChatCompletions => chat(id, text),
        Endpoint::Completions => json!({
            "id": id, "object": "text_completion", "created": 1_700_000_000, "model": "m",
            "choices": [{"index": 0, "text": text, "finish_reason": "stop", "logprobs": null}],
            "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3},
        }),
        Endpoint::Messages => json!({
            "id": id, "type": "message", "role": "assistant", "model": "m",
            "content": [{"type": "text", "text": text}, {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"id": id}}],
            "stop_reason": "end_turn", "stop_sequence": null, "usage": {"input_tokens": 1, "output_tokens": 2},
        }),
        _ => json!({
            "id": id, "object": "response", "created_at": 1_700_000_000, "completed_at": 1_700_000_009, "status": "completed",
            "error": null, "model": "m", "store": false,
            "output": [
                {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed",
                    "content": [{"type": "output_text", "text": text, "annotations": []}]},
                {"id": "fc_1", "type": "function_call", "call_id": "call_1", "name": "f", "arguments": "{}"},
            ],
            "usage": {"input_tokens": 1, "output_tokens": 2},
        }),
    }
}

const ENDPOINTS: [Endpoint; 4] = [
    Endpoint::ChatCompletions,
    Endpoint::Completions,
    Endpoint::Messages,
    Endpoint::Responses,
];

#[test]
fn every_endpoint_gets_an_id_of_its_kind_and_the_time_in_both_forms() {
    for (endpoint, id) in
        ENDPOINTS
            .into_iter()
            .zip(["chatcmpl-9Ab3", "cmpl-0f", "msg_bdrk_01Xy", "resp_67c"])
    {
        let answer = whole(endpoint, id, "hello");
        let mut expected = answer.clone();
        expected["id"] = format!("{}{TAIL}", kind(id)).into();
        for name in ["created", "created_at", "completed_at"] {
            if expected.get(name).is_some() {
                expected[name] = NOW.into();
            }
        }
        // Its tool has an argument of this name and value.
        if endpoint == Endpoint::Messages {
            expected["id"] = id.into();
        }
        let json = again(endpoint, false, &answer.to_string());
        assert_eq!(json, expected.to_string(), "{endpoint:?}");
        if endpoint == Endpoint::Messages {
            expected["id"] = format!("msg_bdrk_{TAIL}").into();
        }
        let sse = to_sse(endpoint, answer.to_string().as_bytes(), true).unwrap();
        let sse = again(endpoint, true, std::str::from_utf8(&sse).unwrap());
        let spelt = to_json(endpoint, sse.as_bytes(), Usage::default()).unwrap();
        let spelt: Value = serde_json::from_slice(&spelt).unwrap();
        assert_eq!(spelt, expected, "{endpoint:?}");
        assert_eq!(
            sse.matches(TAIL).count(),
            sse.matches(&format!("\"{}{TAIL}\"", kind(id))).count()
        );
    }
}

#[test]
fn an_id_that_also_names_something_else_stays() {
    let mut answer = chat("call_1", "x");
    let mut expected = answer.clone();
    expected["created"] = NOW.into();
    let json = again(Endpoint::ChatCompletions, false, &answer.to_string());
    assert_eq!(json, expected.to_string());
    let sse = to_sse(
        Endpoint::ChatCompletions,
        answer.to_string().as_bytes(),
        true,
    )
    .unwrap();
    let sse = again(
        Endpoint::ChatCompletions,
        true,
        std::str::from_utf8(&sse).unwrap(),
    );
    assert!(!sse.contains(TAIL) && sse.contains("\"created\":4000000007"));
    answer["created"] = Value::Null;
    let answer = answer.to_string();
    assert_eq!(again(Endpoint::ChatCompletions, false, &answer), answer);
}

#[test]
fn what_is_written_in_other_ways_is_found_or_left() {
    let cell = |answer: &str| again(Endpoint::ChatCompletions, false, answer);
    assert_eq!(
        cell("{ \"created\" : 12.50,\n \"id\"\t: \"a\" }"),
        format!("{{ \"created\" : {NOW}.50,\n \"id\"\t: \"{TAIL}\" }}")
    );
    assert_eq!(
        cell(r#"{"id":"","created":0}"#),
        format!(r#"{{"id":"","created":{NOW}}}"#)
    );
    for left in [
        r#"{"i\u0064":"a"}"#,
        r#"{"id":"a\n"}"#,
        r#"{"id":7,"created":"1"}"#,
        r#"{"id":"a","id":"b","created":1}"#,
        r#"{"id":"a b","created":-1}"#,
        r#"{"created":1e9}"#,
        r#"[{"id":"a"}]"#,
        "{}",
        "",
        "no JSON",
    ] {
        assert_eq!(cell(left), left);
    }
}

#[test]
fn streams_with_odd_chunks_are_changed_where_it_is_safe() {
    let cell = |answer: &str| again(Endpoint::ChatCompletions, true, answer);
    // A first chunk without an id, times that differ, a comment, and line ends of another kind.
    assert_eq!(
        cell(
            "data: {\"id\":\"\",\"created\":0}\r\n\r\n: \"x\"\n\ndata:{\"id\":\"c-1\",\"created\":5}\n\nevent: x\ndata: {\"id\":\"c-1\",\"created\":16}\n\ndata: [DONE]\n\n"
        ),
        format!(
            "data: {{\"id\":\"\",\"created\":{NOW}}}\r\n\r\n: \"x\"\n\ndata:{{\"id\":\"c-{TAIL}\",\"created\":{NOW}}}\n\nevent: x\ndata: {{\"id\":\"c-{TAIL}\",\"created\":{NOW}}}\n\ndata: [DONE]\n\n"
        )
    );
    for left in [
        // Two ids.
        "data: {\"id\":\"a\"}\n\ndata: {\"id\":\"b\"}\n\ndata: [DONE]\n\n",
        // Its bytes stand in a comment as well.
        "data: {\"id\":\"a\"}\n\n: \"id\":\"a\"\n\n",
        // An event in two lines, and one that is no JSON.
        "data: {\"id\":\ndata: \"a\"}\n\n",
        "data: {\"id\":\"a\"}\n\ndata: what\n\n",
    ] {
        assert_eq!(cell(left), left);
    }
}

#[test]
fn a_response_that_its_server_keeps_is_left() {
    let mut answer = whole(Endpoint::Responses, "resp_1", "x");
    answer["store"] = true.into();
    let json = answer.to_string();
    assert_eq!(again(Endpoint::Responses, false, &json), json);
    let sse = to_sse(Endpoint::Responses, json.as_bytes(), false).unwrap();
    assert_eq!(Stamp::of(Endpoint::Responses, true, &sse), None);
    assert_eq!(
        Stamp::of(Endpoint::Embeddings, false, json.as_bytes()),
        None
    );
}

/// Texts that look like the fields.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "\\PC{0,40}",
        Just(r#"{"id":"chatcmpl-1","created":1700000000,"created_at":1700000000}"#.to_owned()),
        Just("\\\"id\\\":\\\"chatcmpl-1\\\"\n\ndata: {\"id\":\"chatcmpl-1\"}\n\n".to_owned()),
        Just("chatcmpl-1 1700000000 4000000007".to_owned()),
    ]
}

proptest! {
    #[test]
    fn given_again_nothing_but_id_and_time_is_another(endpoint in prop::sample::select(ENDPOINTS.to_vec()), streamed: bool, text in text()) {
        let mut answer = whole(endpoint, "chatcmpl-1", &text);
        if endpoint == Endpoint::Messages {
            answer["content"][1]["input"] = json!({"text": text});
        }
        let mut recorded = answer.to_string();
        if streamed {
            recorded = String::from_utf8(to_sse(endpoint, recorded.as_bytes(), true).unwrap()).unwrap();
        }
        let renewed = again(endpoint, streamed, &recorded);
        prop_assert!(renewed.contains(TAIL));
        // With what was there before in their places it is the same, byte for byte.
        let mut back = renewed.replace(TAIL, "1");
        for (name, before) in [("created", 1_700_000_000), ("created_at", 1_700_000_000), ("completed_at", 1_700_000_009)] {
            back = back.replace(&format!("\"{name}\":{NOW}"), &format!("\"{name}\":{before}"));
        }
        prop_assert_eq!(back, recorded);
    }

    #[test]
    fn nothing_that_was_recorded_makes_it_panic(answer: Vec<u8>, streamed: bool, endpoint in prop::sample::select(ENDPOINTS.to_vec())) {
        let mut framed = b"data: {\"id\":\"a\",\"created\":1}\n\ndata: ".to_vec();
        framed.extend_from_slice(&answer);
        for answer in [answer, framed] {
            if let Some(stamp) = Stamp::of(endpoint, streamed, &answer) {
                let _ = stamp.renew(&answer, RANDOM, now());
            }
        }
    }
}
