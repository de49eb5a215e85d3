//! Answers given before: exact and by meaning, replayed as the client asks, never to somebody else.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::support::client::{self, Answer, ask, chat, post_chat};
use crate::support::gate::Gate;
use crate::support::peer::{Peer, Wire, sha256};
use crate::support::{sentence_model, until};

const CACHED: &str = "routes:\n  - { match: { path: \"/v1/*\" }, pool: pool, cache: answers }\n";

/// A peer that answers chat requests, streamed if asked, each time with another number.
async fn counting_peer() -> (Peer, Arc<AtomicUsize>) {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let peer = Peer::start(move |mut wire: Wire, _| {
        let counted = Arc::clone(&counted);
        async move {
            while let Some(request) = wire.request().await? {
                let call = counted.fetch_add(1, Ordering::SeqCst) + 1;
                let asked: Value = serde_json::from_slice(&request.body)?;
                if asked["stream"] == true {
                    wire.events().await?;
                    wire.token(&format!("answer {call}")).await?;
                    wire.chunk("data: {\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n").await?;
                    wire.chunk("data: {\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":2,\"total_tokens\":11}}\n\n").await?;
                    wire.chunk("data: [DONE]\n\n").await?;
                    wire.raw("0\r\n\r\n").await?;
                } else {
                    let finish = asked["finish"].as_str().unwrap_or("stop").to_owned();
                    wire.json(
                        200,
                        &json!({ "id": "c1", "object": "chat.completion", "created": 1, "model": "m",
                            "choices": [{ "index": 0, "message": { "role": "assistant", "content": format!("answer {call}") }, "finish_reason": finish }],
                            "usage": { "prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11 } })
                        .to_string(),
                    )
                    .await?;
                }
            }
            Ok(())
        }
    })
    .await;
    (peer, calls)
}

async fn gate(peer: &Peer, caches: &str, more: &str) -> Gate {
    Gate::before(
        &[peer.address],
        &format!("{CACHED}caches:\n  answers: {caches}\n{more}"),
    )
    .await
}

fn content(answer: &Answer) -> String {
    if answer
        .header("content-type")
        .is_some_and(|kind| kind.starts_with("text/event-stream"))
    {
        return answer
            .text()
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line.strip_prefix("data: ")?).ok())
            .filter_map(|event| Some(event["choices"][0]["delta"]["content"].as_str()?.to_owned()))
            .collect();
    }
    answer.json()["choices"][0]["message"]["content"]
        .as_str()
        .expect("text")
        .to_owned()
}

fn status(answer: &Answer) -> &str {
    answer.header("x-cache-status").unwrap_or("none")
}

#[tokio::test]
async fn the_second_asking_is_a_hit_with_a_key_and_an_age() {
    let (peer, calls) = counting_peer().await;
    let gate = gate(&peer, "{}", "").await;
    let first = ask(gate.address, "hello", &[]).await;
    let second = ask(gate.address, "hello", &[]).await;
    assert_eq!((status(&first), status(&second)), ("MISS", "HIT"));
    assert_eq!(first.json()["choices"], second.json()["choices"]);
    assert_eq!(first.json()["usage"], second.json()["usage"]);
    assert!(second.header("x-cache-key").expect("given").len() >= 16);
    assert!(
        second
            .header("age")
            .expect("given")
            .parse::<u64>()
            .expect("seconds")
            < 60
    );
    assert_eq!(calls.load(Ordering::SeqCst), 1);
    // What was saved is counted once the client has it.
    gate.is_at_rest().await;
    assert_eq!(
        gate.metric("tollgate_cache_lookups_total{result=\"hit\",tier=\"exact\"}")
            .await,
        1.0
    );
    assert_eq!(gate.metric("tollgate_cache_saved_tokens_total").await, 11.0);
}

#[tokio::test]
async fn a_hit_is_replayed_as_the_client_asks_whichever_way_it_was_stored() {
    for stored_as_stream in [true, false] {
        let (peer, calls) = counting_peer().await;
        let gate = gate(&peer, "{}", "").await;
        let as_stream = chat("hello", json!({ "stream": true }));
        let with_usage = chat(
            "hello",
            json!({ "stream": true, "stream_options": { "include_usage": true } }),
        );
        let as_json = chat("hello", Value::Null);
        post_chat(
            gate.address,
            if stored_as_stream {
                &as_stream
            } else {
                &as_json
            },
            &[],
        )
        .await;
        let (stream, usage, whole) = (
            post_chat(gate.address, &as_stream, &[]).await,
            post_chat(gate.address, &with_usage, &[]).await,
            post_chat(gate.address, &as_json, &[]).await,
        );
        for answer in [&stream, &usage, &whole] {
            assert_eq!(
                (status(answer), content(answer).as_str()),
                ("HIT", "answer 1")
            );
        }
        assert!(
            stream.text().ends_with("data: [DONE]\n\n") && !stream.text().contains("\"usage\":{"),
            "{}",
            stream.text()
        );
        assert!(usage.text().contains("\"completion_tokens\":2"));
        assert_eq!(whole.json()["usage"]["total_tokens"], 11);
        assert_eq!(whole.json()["object"], "chat.completion");
        assert_eq!(calls.load(Ordering::SeqCst), 1);
    }
}

#[tokio::test]
async fn whatever_can_change_the_answer_changes_the_key() {
    let (peer, calls) = counting_peer().await;
    let gate = gate(&peer, "{}", "").await;
    let variants = [
        json!({}),
        json!({ "temperature": 0.5 }),
        json!({ "seed": 1 }),
        json!({ "model": "other" }),
        json!({ "tools": [{ "type": "function", "function": { "name": "f" } }] }),
        json!({ "some_engine_option": true }),
        json!({ "messages": [{ "role": "system", "content": "be brief" }, { "role": "user", "content": "hello" }] }),
    ];
    for variant in &variants {
        assert_eq!(
            status(&post_chat(gate.address, &chat("hello", variant.clone()), &[]).await),
            "MISS",
            "{variant}"
        );
    }
    for variant in &variants {
        assert_eq!(
            status(&post_chat(gate.address, &chat("hello", variant.clone()), &[]).await),
            "HIT",
            "{variant}"
        );
    }
    assert_eq!(
        status(&post_chat(gate.address, &chat("hello", json!({ "user": "u7" })), &[]).await),
        "HIT",
        "user does not change answers"
    );
    assert_eq!(calls.load(Ordering::SeqCst), variants.len());
}

#[tokio::test]
async fn one_keys_answers_are_never_given_to_another_key() {
    let keys = format!(
        "keys:\n  - {{ name: a, sha256: \"{}\", tenant: t1 }}\n  - {{ name: b, sha256: \"{}\", tenant: t1 }}\n  - {{ name: c, sha256: \"{}\", tenant: t2 }}\n",
        sha256(b"key-a"),
        sha256(b"key-b"),
        sha256(b"key-c")
    );
    for (scope, expected) in [
        ("key", ["MISS", "MISS", "MISS"]),
        ("tenant", ["MISS", "HIT", "MISS"]),
        ("global", ["MISS", "HIT", "HIT"]),
    ] {
        let (peer, _) = counting_peer().await;
        let gate = gate(&peer, &format!("{{ scope: {scope} }}"), &keys).await;
        for (key, expected) in ["key-a", "key-b", "key-c"].iter().zip(expected) {
            let answer = ask(
                gate.address,
                "hello",
                &[("authorization", &format!("Bearer {key}"))],
            )
            .await;
            assert_eq!(status(&answer), expected, "{key} in scope {scope}");
        }
    }
}

#[tokio::test]
async fn clients_can_turn_the_cache_off_or_refresh_it() {
    let (peer, _) = counting_peer().await;
    let gate = gate(&peer, "{}", "").await;
    let with = async |name: &'static str, value: &'static str| {
        ask(gate.address, "hello", &[(name, value)]).await
    };
    assert_eq!(content(&ask(gate.address, "hello", &[]).await), "answer 1");
    let off = with("x-tollgate-cache", "off").await;
    assert_eq!(
        (status(&off), content(&off).as_str()),
        ("BYPASS", "answer 2")
    );
    let no_store = with("cache-control", "no-store").await;
    assert_eq!(
        content(&no_store),
        "answer 1",
        "no-store forbids storing, not being served"
    );
    assert_eq!(content(&ask(gate.address, "hello", &[]).await), "answer 1");
    let fresh = with("cache-control", "no-cache").await;
    assert_eq!(
        (status(&fresh), content(&fresh).as_str()),
        ("REFRESH", "answer 3")
    );
    assert_eq!(
        content(&ask(gate.address, "hello", &[]).await),
        "answer 3",
        "the new answer replaced the old one"
    );
    assert_eq!(
        content(&with("x-tollgate-cache", "refresh").await),
        "answer 4"
    );
    assert_eq!(
        content(&with("cache-control", "max-age=0").await),
        "answer 5",
        "nothing is that young"
    );
    assert_eq!(
        content(&with("cache-control", "max-age=600").await),
        "answer 5"
    );
    let only = client::send(
        gate.address,
        "POST",
        "/v1/chat/completions",
        &[("cache-control", "only-if-cached")],
        &chat("never asked", Value::Null),
    )
    .await
    .expect("an answer");
    assert_eq!(only.status, 504);
    assert_eq!(with("x-tollgate-cache", "sometimes").await.status, 400);
}

#[tokio::test]
async fn errors_and_half_answers_are_never_remembered() {
    let peer = Peer::start(|mut wire: Wire, number| async move {
        let Some(request) = wire.request().await? else {
            return Ok(());
        };
        match number {
            0 => wire.json(400, "{\"error\":{\"message\":\"no\"}}").await,
            1 => {
                wire.events().await?;
                wire.token("half").await
            }
            2 => wire.json(200, "{\"choices\":[").await,
            _ => wire.json(200, &request.digest()).await,
        }
    })
    .await;
    let gate = gate(&peer, "{}", "").await;
    let body = chat("hello", json!({ "stream": true }));
    for _ in 0..4 {
        assert_eq!(status(&post_chat(gate.address, &body, &[]).await), "MISS");
    }
    gate.is_at_rest().await;
    assert_eq!(
        gate.metric("tollgate_cache_entries{cache=\"answers\"}")
            .await,
        0.0
    );
    assert!(
        gate.metric("tollgate_cache_write_skipped_total{reason=\"incomplete\"}")
            .await
            >= 2.0
    );
}

#[tokio::test]
async fn entries_die_at_their_ttl_and_the_bytes_stay_bounded() {
    let (peer, calls) = counting_peer().await;
    let gate = gate(&peer, "{ ttl: 300ms, exact: { max_bytes: 64KiB } }", "").await;
    ask(gate.address, "hello", &[]).await;
    until("the entry is too old", || async {
        status(&ask(gate.address, "hello", &[]).await) == "MISS"
    })
    .await;
    assert!(calls.load(Ordering::SeqCst) >= 2);
    for i in 0..400 {
        ask(gate.address, &format!("question number {i}"), &[]).await;
    }
    until("the bytes are within their bound", || async {
        gate.metric("tollgate_cache_bytes{cache=\"answers\"}").await <= 65_536.0
    })
    .await;
}

#[tokio::test]
async fn a_question_in_other_words_gets_the_answer_and_says_how_similar_it_was() {
    let Some(model) = sentence_model() else {
        return;
    };
    let (peer, calls) = counting_peer().await;
    let caches = format!(
        "{{ semantic: {{ threshold: 0.8, deadline: 5s, embedder: {{ model: all-MiniLM-L6-v2, path: {} }} }} }}",
        model.display()
    );
    let gate = gate(&peer, &caches, "").await;
    gate.embeds().await;
    assert_eq!(
        status(&ask(gate.address, "How do I reset my password?", &[]).await),
        "MISS"
    );
    until("the question is indexed", || async {
        gate.metric("tollgate_cache_vectors{cache=\"answers\"}")
            .await
            == 1.0
    })
    .await;

    let similar = ask(gate.address, "How can I change my password?", &[]).await;
    assert_eq!(
        (status(&similar), content(&similar).as_str()),
        ("SEMANTIC_HIT", "answer 1")
    );
    let similarity: f64 = similar
        .header("x-cache-similarity")
        .expect("given")
        .parse()
        .expect("a number");
    assert!((0.8..0.95).contains(&similarity), "{similarity}");

    let other_class = chat(
        "How can I change my password?",
        json!({ "temperature": 0.1 }),
    );
    assert_eq!(
        status(&post_chat(gate.address, &other_class, &[]).await),
        "MISS",
        "another class, another answer"
    );
    assert_eq!(
        status(&ask(gate.address, "What is the capital of France?", &[]).await),
        "MISS"
    );
    let exact_only = ask(
        gate.address,
        "How could I change my password?",
        &[("x-tollgate-cache", "exact")],
    )
    .await;
    assert_eq!(status(&exact_only), "MISS");
    let stricter = ask(
        gate.address,
        "How might I change my password?",
        &[("x-tollgate-cache-threshold", "0.99")],
    )
    .await;
    assert_eq!(status(&stricter), "MISS");
    assert!(calls.load(Ordering::SeqCst) >= 5);
}

#[tokio::test]
async fn without_a_model_exact_repeats_are_still_served_with_one_warning_and_one_metric() {
    let (peer, _) = counting_peer().await;
    let gate = gate(
        &peer,
        "{ semantic: { embedder: { model: m, path: /nonexistent } } }",
        "",
    )
    .await;
    assert_eq!(status(&ask(gate.address, "hello", &[]).await), "MISS");
    assert_eq!(status(&ask(gate.address, "hello", &[]).await), "HIT");
    assert_eq!(
        gate.metric("tollgate_embedder_ready{cache=\"answers\"}")
            .await,
        0.0
    );
    let warnings = gate
        .stderr()
        .lines()
        .filter(|line| line.contains("/nonexistent"))
        .count();
    assert_eq!(warnings, 1, "{}", gate.stderr());
}
