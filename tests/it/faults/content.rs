//! Answers whose HTTP is right and whose content is not: passed on untouched, and not remembered.

use std::path::PathBuf;

use serde_json::Value;
use tollgate::sim::SimConfig;

use super::bench::{Bench, CACHE, TOKENS, exchange, streamed};
use crate::support::{client, until};

/// Skipped writes of the cache for this reason.
async fn skipped(bench: &Bench, reason: &str) -> f64 {
    bench
        .metric(&format!(
            "tollgate_cache_write_skipped_total{{reason=\"{reason}\"}}"
        ))
        .await
}

#[tokio::test]
async fn fault_11_an_event_of_broken_json_is_passed_on_and_not_remembered() {
    let mut bench = Bench::with("").await;
    bench.strike_a("bad-json:2", 1);
    let seen = bench.stream("hello").await;
    assert_eq!((seen.status, seen.broken), (200, false));
    let events = seen.events();
    assert_eq!(events.len(), TOKENS as usize + 4, "{}", seen.body);
    let bad = events[2].strip_prefix("data: ").expect("data");
    assert!(serde_json::from_str::<Value>(bad).is_err());
    assert!(seen.body.ends_with("data: [DONE]\n\n"));
    assert_eq!(skipped(&bench, "incomplete").await, 1.0);
    assert_eq!(bench.cached().await, 0.0);
    bench
        .row(
            11,
            "one event is half a JSON document",
            "200 every byte as it came",
        )
        .await;
}

#[tokio::test]
async fn fault_12_a_stream_without_done_is_passed_on_and_not_remembered() {
    let mut bench = Bench::with("").await;
    bench.strike_a("no-done", 1);
    let seen = bench.stream("hello").await;
    assert_eq!((seen.status, seen.broken), (200, false));
    assert_eq!(seen.events().len(), TOKENS as usize + 3, "{}", seen.body);
    assert!(!seen.body.contains("[DONE]") && !seen.body.contains("\"error\""));
    assert_eq!(skipped(&bench, "incomplete").await, 1.0);
    assert_eq!(bench.cached().await, 0.0);
    bench
        .row(12, "stream without `[DONE]`", &seen.words())
        .await;
}

#[tokio::test]
async fn fault_13_a_context_overflow_is_the_clients_to_hear_at_once() {
    let mut config = SimConfig::default();
    config.rates.kv_tokens = 64;
    let mut bench = Bench::of(config, "", CACHE).await;
    let body = streamed(&"word ".repeat(500));
    let (_, _, own, _) = exchange(bench.a.addr(), &body).await;
    let seen = bench.ask(&body).await;
    assert_eq!((seen.status, seen.attempts()), (400, 1));
    assert_eq!(seen.body, own, "untouched");
    assert_eq!(seen.error()["code"], "context_length_exceeded");
    assert_eq!(
        bench.b.state()["requests"],
        0,
        "no peer takes what is wrong"
    );
    assert_eq!(skipped(&bench, "status").await, 1.0);
    assert_eq!(bench.cached().await, 0.0);
    bench
        .row(13, "prompt longer than the context", &seen.words())
        .await;
}

#[tokio::test]
async fn fault_14_a_filtered_answer_is_passed_on_and_never_given_to_another_question() {
    let model = std::env::var_os("TOLLGATE_MODELS")
        .map(|models| PathBuf::from(models).join("all-MiniLM-L6-v2"))
        .filter(|model| model.join("model.onnx").exists());
    let cache = match &model {
        Some(model) => format!(
            "caches:\n  answers: {{ semantic: {{ threshold: 0.8, deadline: 5s, embedder: {{ model: all-MiniLM-L6-v2, path: {} }} }} }}\n",
            model.display()
        ),
        None => {
            eprintln!(
                "serving by meaning is left out: TOLLGATE_MODELS names no folder with all-MiniLM-L6-v2"
            );
            CACHE.to_owned()
        }
    };
    let mut bench = Bench::of(SimConfig::default(), "", &cache).await;
    if model.is_some() {
        until("the embedder is ready", || async {
            bench
                .metric("tollgate_embedder_ready{cache=\"answers\"}")
                .await
                == 1.0
        })
        .await;
    }
    bench.strike_a("filtered", 1);
    let ask = |text: &str| client::chat(text, Value::Null);
    let seen = bench.ask(&ask("How do I reset my password?")).await;
    assert_eq!(seen.status, 200);
    let answer: Value = serde_json::from_str(&seen.body).expect("JSON");
    assert_eq!(answer["choices"][0]["finish_reason"], "content_filter");
    assert_eq!(seen.log["finish_reason"], "content_filter");
    assert_eq!(
        bench
            .metric("tollgate_cache_vectors{cache=\"answers\"}")
            .await,
        0.0
    );
    bench
        .row(14, "`finish_reason: content_filter`", &seen.words())
        .await;
    let other = bench.ask(&ask("How can I reset my password?")).await;
    assert_eq!(other.header("x-cache-status"), Some("MISS"));
    let again = bench.ask(&ask("How do I reset my password?")).await;
    assert_eq!(
        again.header("x-cache-status"),
        Some("HIT"),
        "the same words"
    );
    let again: Value = serde_json::from_str(&again.body).expect("JSON");
    assert_eq!(again["choices"], answer["choices"]);
}
