//! Faults before the first byte: another peer serves, and the client notices nothing but the time.

use serde_json::json;

use super::bench::{Bench, exchange, print, streamed};
use crate::support::until;

#[tokio::test]
async fn fault_01_a_429_with_a_time_keeps_the_peer_out_for_it_and_when_all_are_the_client_hears_it()
{
    let mut bench = Bench::with("    cooldown: { max: 1h }\n").await;
    bench.strike_a("429:1800", 1);
    let seen = bench.stream("first").await;
    seen.is_whole();
    assert_eq!(bench.retries("status_429").await, 1.0);
    let peer = bench.peer(0).await;
    assert_eq!(peer["state"], "cooling_down");
    let left = peer["out_for_s"].as_f64().expect("a time");
    assert!((1.0..=1800.0).contains(&left), "{left}");
    for n in 0..4 {
        let other = bench.stream(&format!("others {n}")).await;
        other.is_whole();
        assert_eq!(other.attempts(), 1);
    }
    assert_eq!(bench.a.state()["requests"], 1, "left alone");
    bench
        .row(1, "429 with `Retry-After: 1800`", &seen.words())
        .await;

    bench.strike_b("429:3000", 1);
    let own = bench.stream("the last one refuses too").await;
    assert_eq!((own.status, own.header("retry-after")), (429, Some("3000")));
    assert_eq!(own.header("x-sim-peer"), Some("b"), "its own words");
    let ours = bench.stream("nobody is left").await;
    assert_eq!(ours.status, 429);
    let soonest: u64 = ours
        .header("retry-after")
        .and_then(|seconds| seconds.parse().ok())
        .expect("seconds");
    assert!((1..=1800).contains(&soonest), "{soonest}");
    assert_eq!(ours.error()["type"], "rate_limit_exceeded");
    assert_eq!(ours.log["error_type"], "provider_down");
    assert_eq!(ours.log["attempts"], 0);
    assert_eq!(bench.b.state()["requests"], 6, "nobody was asked");
    assert_eq!(bench.cached().await, 5.0, "the whole answers");
    bench
        .row(1, "429 with `Retry-After` from every peer", &ours.words())
        .await;
}

#[tokio::test]
async fn fault_02_a_429_without_a_time_is_a_short_pause_but_never_for_the_last_peer() {
    let mut bench = Bench::with("    cooldown: { default: 1h, max: 1h }\n").await;
    bench.strike_a("429", 1);
    let seen = bench.stream("first").await;
    seen.is_whole();
    assert_eq!(bench.peer(0).await["state"], "cooling_down");
    bench.row(2, "429 without a time", &seen.words()).await;

    bench.strike_b("429", 1);
    let own = bench.stream("the last one refuses too").await;
    assert_eq!((own.status, own.header("x-sim-peer")), (429, Some("b")));
    bench.stream("and goes on").await.is_whole();
    assert_eq!(bench.cached().await, 2.0);
    bench.gate.is_at_rest().await;
}

#[tokio::test]
async fn fault_03_a_5xx_is_answered_by_another_peer_and_the_last_ones_words_are_passed_on() {
    let mut bench = Bench::with("    eject: { base: 1h, max: 1h }\n").await;
    bench.strike_a("500", 1);
    let seen = bench.stream("first").await;
    seen.is_whole();
    assert_eq!(bench.retries("status_5xx").await, 1.0);
    bench.row(3, "500", &seen.words()).await;

    bench.strike_a("502", 9);
    bench.strike_b("502", 1);
    let own = bench.stream("both").await;
    assert_eq!((own.status, own.attempts()), (502, 2));
    assert_eq!(own.error()["type"], "server_error", "an engine's own words");
    let mut asked = 0;
    while bench.peer(0).await["state"] != "ejected" {
        asked += 1;
        bench.stream(&format!("again {asked}")).await.is_whole();
    }
    assert_eq!(bench.peer(0).await["failures"], 3);
    let requests = bench.a.state()["requests"].clone();
    for n in 0..3 {
        let other = bench.stream(&format!("others {n}")).await;
        other.is_whole();
        assert_eq!(other.attempts(), 1);
    }
    assert_eq!(bench.a.state()["requests"], requests, "left alone");
    assert_eq!(bench.cached().await, f64::from(1 + asked + 3));
    bench
        .row(3, "5xx three times in a row", "200 whole stream each time")
        .await;
}

#[tokio::test]
async fn fault_04_a_reset_before_the_head_costs_the_client_nothing() {
    let mut bench = Bench::with("").await;
    bench.strike_a("refuse-late", 1);
    let seen = bench.stream("hello").await;
    seen.is_whole();
    assert_eq!(bench.retries("reset").await, 1.0);
    assert_eq!(bench.cached().await, 1.0);
    bench
        .row(
            4,
            "connection reset after the request was read",
            &seen.words(),
        )
        .await;
}

