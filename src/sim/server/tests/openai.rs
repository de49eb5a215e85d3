//! Chat, completions, models, embeddings, and what they refuse.

use serde_json::json;

use super::client::{ask, fast, get, post, request};
use crate::sim::engine::Rates;
use crate::sim::server::SimConfig;
use crate::sim::text;

#[tokio::test]
async fn a_chat_answer_has_openais_form_and_counts_its_tokens() {
    let server = fast(SimConfig::default()).await;
    let question = json!([{"role": "user", "content": "What is the sea?"}]);
    let reply = post(
        &server,
        "/v1/chat/completions",
        json!({"model": "m", "messages": question}),
    )
    .await;
    assert_eq!(
        (reply.status, reply.header("content-type")),
        (200, "application/json")
    );
    let body = reply.json();
    assert!(body["id"].as_str().unwrap().starts_with("chatcmpl-"));
    assert_eq!(
        (&body["object"], &body["model"]),
        (&json!("chat.completion"), &json!("m"))
    );
    let text = body["choices"][0]["message"]["content"].as_str().unwrap();
    assert_eq!(body["choices"][0]["finish_reason"], "stop");
    assert_eq!(body["usage"]["completion_tokens"], text::count(text));
    assert_eq!(
        body["usage"]["prompt_tokens"],
        text::count("user: What is the sea?\nassistant: ")
    );
}

#[tokio::test]
async fn a_streamed_chat_says_the_same_as_the_whole_one_token_by_token() {
    let (server, other) = (
        fast(SimConfig::default()).await,
        fast(SimConfig {
            seed: 9,
            ..SimConfig::default()
        })
        .await,
    );
    let mut body = json!({"messages": [{"role": "user", "content": "hello"}], "max_tokens": 20, "ignore_eos": true});
    let whole = post(&server, "/v1/chat/completions", body.clone())
        .await
        .json();
    body["stream"] = json!(true);
    body["stream_options"] = json!({"include_usage": true});
    let reply = post(&other, "/v1/chat/completions", body).await;
    assert_eq!(
        reply.header("content-type"),
        "text/event-stream; charset=utf-8"
    );
    assert_eq!(reply.events().last().unwrap().1, "[DONE]");
    let chunks = reply.documents();
    assert!(
        chunks
            .iter()
            .all(|chunk| chunk["object"] == "chat.completion.chunk"
                && chunk["id"] == chunks[0]["id"])
    );
    assert_eq!(
        chunks[0]["choices"][0]["delta"],
        json!({"role": "assistant", "content": ""})
    );
    let tokens: Vec<_> = chunks
        .iter()
        .filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str())
        .collect();
    assert_eq!(
        tokens.concat(),
        whole["choices"][0]["message"]["content"].as_str().unwrap()
    );
    assert_eq!(tokens.len(), 21, "the empty first one and twenty tokens");
    let (usage, last) = (&chunks[chunks.len() - 1], &chunks[chunks.len() - 2]);
    assert_eq!(
        last["choices"][0]["finish_reason"],
        whole["choices"][0]["finish_reason"]
    );
    assert_eq!(
        (&usage["choices"], &usage["usage"]["completion_tokens"]),
        (&json!([]), &json!(20))
    );
}

#[tokio::test]
async fn without_include_usage_no_chunk_has_usage() {
    let server = fast(SimConfig::default()).await;
    let body = json!({"messages": [{"role": "user", "content": "hello"}], "max_tokens": 3, "stream": true});
    let chunks = post(&server, "/v1/chat/completions", body)
        .await
        .documents();
    assert_eq!(chunks.len(), 5);
    assert!(chunks.iter().all(|chunk| chunk.get("usage").is_none()));
}

