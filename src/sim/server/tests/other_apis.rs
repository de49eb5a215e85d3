//! Anthropic's messages and OpenAI's responses.

use serde_json::{Value, json};

use super::client::{fast, post};
use crate::sim::server::SimConfig;

#[tokio::test]
async fn anthropic_messages_answer_whole_and_in_the_order_of_its_events() {
    let server = fast(SimConfig::default()).await;
    let mut body =
        json!({"model": "c", "max_tokens": 4, "messages": [{"role": "user", "content": "hello"}]});
    let whole = post(&server, "/v1/messages", body.clone()).await.json();
    assert_eq!(
        (&whole["type"], &whole["role"], &whole["stop_reason"]),
        (&json!("message"), &json!("assistant"), &json!("max_tokens"))
    );
    assert_eq!(whole["usage"]["output_tokens"], 4);
    body["stream"] = json!(true);
    let reply = post(&server, "/v1/messages", body).await;
    let names: Vec<_> = reply
        .events()
        .into_iter()
        .map(|(name, _)| name.unwrap())
        .collect();
    let mut expected = vec!["message_start", "content_block_start", "ping"];
    expected.extend(["content_block_delta"; 4]);
    expected.extend(["content_block_stop", "message_delta", "message_stop"]);
    assert_eq!(names, expected);
    let events = reply.documents();
    assert!(
        events
            .iter()
            .zip(&names)
            .all(|(event, name)| event["type"] == name.as_str())
    );
    let text: String = events
        .iter()
        .filter_map(|event| event["delta"]["text"].as_str())
        .collect();
    assert_eq!(text, whole["content"][0]["text"].as_str().unwrap());
    let end = &events[events.len() - 2];
    assert_eq!(
        (&end["delta"]["stop_reason"], &end["usage"]["output_tokens"]),
        (&json!("max_tokens"), &json!(4))
    );
}

#[tokio::test]
async fn responses_answer_whole_and_in_the_order_of_their_events() {
    let server = fast(SimConfig::default()).await;
    let mut body = json!({"model": "r", "input": "hello", "x-sim-output-tokens": 3});
    let whole = post(&server, "/v1/responses", body.clone()).await.json();
    assert_eq!(
        (&whole["object"], &whole["status"]),
        (&json!("response"), &json!("completed"))
    );
    body["stream"] = json!(true);
    let reply = post(&server, "/v1/responses", body).await;
    let events = reply.documents();
    let short = |event: &Value| {
        event["type"]
            .as_str()
            .unwrap()
            .trim_start_matches("response.")
            .to_owned()
    };
    let names: Vec<_> = events.iter().map(short).collect();
    let expected = [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.delta",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ];
    assert_eq!(names, expected);
    let numbers: Vec<_> = events
        .iter()
        .map(|event| event["sequence_number"].as_u64().unwrap())
        .collect();
    assert_eq!(numbers, (0..11).collect::<Vec<_>>());
    let text: String = events
        .iter()
        .filter_map(|event| event["delta"].as_str())
        .collect();
    assert_eq!(
        text,
        whole["output"][0]["content"][0]["text"].as_str().unwrap()
    );
    assert_eq!(events[10]["response"]["usage"]["output_tokens"], 3);
}

#[tokio::test]
async fn a_response_cut_at_its_limit_is_incomplete() {
    let server = fast(SimConfig::default()).await;
    let body = json!({"input": [{"role": "user", "content": [{"type": "input_text", "text": "hi"}]}], "max_output_tokens": 2});
    let whole = post(&server, "/v1/responses", body).await.json();
    assert_eq!(
        (&whole["status"], &whole["incomplete_details"]),
        (
            &json!("incomplete"),
            &json!({"reason": "max_output_tokens"})
        )
    );
}
