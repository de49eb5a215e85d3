//! Old answers while a fresh one is fetched or when no peer has one, and the operator's words when there is neither.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::support::client::{Answer, ask, chat, post_chat, send};
use crate::support::free_address;
use crate::support::gate::{Gate, pool};
use crate::support::peer::{Peer, Wire};
use crate::support::until;

const CACHED: &str = "routes:\n  - { match: { path: \"/v1/*\" }, pool: pool, cache: answers }\n";

/// A peer that numbers its answers, and says `status`.
struct Numbered {
    peer: Peer,
    calls: Arc<AtomicUsize>,
    status: Arc<AtomicU16>,
}

async fn numbered() -> Numbered {
    let calls = Arc::new(AtomicUsize::new(0));
    let status = Arc::new(AtomicU16::new(200));
    let (counted, says) = (Arc::clone(&calls), Arc::clone(&status));
    let peer = Peer::start(move |mut wire: Wire, _| {
        let (counted, says) = (Arc::clone(&counted), Arc::clone(&says));
        async move {
            while wire.request().await?.is_some() {
                let call = counted.fetch_add(1, Ordering::SeqCst) + 1;
                let answer = json!({ "id": "c1", "object": "chat.completion", "created": 1, "model": "m",
                    "choices": [{ "index": 0, "message": { "role": "assistant", "content": format!("answer {call}") }, "finish_reason": "stop" }],
                    "usage": { "prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11 } });
                match says.load(Ordering::SeqCst) {
                    0 => return Ok(()),
                    status => wire.json(status, &answer.to_string()).await?,
                }
            }
            Ok(())
        }
    })
    .await;
    Numbered {
        peer,
        calls,
        status,
    }
}

async fn gate(numbered: &Numbered, cache: &str) -> Gate {
    let once = "    retry: { attempts: 1 }\n    eject: off\n";
    let pool = pool(&[numbered.peer.address], once);
    Gate::start(&format!("{pool}{CACHED}caches:\n  answers: {cache}\n")).await
}

fn told(answer: &Answer) -> (String, String) {
    let status = answer.header("x-cache-status").unwrap_or("none");
    let content = &answer.json()["choices"][0]["message"]["content"];
    let content = content.as_str().unwrap_or_default();
    (status.to_owned(), content.to_owned())
}

fn are(answer: &Answer, status: &str, content: &str) {
    assert_eq!(told(answer), (status.to_owned(), content.to_owned()));
}

/// Asks with an age bound that nothing old meets, until the entry's life is over.
async fn until_old(gate: &Gate) {
    until("the answer is old", || async {
        let only = [("cache-control", "only-if-cached, max-age=600")];
        ask(gate.address, "hello", &only).await.status == 504
    })
    .await;
}

#[tokio::test]
async fn an_old_answer_is_served_at_once_while_one_fresh_one_is_fetched() {
    let numbered = numbered().await;
    let gate = gate(&numbered, "{ ttl: 200ms, stale_while_revalidate: 1h }").await;
    are(&ask(gate.address, "hello", &[]).await, "MISS", "answer 1");
    until_old(&gate).await;
    let stale = ask(gate.address, "hello", &[]).await;
    are(&stale, "STALE", "answer 1");
    assert!(stale.header("age").is_some());
    until("the fresh one is there", || async {
        gate.metric("tollgate_cache_refreshes_total{result=\"answered\"}")
            .await
            >= 1.0
    })
    .await;
    until("it is served", || async {
        told(&ask(gate.address, "hello", &[]).await).1 != "answer 1"
    })
    .await;
    gate.is_at_rest().await;
}

#[tokio::test]
async fn an_old_answer_is_served_when_no_peer_has_a_fresh_one() {
    for status in [0, 429, 500, 503] {
        let numbered = numbered().await;
        let gate = gate(&numbered, "{ ttl: 100ms, stale_if_error: 1h }").await;
        are(&ask(gate.address, "hello", &[]).await, "MISS", "answer 1");
        until_old(&gate).await;
        numbered.status.store(status, Ordering::SeqCst);
        are(&ask(gate.address, "hello", &[]).await, "STALE", "answer 1");
        let other = ask(gate.address, "never asked before", &[]).await;
        assert!(other.status.as_u16() >= 429, "{other:?}");
        numbered.status.store(200, Ordering::SeqCst);
        let fresh = ask(gate.address, "hello", &[]).await;
        assert_eq!(told(&fresh).0, "MISS");
        gate.is_at_rest().await;
    }
}

#[tokio::test]
async fn without_the_keys_nothing_old_is_served() {
    let numbered = numbered().await;
    let gate = gate(&numbered, "{ ttl: 100ms }").await;
    are(&ask(gate.address, "hello", &[]).await, "MISS", "answer 1");
    until_old(&gate).await;
    numbered.status.store(500, Ordering::SeqCst);
    assert_eq!(ask(gate.address, "hello", &[]).await.status, 500);
    assert!(numbered.calls.load(Ordering::SeqCst) >= 2);
}

#[tokio::test]
async fn when_the_fleet_is_gone_the_operators_words_come_in_every_format() {
    let away = pool(&[free_address()], "");
    let route = "routes:\n  - { match: { path: \"/v1/*\" }, pool: pool, unavailable: { text: \"Back soon.\" } }\n";
    let gate = Gate::start(&format!("{away}{route}")).await;
    let whole = ask(gate.address, "hello", &[]).await;
    assert_eq!(
        (whole.status.as_u16(), told(&whole).1.as_str()),
        (200, "Back soon.")
    );
    assert_eq!(whole.header("x-tollgate-fallbacks"), Some("static"));
    assert_eq!(whole.json()["choices"][0]["finish_reason"], "stop");
    assert_eq!(whole.json()["usage"]["total_tokens"], 0);
    let stream = post_chat(gate.address, &chat("hello", json!({ "stream": true })), &[]).await;
    assert!(stream.text().contains("Back soon.") && stream.text().ends_with("data: [DONE]\n\n"));
    for (path, at) in [
        ("/v1/messages", "/content/0/text"),
        ("/v1/responses", "/output/0/content/0/text"),
        ("/v1/completions", "/choices/0/text"),
    ] {
        let body = json!({ "model": "m", "messages": [{ "role": "user", "content": "hello" }],
            "input": "hello", "prompt": "hello", "max_tokens": 5 });
        let body = body.to_string();
        let headers = [("content-type", "application/json")];
        let answer = send(gate.address, "POST", path, &headers, body.as_bytes()).await;
        let answer = answer.expect("an answer");
        assert_eq!(
            answer.json().pointer(at),
            Some(&Value::from("Back soon.")),
            "{path}"
        );
    }
    let body = json!({ "model": "m", "input": "hello" }).to_string();
    let headers = [("content-type", "application/json")];
    let vectors = send(
        gate.address,
        "POST",
        "/v1/embeddings",
        &headers,
        body.as_bytes(),
    )
    .await;
    assert_eq!(
        vectors.expect("an answer").status,
        503,
        "vectors cannot be made up"
    );
    gate.is_at_rest().await;
    assert!(
        gate.metric("tollgate_fallbacks_total{kind=\"static\"}")
            .await
            >= 5.0
    );
}
