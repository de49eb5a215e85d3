//! Entries are taken out by what they are, and stay out.

mod api;
mod command;
mod durable;

use serde_json::{Value, json};

use crate::support::client::{Answer, ask, chat, post_chat, send};
use crate::support::gate::Gate;
use crate::support::peer::{Peer, Wire, sha256};
use crate::support::{sentence_model, until};

/// The name that clients know every gate by: its port is another after each start.
const HOST: (&str, &str) = ("host", "tollgate.example");

const ROUTES: &str = "routes:
  - { name: two, match: { path: \"/v1/*\", headers: { x-way: two } }, pool: pool, cache: answers }
  - { name: one, match: { path: \"/v1/*\" }, pool: pool, cache: answers }
";

/// A peer that answers all alike.
async fn peer() -> Peer {
    Peer::start(|mut wire: Wire, _| async move {
        while wire.request().await?.is_some() {
            wire.json(200, ANSWER).await?;
        }
        Ok(())
    })
    .await
}

const ANSWER: &str = r#"{"id":"c1","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"the answer"},"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":2,"total_tokens":11}}"#;

/// Keys `a` and `b` of tenants of the same name, and one cache.
fn rest(cache: &str) -> String {
    let key = |name: &str| {
        let hash = sha256(format!("key-{name}").as_bytes());
        format!("  - {{ name: {name}, sha256: \"{hash}\" }}\n")
    };
    format!(
        "{ROUTES}caches:\n  answers: {cache}\nkeys:\n{}{}",
        key("a"),
        key("b")
    )
}

async fn gate(peer: &Peer) -> Gate {
    Gate::before(&[peer.address], &rest("{}")).await
}

/// Calls the admin API.
async fn call(gate: &Gate, method: &str, path: &str, body: &Value) -> Answer {
    let path = format!("/api/v1/cache{path}");
    let body = match body {
        Value::Null => Vec::new(),
        body => body.to_string().into_bytes(),
    };
    send(gate.admin, method, &path, &[], &body)
        .await
        .expect("an answer")
}

async fn purge(gate: &Gate, body: Value) -> Value {
    let answer = call(gate, "POST", "/purge", &body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

/// `X-Cache-Status` of a question of key `a` or `b`.
async fn status(gate: &Gate, key: &str, text: &str, headers: &[(&str, &str)]) -> String {
    let key = format!("Bearer key-{key}");
    let mut all = vec![("authorization", key.as_str()), HOST];
    all.extend_from_slice(headers);
    let answer = ask(gate.address, text, &all).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.header("x-cache-status").expect("given").to_owned()
}

/// Six entries, no two alike in all.
async fn filled(gate: &Gate) {
    for (key, text, headers) in entries() {
        assert_eq!(status(gate, key, text, &headers).await, "MISS");
    }
}

type Asked = (
    &'static str,
    &'static str,
    Vec<(&'static str, &'static str)>,
);

fn entries() -> [Asked; 6] {
    [
        ("a", "plain", vec![]),
        ("b", "plain", vec![]),
        ("a", "tagged", vec![("x-tollgate-tags", "doc=7, team=x")]),
        ("b", "tagged", vec![("x-tollgate-tags", "doc=7")]),
        ("a", "named", vec![("x-tollgate-cache-namespace", "ns")]),
        ("a", "other way", vec![("x-way", "two")]),
    ]
}

/// Which of the six are still there.
async fn left(gate: &Gate) -> Vec<usize> {
    let mut left = Vec::new();
    for (n, (key, text, headers)) in entries().into_iter().enumerate() {
        let mut headers = headers;
        headers.push(("cache-control", "only-if-cached"));
        let key = format!("Bearer key-{key}");
        headers.extend([("authorization", key.as_str()), HOST]);
        if ask(gate.address, text, &headers).await.status == 200 {
            left.push(n);
        }
    }
    left
}

#[tokio::test]
async fn a_purge_is_a_dry_run_unless_told_otherwise_and_takes_out_what_it_means() {
    let peer = peer().await;
    for (which, gone) in [
        (json!({ "tenant": "a" }), &[0, 2, 4, 5][..]),
        (json!({ "scope": "key:b/b" }), &[1, 3]),
        (json!({ "tags": { "doc": "7" } }), &[2, 3]),
        (json!({ "tags": { "doc": "7", "team": "x" } }), &[2]),
        (json!({ "namespace": "ns" }), &[4]),
        (json!({ "route": "two" }), &[5]),
        (json!({ "model": "sim-model", "tenant": "b" }), &[1, 3]),
        (
            json!({ "cache": "answers", "all": true }),
            &[0, 1, 2, 3, 4, 5],
        ),
        (json!({ "tenant": "nobody" }), &[]),
    ] {
        let gate = gate(&peer).await;
        filled(&gate).await;
        let dry = purge(&gate, which.clone()).await;
        assert_eq!(dry["dry_run"], true, "{dry}");
        assert_eq!(dry["entries"], gone.len(), "{which}: {dry}");
        assert_eq!(dry["audit"], Value::Null);
        assert_eq!(left(&gate).await, [0, 1, 2, 3, 4, 5], "nothing is touched");

        let mut body = which.clone();
        body["dry_run"] = json!(false);
        let done = purge(&gate, body).await;
        assert_eq!(
            (&done["entries"], &done["bytes"]),
            (&dry["entries"], &dry["bytes"])
        );
        let some = done["caches"]["answers"]["some"]
            .as_array()
            .expect("a list");
        assert_eq!(some.len(), gone.len());
        assert!(
            some.iter()
                .all(|entry| entry["id"].as_str().is_some_and(|id| id.len() == 32))
        );
        let audit = done["audit"].as_str().expect("a line");
        assert!(
            audit.contains("cache purge") && gate.stderr().contains(audit),
            "{audit}"
        );
        let expected: Vec<usize> = (0..6).filter(|n| !gone.contains(n)).collect();
        assert_eq!(left(&gate).await, expected, "{which}");
        let held = gate
            .metric("tollgate_cache_entries{cache=\"answers\"}")
            .await;
        assert_eq!(held, expected.len() as f64);
    }
}

#[tokio::test]
async fn an_epoch_makes_what_is_older_unreachable_and_nothing_else() {
    let peer = peer().await;
    for (whose, gone) in [
        (json!({ "all": true }), &[0, 1, 2, 3, 4, 5][..]),
        (json!({ "tenant": "b" }), &[1, 3]),
        (json!({ "scope": "key:a/a" }), &[0, 2, 4, 5]),
        (json!({ "route": "two" }), &[5]),
        (json!({ "model": "sim-model" }), &[0, 1, 2, 3, 4, 5]),
        (json!({ "model": "another" }), &[]),
    ] {
        let gate = gate(&peer).await;
        filled(&gate).await;
        let done = call(&gate, "POST", "/epoch", &whose).await;
        assert_eq!(done.status, 200, "{}", done.text());
        let first = done.json()["epochs"]["answers"].as_u64().expect("a number");
        let expected: Vec<usize> = (0..6).filter(|n| !gone.contains(n)).collect();
        assert_eq!(left(&gate).await, expected, "{whose}");
        until("they leave memory, too", || async {
            let held = gate
                .metric("tollgate_cache_entries{cache=\"answers\"}")
                .await;
            held == expected.len() as f64
        })
        .await;
        for n in gone {
            let (key, text, headers) = &entries()[*n];
            assert_eq!(status(&gate, key, text, headers).await, "MISS");
            assert_eq!(
                status(&gate, key, text, headers).await,
                "HIT",
                "the new epoch holds"
            );
        }
        let again = call(&gate, "POST", "/epoch", &whose).await;
        assert!(
            again.json()["epochs"]["answers"]
                .as_u64()
                .expect("a number")
                > first
        );
        assert_eq!(left(&gate).await, expected);
    }
}

#[tokio::test]
async fn an_answer_that_is_on_its_way_when_its_like_is_purged_is_not_kept() {
    for call_ in [
        ("/purge", json!({ "tenant": "a", "dry_run": false })),
        ("/epoch", json!({ "tenant": "a" })),
    ] {
        let (go, gone) = tokio::sync::watch::channel(false);
        let (reached, mut reaches) = tokio::sync::mpsc::unbounded_channel();
        let peer = Peer::start(move |mut wire: Wire, _| {
            let (mut gone, reached) = (gone.clone(), reached.clone());
            async move {
                while wire.request().await?.is_some() {
                    let _ = reached.send(());
                    let _ = gone.wait_for(|go| *go).await;
                    wire.json(200, ANSWER).await?;
                }
                Ok(())
            }
        })
        .await;
        let gate = gate(&peer).await;
        let asking = tokio::spawn({
            let address = gate.address;
            async move { ask(address, "slow", &[("authorization", "Bearer key-a"), HOST]).await }
        });
        reaches.recv().await.expect("the peer is asked");
        let done = call(&gate, "POST", call_.0, &call_.1).await;
        assert_eq!(done.status, 200, "{}", done.text());
        go.send(true).expect("the peer waits");
        assert_eq!(asking.await.expect("answered").status, 200);
        assert_eq!(status(&gate, "a", "slow", &[]).await, "MISS", "{call_:?}");
        assert_eq!(status(&gate, "a", "slow", &[]).await, "HIT");
        gate.is_at_rest().await;
    }
}

#[tokio::test]
async fn feedback_keeps_good_answers_and_takes_bad_ones_out() {
    let peer = peer().await;
    let gate = gate(&peer).await;
    assert_eq!(status(&gate, "a", "hello", &[]).await, "MISS");
    let key = [("authorization", "Bearer key-a"), HOST];
    let hit = ask(gate.address, "hello", &key).await;
    let id = hit.header("x-cache-key").expect("given").to_owned();
    let say = async |id: &str, verdict: &str| {
        let body = json!({ "id": id, "verdict": verdict });
        call(&gate, "POST", "/feedback", &body)
            .await
            .status
            .as_u16()
    };
    assert_eq!(say(&id, "good").await, 200);
    assert_eq!(status(&gate, "a", "hello", &[]).await, "HIT");
    assert_eq!(say(&id, "maybe").await, 400);
    assert_eq!(say("0", "bad").await, 404);
    assert_eq!(say(&id, "bad").await, 200);
    assert_eq!(say(&id, "bad").await, 404);
    assert_eq!(status(&gate, "a", "hello", &[]).await, "MISS");
}

#[tokio::test]
async fn what_is_near_a_text_is_found_and_purged() {
    let Some(model) = sentence_model() else {
        return;
    };
    let peer = peer().await;
    let cache = format!(
        "{{ semantic: {{ threshold: 0.99, deadline: 5s, embedder: {{ model: all-MiniLM-L6-v2, path: {} }} }} }}",
        model.display()
    );
    let gate = Gate::before(&[peer.address], &rest(&cache)).await;
    gate.embeds().await;
    let near = [
        "How do I reset my password?",
        "How can I reset my password?",
    ];
    let far = "What is the capital of France?";
    for text in near.iter().chain([&far]) {
        for temperature in [0.0, 0.5] {
            let body = chat(text, json!({ "temperature": temperature }));
            post_chat(gate.address, &body, &[("authorization", "Bearer key-a")]).await;
        }
    }
    until("all are indexed", || async {
        gate.metric("tollgate_cache_vectors{cache=\"answers\"}")
            .await
            == 6.0
    })
    .await;
    let body = json!({ "text": "resetting a password", "radius": 0.6 });
    assert_eq!(
        purge(&gate, body.clone()).await["entries"],
        4,
        "in every class"
    );
    let mut others = body.clone();
    others["tenant"] = json!("b");
    assert_eq!(
        purge(&gate, others).await["entries"],
        0,
        "all that is said must hold"
    );
    let mut done = body;
    done["dry_run"] = json!(false);
    let done = purge(&gate, done).await;
    assert_eq!(done["entries"], 4);
    assert!(
        !gate.stderr().contains("resetting"),
        "the text may be anybody's prompt"
    );
    let all = purge(&gate, json!({ "all": true })).await;
    assert_eq!(all["entries"], 2, "what is far stays");
}
