//! Feedback of clients reaches their own answers alone.

use serde_json::{Value, json};

use super::bench::{Bench, KEYS, marker};
use crate::support::client::{Answer, chat, send};

const FEEDBACK: &str = "/api/v1/cache/feedback";

async fn say(bench: &Bench, key: &str, body: &Value) -> Answer {
    let key = format!("Bearer {key}");
    let headers = [("authorization", key.as_str())];
    let body = body.to_string();
    let said = send(
        bench.gate.address,
        "POST",
        FEEDBACK,
        &headers,
        body.as_bytes(),
    )
    .await;
    said.expect("an answer")
}

#[tokio::test]
async fn nobody_can_delete_the_entry_of_another_scope_or_learn_that_it_is_there() {
    for (scope, thieves, friend) in [
        ("key", &["key-b", "key-c"][..], "key-a"),
        ("tenant", &["key-c"], "key-b"),
    ] {
        let bench = Bench::start(&format!("{{ scope: {scope} }}"), KEYS).await;
        let body = chat("hello", Value::Null);
        let secret = marker(&bench.ask("key-a", &[], &body).await);
        let hit = bench.ask("key-a", &[], &body).await;
        let id = hit.header("x-cache-key").expect("given").to_owned();
        for thief in thieves {
            for verdict in ["bad", "good"] {
                for cache in [json!(null), json!("answers")] {
                    let real = json!({ "id": id, "verdict": verdict, "cache": cache });
                    let real = say(&bench, thief, &real).await;
                    let made_up =
                        json!({ "id": "0".repeat(32), "verdict": verdict, "cache": cache });
                    let made_up = say(&bench, thief, &made_up).await;
                    assert_eq!((real.status.as_u16(), made_up.status.as_u16()), (404, 404));
                    assert_eq!(real.body, made_up.body);
                }
            }
        }
        let still = bench.ask("key-a", &[], &body).await;
        assert_eq!(marker(&still), secret, "the entry stays");
        let bad = json!({ "id": id, "verdict": "bad" });
        assert_eq!(say(&bench, friend, &bad).await.status, 200);
        let fresh = bench.ask("key-a", &[], &body).await;
        assert_ne!(marker(&fresh), secret, "one's own can be taken out");
        assert_eq!(say(&bench, friend, &bad).await.status, 404, "it is gone");
    }
}

#[tokio::test]
async fn feedback_wants_a_key_a_verdict_and_a_small_body() {
    let bench = Bench::start("{}", KEYS).await;
    let good = json!({ "id": "x", "verdict": "good" });
    assert_eq!(say(&bench, "key-z", &good).await.status, 401);
    for wrong in [
        json!({}),
        json!({ "id": "x" }),
        json!({ "id": "x", "verdict": "so so" }),
        json!({ "id": "x", "verdict": "bad", "all": true }),
    ] {
        assert_eq!(say(&bench, "key-a", &wrong).await.status, 400, "{wrong}");
    }
    let long = json!({ "id": "x".repeat(10_000), "verdict": "bad" });
    assert_eq!(say(&bench, "key-a", &long).await.status, 413);
    bench.gate.is_at_rest().await;
}

#[tokio::test]
async fn the_rest_of_the_admin_api_is_not_on_the_client_listener() {
    for keys in ["", KEYS] {
        let bench = Bench::start("{ scope: global }", keys).await;
        let body = chat("hello", Value::Null);
        let secret = marker(&bench.ask("key-a", &[], &body).await);
        for (method, path) in [
            ("POST", "/api/v1/cache/purge"),
            ("POST", "/api/v1/cache/epoch"),
            ("GET", "/api/v1/cache"),
            ("GET", "/api/v1/cache/answers/entries"),
            ("DELETE", "/api/v1/cache/answers/entries/x"),
            ("GET", "/api/v1/status"),
            ("POST", "/v1/../api/v1/cache/purge"),
        ] {
            let all = br#"{"all": true, "dry_run": false}"#;
            let headers = [("authorization", "Bearer key-a")];
            let got = send(bench.gate.address, method, path, &headers, all).await;
            let got = got.expect("an answer");
            assert!(
                [400, 404].contains(&got.status.as_u16()),
                "{path}: {} {}",
                got.status,
                got.text()
            );
        }
        let still = bench.ask("key-a", &[], &body).await;
        assert_eq!(marker(&still), secret);
    }
}
