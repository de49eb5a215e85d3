use proptest::prelude::*;

use super::*;
use crate::llm::answer::AnswerFacts;
use crate::llm::meter::StreamMeter;

const FALLBACK: Usage = Usage {
    input_tokens: 7,
    cached_input_tokens: 2,
    output_tokens: 3,
};

fn turned(endpoint: Endpoint, events: &[Value], done: bool) -> Result<Value, Unreplayable> {
    let mut sse: String = events
        .iter()
        .map(|event| format!("data: {event}\n\n"))
        .collect();
    if done {
        sse.push_str("data: [DONE]\n\n");
    }
    to_json(endpoint, sse.as_bytes(), FALLBACK).map(|json| serde_json::from_slice(&json).unwrap())
}

fn chat(events: &[Value]) -> Result<Value, Unreplayable> {
    turned(Endpoint::ChatCompletions, events, true)
}

fn choice(index: u64, delta: Value, finish: Option<&str>) -> Value {
    json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m",
        "choices": [{"index": index, "delta": delta, "finish_reason": finish}]})
}

fn chat_answer() -> Value {
    json!({
        "id": "c", "object": "chat.completion", "created": 1, "model": "m", "usage": {"prompt_tokens": 1, "completion_tokens": 2},
        "choices": [{"index": 0, "finish_reason": "stop", "logprobs": null, "message": {"role": "assistant", "content": "hi"}}],
    })
}

fn stream_of(endpoint: Endpoint, answer: &Value, include_usage: bool) -> String {
    String::from_utf8(to_sse(endpoint, answer.to_string().as_bytes(), include_usage).unwrap())
        .unwrap()
}

#[test]
fn interleaved_choices_and_tool_calls_are_told_apart() {
    let answer = chat(&[
        choice(0, json!({"role": "assistant", "content": "a"}), None),
        choice(1, json!({"role": "assistant", "content": null}), None),
        choice(1, json!({"tool_calls": [{"index": 0, "id": "x", "type": "function", "function": {"name": "f", "arguments": "{"}}]}), None),
        choice(0, json!({"content": "b"}), None),
        choice(1, json!({"tool_calls": [{"index": 0, "function": {"arguments": "}"}}]}), Some("tool_calls")),
        choice(0, json!({}), Some("stop")),
    ])
    .unwrap();
    assert_eq!(answer["object"], "chat.completion");
    assert_eq!(
        answer["choices"][0]["message"],
        json!({"role": "assistant", "content": "ab"})
    );
    let call = json!({"id": "x", "type": "function", "function": {"name": "f", "arguments": "{}"}});
    assert_eq!(
        answer["choices"][1]["message"],
        json!({"role": "assistant", "content": null, "tool_calls": [call]})
    );
    assert_eq!(answer["choices"][1]["finish_reason"], "tool_calls");
    assert_eq!(answer["usage"]["total_tokens"], 10);
}

#[test]
fn a_stream_that_is_not_whole_is_refused() {
    let begun = choice(0, json!({"content": "a"}), None);
    let ended = choice(0, json!({}), Some("stop"));
    let error = json!({"error": {"message": "x"}});
    assert_eq!(
        turned(
            Endpoint::ChatCompletions,
            &[begun.clone(), ended.clone()],
            false
        ),
        Err(Unreplayable::Incomplete("[DONE]"))
    );
    assert_eq!(
        chat(std::slice::from_ref(&begun)),
        Err(Unreplayable::Incomplete("finish_reason"))
    );
    assert_eq!(chat(&[begun, ended, error]), Err(Unreplayable::Failed));
    assert_eq!(chat(&[]), Err(Unreplayable::Incomplete("choices")));
    assert!(matches!(chat(&[json!(7)]), Err(Unreplayable::Malformed(_))));
    let start = json!({"type": "message_start", "message": {"content": []}});
    let messages = |events: &[Value]| turned(Endpoint::Messages, events, false);
    assert_eq!(
        messages(std::slice::from_ref(&start)),
        Err(Unreplayable::Incomplete("message_stop"))
    );
    assert_eq!(
        messages(&[start, json!({"type": "message_stop"})]),
        Err(Unreplayable::Incomplete("stop_reason"))
    );
    assert_eq!(
        messages(&[json!({"type": "error"})]),
        Err(Unreplayable::Failed)
    );
    let created = json!({"type": "response.created", "response": {}});
    let response = turned(Endpoint::Responses, &[created], false);
    assert_eq!(
        response,
        Err(Unreplayable::Incomplete("response.completed"))
    );
}