#[tokio::test]
async fn fault_05_half_a_head_is_no_answer() {
    let mut bench = Bench::with("").await;
    bench.strike_a("half-head", 1);
    let seen = bench.stream("hello").await;
    seen.is_whole();
    assert_eq!(
        bench.retries("reset").await + bench.retries("broken").await,
        1.0
    );
    assert_eq!(bench.cached().await, 1.0);
    bench
        .row(
            5,
            "connection closed in the middle of the head",
            &seen.words(),
        )
        .await;
}

#[tokio::test]
async fn fault_06_a_peer_that_hangs_is_a_timeout_that_is_not_tried_twice() {
    let mut bench = Bench::with("    timeouts: { first_byte: 150ms }\n").await;
    bench.strike_a("hang", 1);
    let seen = bench.stream("hello").await;
    assert_eq!((seen.status, seen.attempts()), (504, 1));
    assert_eq!(seen.error()["type"], "timeout");
    assert_eq!(seen.log["error_type"], "provider_timeout");
    assert_eq!(bench.b.state()["requests"], 0, "it may still be at work");
    assert_eq!(bench.cached().await, 0.0);
    until("the engine's connection is closed", || async {
        bench.a.state()["clients_gone"] == 1
    })
    .await;
    bench.row(6, "no head, ever", &seen.words()).await;
}

#[tokio::test]
async fn fault_07_a_slow_first_token_is_waited_for() {
    let mut bench = Bench::with("").await;
    bench.strike_a("slow:300", 1);
    let seen = bench.stream("hello").await;
    seen.is_whole();
    let ttft = seen.log["ttft_ms"].as_f64().expect("a time");
    assert!(ttft >= 300.0, "{ttft}");
    assert_eq!(bench.b.state()["requests"], 0);
    assert_eq!(bench.cached().await, 1.0);
    bench
        .row(7, "first token after 300 ms", &seen.words())
        .await;
}

#[tokio::test]
async fn fault_15_a_peer_that_comes_and_goes_is_never_seen_to() {
    let mut bench =
        Bench::with("    eject: { base: 50ms, max: 50ms }\n    timeouts: { connect: 5s }\n").await;
    let mut asked = 0;
    for cycle in 0..3 {
        bench
            .a
            .plant(Some("refuse".parse().expect("a fault")), None);
        while bench.peer(0).await["state"] == "unknown" {
            asked += 1;
            bench
                .stream(&format!("down {cycle} {asked}"))
                .await
                .is_whole();
        }
        bench.a.plant(None, None);
        while bench.peer(0).await["state"] != "unknown" {
            asked += 1;
            bench
                .stream(&format!("up {cycle} {asked}"))
                .await
                .is_whole();
        }
    }
    assert!(
        bench.retries("reset").await >= 9.0,
        "three failures each time"
    );
    assert_eq!(bench.cached().await, f64::from(asked));
    bench.gate.is_at_rest().await;
    assert_eq!(bench.peer(0).await["consecutive_failures"], json!(0));
    print(
        15,
        "up and down, three times",
        "200 whole stream each time",
        "ejected each time, and in use again after one trial",
    );
}

#[tokio::test]
async fn while_one_trial_decides_about_a_peer_all_others_go_elsewhere() {
    let mut bench = Bench::with("    eject: { base: 50ms, max: 50ms }\n").await;
    bench.strike_a("refuse", 3);
    while bench.peer(0).await["failures"] != 3 {
        bench
            .stream(&format!("q{}", fastrand::u64(..)))
            .await
            .is_whole();
    }
    bench.a.plant(Some("hang".parse().expect("a fault")), None);
    until("the trial is due", || async {
        bench.peer(0).await["state"] == "half_open"
    })
    .await;
    let address = bench.gate.address;
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..12 {
        tasks.spawn(async move {
            exchange(address, &streamed(&format!("at once {n}")))
                .await
                .0
        });
    }
    for _ in 0..11 {
        let status = tasks.join_next().await.expect("a task").expect("ends");
        assert_eq!(status, 200);
    }
    assert_eq!(bench.a.state()["requests"], 3 + 1);
    // The last client leaves, which says nothing of the peer: the next request is the trial.
    tasks.shutdown().await;
    bench.a.plant(None, None);
    until("a trial brings it back", || async {
        let (status, ..) = exchange(address, &streamed(&format!("q{}", fastrand::u64(..)))).await;
        assert_eq!(status, 200);
        bench.peer(0).await["state"] == "unknown"
    })
    .await;
    bench.gate.is_at_rest().await;
}
