//! What a fault may cost: one charge however many peers were asked, and no more retries than the budget allows.

use tollgate::sim::SimConfig;

use super::bench::{Bench, CACHE, TOKENS};
use crate::support::peer::sha256;

/// Buckets that do not refill while a test runs.
fn limited() -> String {
    format!(
        "{CACHE}keys:\n  - {{ name: a, sha256: \"{}\" }}\nlimits:\n  - {{ per: key, requests: 100/365days, tokens: 10000/365days }}\n",
        sha256(b"key-a")
    )
}

const RETRY: &str = "    retry: { attempts: 3, base_backoff: 1ms }\n";

/// What the key has left after one request, by the headers of a second one.
async fn left_after_one(fault: Option<&str>) -> (Bench, String, Option<String>) {
    let mut bench = Bench::of(SimConfig::default(), RETRY, &limited()).await;
    if let Some(fault) = fault {
        bench.strike_a(fault, 1);
    }
    let first = bench.stream("first").await;
    first.is_whole();
    let second = bench.stream("second").await;
    let header = |name| second.header(name).map(str::to_owned);
    let left = (
        header("x-ratelimit-remaining-requests"),
        header("x-ratelimit-remaining-tokens"),
    );
    assert_eq!(left.0.as_deref(), Some("98"));
    (bench, first.words(), left.1)
}

#[tokio::test]
async fn fault_16_a_request_that_was_tried_twice_is_charged_once() {
    let (_, _, untroubled) = left_after_one(None).await;
    assert!(untroubled.is_some());
    for (fault, words) in [
        ("500", "500, then another peer, with limits"),
        ("refuse-late", "reset, then another peer, with limits"),
    ] {
        let (bench, seen, left) = left_after_one(Some(fault)).await;
        assert_eq!(left, untroubled, "{fault}");
        for (series, expected) in [
            (
                "gen_ai_client_token_usage_count{gen_ai_token_type=\"output\"}",
                2,
            ),
            (
                "gen_ai_client_token_usage_sum{gen_ai_token_type=\"output\"}",
                2 * TOKENS,
            ),
        ] {
            assert_eq!(bench.metric(series).await, expected as f64, "{series}");
        }
        let computed = |sim: &tollgate::sim::SimServer| {
            sim.state()["generated_tokens"].as_u64().expect("a number")
        };
        assert_eq!(computed(&bench.a) + computed(&bench.b), 2 * TOKENS);
        bench.row(16, words, &format!("{seen}; charged once")).await;
    }
}

#[tokio::test]
async fn retries_end_with_their_budget_and_the_client_gets_the_peers_own_words() {
    let keys = "    eject: off\n    retry: { attempts: 3, base_backoff: 1ms, budget: 0, budget_min_per_second: 0.1 }\n";
    let mut bench = Bench::of(SimConfig::default(), keys, CACHE).await;
    bench.strike_a("503", 9);
    bench.strike_b("503", 9);
    let granted = bench.stream("one retry in ten seconds").await;
    assert_eq!((granted.status, granted.attempts()), (503, 2));
    let refused = bench.stream("and no other").await;
    assert_eq!((refused.status, refused.attempts()), (503, 1));
    for seen in [&granted, &refused] {
        assert!(seen.header("x-sim-peer").is_some(), "an engine's own words");
    }
    assert_eq!(bench.retries("status_5xx").await, 1.0);
    let series = "tollgate_retries_refused_total{pool=\"pool\"}";
    assert_eq!(bench.metric(series).await, 2.0);
    assert_eq!(
        bench
            .gate
            .stderr()
            .matches("the budget for retries is spent")
            .count(),
        1,
        "said once, counted each time"
    );
    assert_eq!(bench.cached().await, 0.0);
    bench.gate.is_at_rest().await;
}

#[tokio::test]
async fn a_reset_without_a_budget_is_told_as_it_was() {
    let keys = "    retry: { attempts: 3, budget: 0, budget_min_per_second: 0 }\n";
    let mut bench = Bench::of(SimConfig::default(), keys, CACHE).await;
    bench.strike_a("refuse-late", 1);
    let seen = bench.stream("hello").await;
    assert_eq!((seen.status, seen.attempts()), (502, 1));
    assert_eq!(seen.log["error_type"], "provider_broke");
    assert_eq!(bench.b.state()["requests"], 0);
    bench.gate.is_at_rest().await;
}
