//! What the caches did can be seen, and a cache that hardly ever has an answer is worth a warning.

use std::sync::Arc;

use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::support::client::{ask, begin, chat, get};
use crate::support::gate::Gate;
use crate::support::peer::{Peer, Wire, sha256};
use crate::support::until;

const ROUTE: &str =
    "routes:\n  - { name: chat, match: { path: \"/v1/*\" }, pool: pool, cache: answers }\n";

async fn peer() -> Peer {
    Peer::start(|mut wire: Wire, _| async move {
        while wire.request().await?.is_some() {
            wire.json(200, r#"{"id":"c1","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"yes"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1000,"completion_tokens":100,"total_tokens":1100}}"#).await?;
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_answer_in_one_piece_says_what_it_cost_and_a_hit_that_it_was_free() {
    let peer = peer().await;
    for (prices, first, second) in [
        (
            "[{ model: \"sim-*\", input: 2, output: 10.5 }]",
            Some("0.00305"),
            Some("0"),
        ),
        ("[{ model: \"other\", input: 2 }]", None, Some("0")),
        ("[]", None, None),
    ] {
        let rest = format!("{ROUTE}caches:\n  answers: {{}}\nprices: {prices}\n");
        let gate = Gate::before(&[peer.address], &rest).await;
        for (status, cost) in [("MISS", first), ("HIT", second)] {
            let answer = ask(gate.address, "hello", &[]).await;
            assert_eq!(answer.header("x-cache-status"), Some(status));
            assert_eq!(answer.header("x-tollgate-response-cost"), cost, "{prices}");
            assert_eq!(answer.json()["choices"][0]["message"]["content"], "yes");
        }
        gate.is_at_rest().await;
    }
}

#[tokio::test]
async fn an_answer_in_pieces_and_one_that_breaks_off_do_not_wait_for_their_cost() {
    let go = Arc::new(Notify::new());
    let told = Arc::clone(&go);
    let peer = Peer::start(move |mut wire: Wire, _| {
        let told = Arc::clone(&told);
        async move {
            while let Some(request) = wire.request().await? {
                wire.raw("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 20\r\n\r\n{\"choices\"").await?;
                told.notified().await;
                if request.body.windows(5).any(|word| word == b"break") {
                    return Ok(());
                }
                wire.raw(": null   }").await?;
            }
            Ok(())
        }
    })
    .await;
    let prices = "prices: [{ model: \"*\", input: 2 }]\n";
    let gate = Gate::before(&[peer.address], prices).await;
    for text in ["go on", "break off"] {
        let body = chat(text, Value::Null);
        let kind = [("content-type", "application/json")];
        let path = "/v1/chat/completions";
        let answer = begin(gate.address, "POST", path, &kind, &body).await;
        let answer = answer.expect("a head");
        assert_eq!(answer.status(), 200);
        assert!(!answer.headers().contains_key("x-tollgate-response-cost"));
        go.notify_one();
        let body = answer.into_body().collect().await;
        match text {
            "go on" => assert_eq!(body.expect("whole").to_bytes().len(), 20),
            _ => assert!(body.is_err()),
        }
    }
    gate.is_at_rest().await;
}

#[tokio::test]
async fn hits_are_counted_by_kind_route_and_tenant_with_what_they_save() {
    let peer = peer().await;
    let key = |name: &str, tenant: &str| {
        let hash = sha256(format!("key-{name}").as_bytes());
        format!("  - {{ name: {name}, sha256: \"{hash}\", tenant: {tenant} }}\n")
    };
    let rest = format!(
        "{ROUTE}caches:\n  answers: {{}}\nkeys:\n{}{}prices:\n  - {{ model: \"sim-*\", input: 2, output: 10 }}\n",
        key("a", "acme"),
        key("b", "other")
    );
    let gate = Gate::before(&[peer.address], &rest).await;
    for (key, headers) in [
        ("a", &[][..]),
        ("a", &[]),
        ("a", &[]),
        ("a", &[("cache-control", "no-cache")]),
        ("a", &[("x-tollgate-cache", "off")]),
        ("b", &[]),
    ] {
        let key = format!("Bearer key-{key}");
        let mut all = vec![("authorization", key.as_str())];
        all.extend_from_slice(headers);
        assert_eq!(ask(gate.address, "hello", &all).await.status, 200);
    }
    let count = async |tenant: &str, kind: &str| {
        let labels =
            format!("cache=\"answers\",kind=\"{kind}\",route=\"chat\",tenant=\"{tenant}\"");
        gate.metric(&format!("tollgate_cache_requests_total{{{labels}}}"))
            .await
    };
    gate.is_at_rest().await;
    assert_eq!(count("other", "miss").await, 1.0);
    for (kind, expected) in [
        ("exact", 2.0),
        ("miss", 1.0),
        ("refresh", 1.0),
        ("bypass", 1.0),
    ] {
        assert_eq!(count("acme", kind).await, expected, "{kind}");
    }
    assert_eq!(
        gate.metric("tollgate_cache_saved_tokens_total").await,
        2200.0
    );
    // Twice 1000 tokens of 2 USD and 100 of 10 USD a million.
    let saved = gate.metric("tollgate_cache_saved_cost_usd_total").await;
    assert!((saved - 0.006).abs() < 1e-9, "{saved}");
    assert_eq!(
        gate.metric("tollgate_cache_entry_age_seconds_count").await,
        2.0
    );
    assert_eq!(gate.metric("tollgate_cost_unpriced_total").await, 0.0);

    let status = gate.status().await;
    let cache = &status["caches"]["answers"];
    assert_eq!(cache["hit_ratio"], 0.5, "{cache}");
    assert_eq!(cache["lookups"], 4);
    assert_eq!(
        cache["requests"],
        json!({ "exact": 2, "miss": 2, "refresh": 1, "bypass": 1 })
    );
    assert_eq!(cache["by_route"]["chat"], cache["requests"]);
    assert_eq!(cache["by_tenant"]["other"], json!({ "miss": 1 }));
    let own = get(gate.admin, "/api/v1/cache/answers")
        .await
        .expect("an answer");
    assert_eq!(own.json()["by_tenant"], cache["by_tenant"]);
    gate.is_at_rest().await;
}

#[tokio::test]
async fn too_few_hits_are_worth_one_warning_and_answers_that_leave_are_counted() {
    let peer = peer().await;
    let rest = format!("{ROUTE}caches:\n  answers: {{ exact: {{ max_bytes: 256KiB }} }}\n");
    let gate = Gate::before(&[peer.address], &rest).await;
    let address = gate.address;
    let mut asking = tokio::task::JoinSet::new();
    for lane in 0..10 {
        asking.spawn(async move {
            for n in 0..205 {
                let text = format!("question {n} of {lane}");
                assert_eq!(ask(address, &text, &[]).await.status, 200);
            }
        });
    }
    while let Some(asked) = asking.join_next().await {
        asked.expect("answered");
    }
    let warnings = || {
        let log = gate.stderr();
        log.lines()
            .filter(|line| line.contains("min_hit_ratio"))
            .count()
    };
    until("the warning is written", || async { warnings() > 0 }).await;
    assert_eq!(warnings(), 1, "{}", gate.stderr());
    assert!(
        gate.stderr()
            .contains("0.0 % of the last 1000 lookups were hits, less than the 15 %")
    );
    let gone = gate
        .metric("tollgate_cache_evictions_total{cache=\"answers\",reason=\"room\"}")
        .await;
    let held = gate
        .metric("tollgate_cache_entries{cache=\"answers\"}")
        .await;
    assert!(
        gone > 0.0 && gone + held == 2050.0,
        "{gone} gone, {held} held"
    );
}