#[tokio::test]
async fn completions_answer_whole_and_streamed() {
    let server = fast(SimConfig::default()).await;
    let mut body = json!({"prompt": "Once upon a time", "max_tokens": 5});
    let whole = post(&server, "/v1/completions", body.clone()).await.json();
    assert_eq!(
        (&whole["object"], &whole["usage"]["prompt_tokens"]),
        (&json!("text_completion"), &json!(4))
    );
    body["stream"] = json!(true);
    let reply = post(&server, "/v1/completions", body).await;
    let text: String = reply
        .documents()
        .iter()
        .map(|chunk| chunk["choices"][0]["text"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(text, whole["choices"][0]["text"].as_str().unwrap());
}

#[tokio::test]
async fn lengths_are_kept_exactly() {
    let server = fast(SimConfig::default()).await;
    let chat = "/v1/chat/completions";
    let body =
        json!({"messages": [{"role": "user", "content": "hello"}], "max_tokens": 40}).to_string();
    let exact = ask(
        &server,
        request("POST", chat, &[("x-sim-output-tokens", "7")], body.clone()),
    )
    .await
    .unwrap()
    .json();
    assert_eq!(
        (
            &exact["usage"]["completion_tokens"],
            &exact["choices"][0]["finish_reason"]
        ),
        (&json!(7), &json!("stop"))
    );
    let longer = ask(
        &server,
        request("POST", chat, &[("x-sim-output-tokens", "70")], body),
    )
    .await
    .unwrap()
    .json();
    assert_eq!(
        (
            &longer["usage"]["completion_tokens"],
            &longer["choices"][0]["finish_reason"]
        ),
        (&json!(40), &json!("length"))
    );
    let ignore = json!({"messages": [{"role": "user", "content": "hi"}], "max_completion_tokens": 2000, "ignore_eos": true});
    assert_eq!(
        post(&server, chat, ignore).await.json()["usage"]["completion_tokens"],
        2000
    );
}

#[tokio::test]
async fn a_conversation_finds_its_earlier_turns_in_the_prefix_cache() {
    let server = fast(SimConfig::default()).await;
    let chat = "/v1/chat/completions";
    let question = json!({"role": "user", "content": "tell ".repeat(100)});
    let first = post(
        &server,
        chat,
        json!({"messages": [question], "max_tokens": 64}),
    )
    .await
    .json();
    assert_eq!(first["usage"]["prompt_tokens_details"]["cached_tokens"], 0);
    let answer = &first["choices"][0]["message"];
    let next = json!({"role": "user", "content": "go on"});
    let second = post(
        &server,
        chat,
        json!({"messages": [question, answer, next], "max_tokens": 8}),
    )
    .await
    .json();
    let known = first["usage"]["total_tokens"].as_u64().unwrap() / 16 * 16;
    assert_eq!(
        second["usage"]["prompt_tokens_details"]["cached_tokens"],
        known
    );
}

#[tokio::test]
async fn embeddings_are_unit_vectors_in_both_encodings() {
    let server = fast(SimConfig::default()).await;
    let body = json!({"model": "e", "input": ["good day", "good night"], "dimensions": 8});
    let reply = post(&server, "/v1/embeddings", body).await.json();
    assert_eq!(
        (&reply["object"], &reply["usage"]),
        (
            &json!("list"),
            &json!({"prompt_tokens": 5, "total_tokens": 5})
        )
    );
    for index in 0..2 {
        let vector: Vec<f64> =
            serde_json::from_value(reply["data"][index]["embedding"].clone()).unwrap();
        assert_eq!(vector.len(), 8);
        assert!((vector.iter().map(|value| value * value).sum::<f64>() - 1.0).abs() < 1e-5);
    }
    let coded = post(
        &server,
        "/v1/embeddings",
        json!({"input": "good day", "encoding_format": "base64"}),
    )
    .await
    .json();
    assert_eq!(
        coded["data"][0]["embedding"].as_str().unwrap().len(),
        384 * 4 / 3 * 4
    );
}

#[tokio::test]
async fn only_listed_models_are_served() {
    let server = fast(SimConfig {
        models: vec!["a".to_owned(), "b".to_owned()],
        ..SimConfig::default()
    })
    .await;
    let list = get(&server, "/v1/models").await.json();
    assert_eq!(
        (&list["data"][0]["id"], &list["data"][1]["id"]),
        (&json!("a"), &json!("b"))
    );
    let ask = |model: &str| json!({"model": model, "prompt": "x", "max_tokens": 1});
    assert_eq!(
        post(&server, "/v1/completions", ask("b")).await.json()["model"],
        "b"
    );
    let refused = post(&server, "/v1/completions", ask("c")).await;
    assert_eq!(
        (refused.status, &refused.json()["error"]["code"]),
        (404, &json!("model_not_found"))
    );
}

#[tokio::test]
async fn a_body_that_is_not_json_is_a_400_that_still_tells_what_arrived() {
    let server = fast(SimConfig {
        name: "sim-a".to_owned(),
        ..SimConfig::default()
    })
    .await;
    let reply = ask(&server, request("POST", "/v1/chat/completions", &[], "abc"))
        .await
        .unwrap();
    assert_eq!(
        (reply.status, &reply.json()["error"]["type"]),
        (400, &json!("invalid_request_error"))
    );
    assert_eq!(
        (reply.header("x-sim-peer"), reply.header("x-sim-body-bytes")),
        ("sim-a", "3")
    );
    let sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!(reply.header("x-sim-body-sha256"), sha256);
    let anthropic = ask(&server, request("POST", "/v1/messages", &[], "abc"))
        .await
        .unwrap();
    assert_eq!(
        (anthropic.status, &anthropic.json()["type"]),
        (400, &json!("error"))
    );
    assert_eq!(
        ask(&server, request("PUT", "/v1/messages", &[], "abc"))
            .await
            .unwrap()
            .status,
        405
    );
}

#[tokio::test]
async fn a_prompt_that_is_too_long_is_refused() {
    let rates = Rates {
        kv_tokens: 160,
        ..Rates::default()
    };
    let server = fast(SimConfig {
        rates,
        ..SimConfig::default()
    })
    .await;
    let reply = post(
        &server,
        "/v1/completions",
        json!({"prompt": "x".repeat(640)}),
    )
    .await;
    assert_eq!(
        (reply.status, &reply.json()["error"]["code"]),
        (400, &json!("context_length_exceeded"))
    );
    let fits = post(
        &server,
        "/v1/completions",
        json!({"prompt": "x".repeat(600), "ignore_eos": true}),
    )
    .await
    .json();
    assert_eq!(fits["usage"]["total_tokens"], 160);
}

#[tokio::test]
async fn health_and_metrics_tell_the_engines_state_under_vllms_names() {
    let server = fast(SimConfig::default()).await;
    assert_eq!(get(&server, "/health").await.status, 200);
    post(
        &server,
        "/v1/completions",
        json!({"prompt": "Once upon a time", "max_tokens": 5}),
    )
    .await;
    let page = get(&server, "/metrics").await;
    let page = std::str::from_utf8(&page.body).unwrap();
    for line in [
        "vllm:num_requests_running{model_name=\"sim\"} 0.0",
        "vllm:num_requests_waiting{model_name=\"sim\"} 0.0",
        "vllm:kv_cache_usage_perc{model_name=\"sim\"} 0.0",
        "vllm:prompt_tokens_total{model_name=\"sim\"} 4.0",
        "vllm:generation_tokens_total{model_name=\"sim\"} 5.0",
        "vllm:request_success_total{model_name=\"sim\",finished_reason=\"length\"} 1.0",
        "vllm:time_to_first_token_seconds_count{model_name=\"sim\"} 1.0",
        "vllm:time_to_first_token_seconds_bucket{model_name=\"sim\",le=\"+Inf\"} 1.0",
    ] {
        assert!(page.lines().any(|l| l == line), "{line} is not in\n{page}");
    }
    post(&server, "/sim/health", json!({"healthy": false})).await;
    assert_eq!(get(&server, "/health").await.status, 503);
}
