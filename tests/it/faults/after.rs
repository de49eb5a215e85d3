//! Faults after the first byte: nothing is tried again, and the client is told the truth.

use serde_json::Value;

use super::bench::Bench;
use crate::support::client;

#[tokio::test]
async fn fault_08_a_stream_that_is_cut_ends_with_an_error_event() {
    let mut bench = Bench::with("").await;
    bench.strike_a("cut:3", 1);
    let seen = bench.stream("hello").await;
    assert_eq!((seen.status, seen.attempts()), (200, 1));
    assert_eq!(seen.events().len(), 3 + 1);
    assert_eq!(seen.error()["type"], "upstream_error");
    assert!(!seen.body.contains("[DONE]"));
    assert_eq!(seen.log["error_type"], "provider_broke");
    assert_eq!(bench.broken("broken").await, 1.0);
    assert_eq!(bench.b.state()["requests"], 0);
    assert_eq!(bench.cached().await, 0.0);
    bench
        .row(8, "stream cut after 3 events", &seen.words())
        .await;
}

#[tokio::test]
async fn fault_09_an_answer_shorter_than_its_length_is_cut_for_the_client_too() {
    let mut bench = Bench::with("").await;
    bench.strike_a("cut", 1);
    let seen = bench.ask(&client::chat("hello", Value::Null)).await;
    assert!(seen.broken && !seen.body.is_empty());
    assert_eq!(seen.log["error_type"], "provider_broke");
    assert_eq!(bench.broken("broken").await, 1.0);
    assert_eq!(bench.cached().await, 0.0);
    bench
        .row(
            9,
            "JSON answer that ends short of its `Content-Length`",
            &seen.words(),
        )
        .await;
}

#[tokio::test]
async fn fault_10_a_stream_that_stalls_ends_with_a_timeout_event() {
    let mut bench = Bench::with("    timeouts: { between_chunks: 500ms }\n").await;
    bench.strike_a("stall:3", 1);
    let seen = bench.stream("hello").await;
    assert_eq!(seen.events().len(), 3 + 1);
    assert_eq!(seen.error()["type"], "timeout");
    assert_eq!(seen.log["error_type"], "provider_timeout");
    assert_eq!(bench.broken("between_chunks_timeout").await, 1.0);
    assert_eq!(bench.cached().await, 0.0);
    crate::support::until("the engine's connection is closed", || async {
        bench.a.state()["in_flight"] == 0
    })
    .await;
    bench
        .row(10, "stream silent after 3 events", &seen.words())
        .await;
}

#[tokio::test]
async fn fault_11_broken_framing_ends_with_an_error_event() {
    let mut bench = Bench::with("").await;
    bench.strike_a("bad-chunk:2", 1);
    let seen = bench.stream("hello").await;
    assert_eq!(seen.events().len(), 2 + 1);
    assert_eq!(seen.error()["type"], "upstream_error");
    assert!(!seen.body.contains("no chunk"), "{}", seen.body);
    assert_eq!(bench.broken("broken").await, 1.0);
    assert_eq!(bench.cached().await, 0.0);
    bench
        .row(11, "bytes that are no chunk after 2 events", &seen.words())
        .await;
}
