//! Who may send, and how much.

use serde_json::json;

use crate::support::client::{self, ask, chat};
use crate::support::gate::Gate;
use crate::support::peer::{Peer, Wire, sha256};
use crate::support::until;

fn keys() -> String {
    format!(
        "keys:\n  - {{ name: a, sha256: \"{}\", tenant: t, tier: paid }}\n  - {{ name: b, sha256: \"{}\", tenant: t }}\n",
        sha256(b"key-a"),
        sha256(b"key-b")
    )
}

const A: (&str, &str) = ("authorization", "Bearer key-a");
const B: (&str, &str) = ("x-api-key", "key-b");

/// Answers every chat request with 10 + 5 tokens of usage.
async fn peer() -> Peer {
    Peer::start(|mut wire: Wire, _| async move {
        while wire.request().await?.is_some() {
            wire.json(
                200,
                &json!({ "id": "c", "object": "chat.completion", "created": 1, "model": "m",
                    "choices": [{ "index": 0, "message": { "role": "assistant", "content": "ok" }, "finish_reason": "stop" }],
                    "usage": { "prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15 } })
                .to_string(),
            )
            .await?;
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn without_a_known_key_nobody_gets_in() {
    let peer = peer().await;
    let gate = Gate::before(&[peer.address], &keys()).await;
    for headers in [
        vec![],
        vec![("authorization", "Bearer wrong")],
        vec![("authorization", "Basic key-a")],
    ] {
        let answer = ask(gate.address, "hello", &headers).await;
        assert_eq!(answer.status, 401);
        assert_eq!(answer.json()["error"]["type"], "authentication_error");
    }
    assert_eq!(
        client::get(gate.address, "/anything")
            .await
            .expect("an answer")
            .status,
        401,
        "no path is open"
    );
    assert_eq!(ask(gate.address, "hello", &[A]).await.status, 200);
    assert_eq!(ask(gate.address, "hello", &[B]).await.status, 200);
    assert!(!gate.stdout().contains("key-a"), "no key in any log");
}

#[tokio::test]
async fn the_key_is_not_passed_on_to_the_peer() {
    let peer = Peer::start(|mut wire: Wire, _| async move {
        while let Some(request) = wire.request().await? {
            let seen = request
                .header("authorization")
                .or(request.header("x-api-key"))
                .is_some();
            wire.json(200, &json!({ "seen": seen }).to_string()).await?;
        }
        Ok(())
    })
    .await;
    let gate = Gate::before(&[peer.address], &keys()).await;
    for key in [A, B] {
        assert_eq!(
            ask(gate.address, "hello", &[key]).await.json()["seen"],
            false
        );
    }
}

#[tokio::test]
async fn a_request_limit_lets_its_number_pass_and_refuses_the_next() {
    let peer = peer().await;
    let gate = Gate::before(
        &[peer.address],
        &format!("{}limits:\n  - {{ per: key, requests: 3/min }}\n", keys()),
    )
    .await;
    for left in ["2", "1", "0"] {
        let answer = ask(gate.address, "hello", &[A]).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("x-ratelimit-limit-requests"), Some("3"));
        assert_eq!(answer.header("x-ratelimit-remaining-requests"), Some(left));
    }
    let refused = ask(gate.address, "hello", &[A]).await;
    assert_eq!(refused.status, 429);
    assert_eq!(refused.json()["error"]["type"], "rate_limit_exceeded");
    let wait: u64 = refused
        .header("retry-after")
        .expect("given")
        .parse()
        .expect("seconds");
    assert!(
        (1..=20).contains(&wait),
        "3 a minute refill one in 20 s: {wait}"
    );
    assert_eq!(
        ask(gate.address, "hello", &[B]).await.status,
        200,
        "another key has its own bucket"
    );
    let anthropic = client::send(
        gate.address,
        "POST",
        "/v1/messages",
        &[A],
        &chat("x", json!({})),
    )
    .await
    .expect("an answer");
    assert_eq!(anthropic.json()["error"]["type"], "rate_limit_error");
    gate.is_at_rest().await;
}

#[tokio::test]
async fn tokens_are_settled_from_usage_across_a_tenant() {
    let peer = peer().await;
    let gate = Gate::before(
        &[peer.address],
        &format!("{}limits:\n  - {{ per: tenant, tokens: 1000/h }}\n", keys()),
    )
    .await;
    for key in [A, B, A, B] {
        assert_eq!(ask(gate.address, "hello", &[key]).await.status, 200);
    }
    let shown = || async {
        ask(gate.address, "hello", &[A])
            .await
            .header("x-ratelimit-remaining-tokens")
            .expect("given")
            .parse::<u64>()
            .expect("a number")
    };
    // Four requests of 15 tokens are settled; the fifth shows that less its own reservation.
    let after_four = shown().await;
    assert!(after_four <= 1000 - 4 * 15, "{after_four}");
    assert!(
        after_four > 1000 - 4 * 15 - 100,
        "reservations were not given back: {after_four}"
    );
}

#[tokio::test]
async fn concurrency_counts_what_runs_and_forgets_what_ended() {
    let (go, gone) = tokio::sync::watch::channel(false);
    let peer = Peer::start(move |mut wire: Wire, _| {
        let mut gone = gone.clone();
        async move {
            while wire.request().await?.is_some() {
                let _ = gone.wait_for(|go| *go).await;
                wire.json(200, "{}").await?;
            }
            Ok(())
        }
    })
    .await;
    let gate = Gate::before(
        &[peer.address],
        &format!(
            "{}limits:\n  - {{ per: key, tier: paid, concurrency: 2 }}\n",
            keys()
        ),
    )
    .await;
    let address = gate.address;
    let running: Vec<_> = (0..2)
        .map(|i| tokio::spawn(async move { ask(address, &format!("q{i}"), &[A]).await.status }))
        .collect();
    until("two run", || async {
        gate.metric("tollgate_ratelimit_inflight_requests").await == 2.0
    })
    .await;
    assert_eq!(ask(gate.address, "third", &[A]).await.status, 429);
    go.send(true).expect("the peer waits");
    for request in running {
        assert_eq!(request.await.expect("ends"), 200);
    }
    assert_eq!(ask(gate.address, "fourth", &[A]).await.status, 200);
    assert_eq!(ask(gate.address, "other tier", &[B]).await.status, 200);
    gate.is_at_rest().await;
}

#[tokio::test]
async fn a_cache_hit_costs_a_request_but_no_tokens() {
    let peer = peer().await;
    let more = "routes:\n  - { match: { path: \"/v1/*\" }, pool: pool, cache: c }\ncaches: { c: {} }\nlimits:\n  - { per: key, tokens: 100000/h, requests: 100/h }\n";
    let gate = Gate::before(&[peer.address], more).await;
    ask(gate.address, "hello", &[]).await;
    // What it cost is settled.
    gate.is_at_rest().await;
    let remaining = || async {
        let answer = ask(gate.address, "hello", &[]).await;
        assert_eq!(answer.header("x-cache-status"), Some("HIT"));
        (
            answer
                .header("x-ratelimit-remaining-requests")
                .expect("given")
                .parse::<u64>()
                .expect("a number"),
            answer
                .header("x-ratelimit-remaining-tokens")
                .expect("given")
                .parse::<u64>()
                .expect("a number"),
        )
    };
    let (before, after) = (remaining().await, remaining().await);
    assert_eq!(after.0, before.0 - 1);
    assert!(after.1 >= before.1, "{before:?} {after:?}");
}