#[test]
fn embeddings_cannot_stream() {
    assert_eq!(
        to_sse(Endpoint::Embeddings, br#"{"data":[]}"#, false),
        Err(Unreplayable::NotStreamed)
    );
    assert_eq!(
        to_json(Endpoint::Embeddings, b"", FALLBACK),
        Err(Unreplayable::NotStreamed)
    );
}

#[test]
fn an_error_or_an_unfinished_answer_is_never_streamed() {
    for answer in [
        r#"{"error":{"message":"x"}}"#,
        r#"{"choices":[]}"#,
        "[]",
        "",
        r#"{"choices":[{"message":{}}]}"#,
    ] {
        assert!(
            to_sse(Endpoint::ChatCompletions, answer.as_bytes(), true).is_err(),
            "{answer}"
        );
        assert!(
            to_sse(Endpoint::Messages, answer.as_bytes(), true).is_err(),
            "{answer}"
        );
        assert!(
            to_sse(Endpoint::Responses, answer.as_bytes(), true).is_err(),
            "{answer}"
        );
    }
}

#[test]
fn a_chat_stream_has_role_content_finish_and_usage_only_when_asked() {
    let asked = stream_of(Endpoint::ChatCompletions, &chat_answer(), true);
    let lines: Vec<&str> = asked.split_terminator("\n\n").collect();
    assert_eq!(lines.len(), 5, "{asked}");
    assert!(lines[0].contains(r#""role":"assistant""#) && lines[0].contains(r#""usage":null"#));
    assert!(lines[1].contains(r#""delta":{"content":"hi"}"#));
    assert!(lines[2].contains(r#""finish_reason":"stop""#));
    assert!(lines[3].contains(r#""choices":[]"#) && lines[3].contains(r#""prompt_tokens":1"#));
    assert_eq!(lines[4], "data: [DONE]");
    assert!(!stream_of(Endpoint::ChatCompletions, &chat_answer(), false).contains("usage"));
}

#[test]
fn tool_input_of_anthropic_keeps_its_order_and_its_numbers() {
    let answer = br#"{"type":"message","role":"assistant","stop_reason":"tool_use","usage":{"input_tokens":1,"output_tokens":2},
        "content":[{"type":"tool_use","id":"t","name":"f","input":{"z":12345678901234567890123,"a":1.10}}]}"#;
    let sse = to_sse(Endpoint::Messages, answer, false).unwrap();
    let again = String::from_utf8(to_json(Endpoint::Messages, &sse, FALLBACK).unwrap()).unwrap();
    assert!(
        again.contains(r#"{"z":12345678901234567890123,"a":1.10}"#),
        "{again}"
    );
    let text = String::from_utf8(sse).unwrap();
    let names: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("event: "))
        .collect();
    assert_eq!(
        names,
        [
            "message_start",
            "content_block_start",
            "content_block_delta",
            "content_block_delta",
            "content_block_stop",
            "message_delta",
            "message_stop"
        ]
    );
}

#[test]
fn a_missing_output_of_a_response_is_taken_from_its_items() {
    let item = json!({"type": "message", "content": [{"type": "output_text", "text": "hi"}]});
    let answer = turned(
        Endpoint::Responses,
        &[
            json!({"type": "response.output_item.done", "output_index": 0, "item": item}),
            json!({"type": "response.completed", "response": {"status": "completed", "output": [], "usage": null}}),
        ],
        false,
    )
    .unwrap();
    assert_eq!(answer["output"], json!([item]));
    assert_eq!(answer["usage"]["input_tokens"], 7);
}

#[test]
fn the_usage_chunk_goes_before_the_end_and_other_bytes_stay() {
    let bare = ": ping\r\n\r\ndata: {\"id\":\"c\",\"model\":\"m\",\"choices\":[{\"index\":0}]}\r\n\r\ndata: [DONE]\n\n";
    let with = String::from_utf8(with_usage(
        Endpoint::ChatCompletions,
        bare.as_bytes(),
        true,
        FALLBACK,
    ))
    .unwrap();
    let (before, rest) = with.split_once("data: {\"choices\":[]").unwrap();
    assert!(bare.starts_with(before) && before.ends_with("\r\n\r\n"));
    assert!(rest.ends_with("\n\ndata: [DONE]\n\n") && rest.contains("\"prompt_tokens\":7"));
    assert_eq!(
        with_usage(Endpoint::ChatCompletions, with.as_bytes(), false, FALLBACK),
        bare.as_bytes()
    );
    assert_eq!(
        with_usage(Endpoint::ChatCompletions, with.as_bytes(), true, FALLBACK),
        with.as_bytes()
    );
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        ".{0,40}",
        "\\PC{200,700}",
        Just("\n\r\u{2028}\"\\é".to_owned())
    ]
}

fn call() -> impl Strategy<Value = Value> {
    ("[a-z]{1,9}", text()).prop_map(|(name, arguments)| {
        json!({"id": format!("call_{name}"), "type": "function", "function": {"name": name, "arguments": arguments}})
    })
}

fn message() -> impl Strategy<Value = Value> {
    let optional = || prop::option::of(text());
    let calls = prop::collection::vec(call(), 0..4);
    (optional(), optional(), optional(), calls, any::<bool>()).prop_map(
        |(content, reasoning, refusal, calls, extra)| {
            let mut message = json!({"role": "assistant", "content": content});
            for (name, text) in [("reasoning_content", reasoning), ("refusal", refusal)] {
                if let Some(text) = text {
                    message[name] = text.into();
                }
            }
            if !calls.is_empty() {
                message["tool_calls"] = calls
                    .into_iter()
                    .enumerate()
                    .map(|(place, mut call)| {
                        call["id"] = format!("call_{place}").into();
                        call
                    })
                    .collect();
            }
            if extra {
                message["annotations"] =
                    json!([{"type": "url_citation"}, {"type": "url_citation"}]);
            }
            message
        },
    )
}

fn answer() -> impl Strategy<Value = Value> {
    let reason = prop::sample::select(vec!["stop", "length", "tool_calls"]);
    let logprobs = prop_oneof![
        Just(Value::Null),
        Just(json!({"content": [{"token": "a", "logprob": -1}, {"token": "b", "logprob": -2}]}))
    ];
    prop::collection::vec((message(), reason, logprobs), 1..4).prop_map(|choices| {
        let mut answer = chat_answer();
        answer["choices"] = choices.into_iter().enumerate().map(|(index, (message, reason, logprobs))| {
            json!({"index": index, "message": message, "finish_reason": reason, "logprobs": logprobs})
        }).collect();
        answer
    })
}

fn block() -> impl Strategy<Value = Value> {
    prop_oneof![
        text().prop_map(|text| json!({"type": "text", "text": text})),
        text().prop_map(|text| json!({"type": "text", "text": text, "citations": [{"cited_text": text}, {"cited_text": "x"}]})),
        (text(), "[a-zA-Z0-9+/]{0,600}").prop_map(|(text, signature)| json!({"type": "thinking", "thinking": text, "signature": signature})),
        text().prop_map(|text| json!({"type": "tool_use", "id": "t", "name": "f", "input": {"b": text, "a": [1, null]}})),
        text().prop_map(|text| json!({"type": "web_search_tool_result", "content": [{"title": text}]})),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn a_chat_answer_keeps_its_meaning_as_a_stream(answer in answer(), include_usage: bool) {
        let sse = stream_of(Endpoint::ChatCompletions, &answer, include_usage);
        let mut meter = StreamMeter::new(Endpoint::ChatCompletions);
        meter.push(sse.as_bytes());
        prop_assert!(meter.complete());
        let fallback = Usage { input_tokens: 1, cached_input_tokens: 0, output_tokens: 2 };
        let again = to_json(Endpoint::ChatCompletions, sse.as_bytes(), fallback).unwrap();
        prop_assert_eq!(AnswerFacts::of(Endpoint::ChatCompletions, &again).usage, Some(fallback));
        let mut again: Value = serde_json::from_slice(&again).unwrap();
        again["usage"] = answer["usage"].clone();
        prop_assert_eq!(again, answer);
    }

    #[test]
    fn a_completion_keeps_its_meaning_as_a_stream(texts in prop::collection::vec(text(), 1..4)) {
        let choices: Vec<Value> = texts.iter().enumerate().map(|(index, text)| {
            json!({"index": index, "text": text, "finish_reason": "stop", "logprobs": null})
        }).collect();
        let answer = json!({"id": "c", "object": "text_completion", "model": "m", "choices": choices, "usage": {"prompt_tokens": 1}});
        let sse = stream_of(Endpoint::Completions, &answer, true);
        let again = to_json(Endpoint::Completions, sse.as_bytes(), FALLBACK).unwrap();
        prop_assert_eq!(serde_json::from_slice::<Value>(&again).unwrap(), answer);
    }

    #[test]
    fn a_message_keeps_its_meaning_as_a_stream(blocks in prop::collection::vec(block(), 0..5)) {
        let answer = json!({
            "id": "m", "type": "message", "role": "assistant", "model": "c", "content": blocks, "stop_reason": "end_turn",
            "stop_sequence": null, "usage": {"input_tokens": 1, "output_tokens": 20},
        });
        let sse = stream_of(Endpoint::Messages, &answer, false);
        let mut meter = StreamMeter::new(Endpoint::Messages);
        meter.push(sse.as_bytes());
        prop_assert!(meter.complete());
        let again = to_json(Endpoint::Messages, sse.as_bytes(), FALLBACK).unwrap();
        prop_assert_eq!(serde_json::from_slice::<Value>(&again).unwrap(), answer);
    }

    #[test]
    fn a_response_keeps_its_bytes_as_a_stream(texts in prop::collection::vec(text(), 0..4)) {
        let parts: Vec<Value> = texts.iter().map(|text| json!({"type": "output_text", "text": text, "annotations": []})).collect();
        let output = json!([
            {"id": "r", "type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}]},
            {"id": "i", "type": "message", "role": "assistant", "status": "completed", "content": parts},
            {"id": "f", "type": "function_call", "arguments": "{}", "name": "f"},
        ]);
        let answer = json!({"id": "r", "object": "response", "status": "completed", "error": null, "model": "m", "output": output, "usage": {"input_tokens": 1}});
        let sse = stream_of(Endpoint::Responses, &answer, false);
        let again = to_json(Endpoint::Responses, sse.as_bytes(), FALLBACK).unwrap();
        prop_assert_eq!(String::from_utf8(again).unwrap(), answer.to_string());
        let deltas: String = sse.lines().filter_map(|line| line.strip_prefix("data: "))
            .map(|data| serde_json::from_str::<Value>(data).unwrap())
            .filter(|event| event["type"] == "response.output_text.delta")
            .map(|event| event["delta"].as_str().unwrap().to_owned()).collect();
        prop_assert_eq!(deltas, texts.concat());
    }

    #[test]
    fn nothing_that_comes_in_makes_replay_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut sse = b"data: ".to_vec();
        sse.extend_from_slice(&bytes);
        for endpoint in Endpoint::ALL {
            let _ = to_json(endpoint, &sse, FALLBACK);
            let _ = to_sse(endpoint, &bytes, true);
            prop_assert_eq!(with_usage(endpoint, &bytes, false, FALLBACK), bytes.clone());
        }
    }
}
