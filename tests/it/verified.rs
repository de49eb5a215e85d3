//! Serving by meaning under a promise: it learns from misses, begins to serve, and checks what it served upstream.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::support::client::{self, ask};
use crate::support::gate::Gate;
use crate::support::peer::{Peer, Wire};
use crate::support::{sentence_model, until};

/// Questions begin so, and each is about one of these.
const TOPICS: [&str; 4] = [
    "How do I reset the password of my account",
    "What is the weather going to be like in the mountains",
    "Which wine goes well with grilled fish",
    "Why does my bicycle chain make a noise",
];

const ENDS: [&str; 8] = [
    "please",
    "exactly",
    "then",
    "again",
    "today",
    "in short",
    "if you know",
    "for me",
];

/// A peer that answers with the number of the topic.
async fn knowing_peer() -> (Peer, Arc<AtomicUsize>) {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let peer = Peer::start(move |mut wire: Wire, _| {
        let counted = Arc::clone(&counted);
        async move {
            while let Some(request) = wire.request().await? {
                let call = counted.fetch_add(1, Ordering::SeqCst);
                let asked: Value = serde_json::from_slice(&request.body)?;
                let text = asked["messages"][0]["content"].as_str().unwrap_or_default();
                let topic = TOPICS.iter().position(|topic| text.contains(topic));
                wire.json(
                    200,
                    &json!({ "id": format!("c{call}"), "object": "chat.completion", "created": call, "model": "m",
                        "choices": [{ "index": 0, "message": { "role": "assistant", "content": format!("topic {topic:?}") }, "finish_reason": "stop" }],
                        "usage": { "prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11 } })
                    .to_string(),
                )
                .await?;
            }
            Ok(())
        }
    })
    .await;
    (peer, calls)
}

#[tokio::test]
async fn it_serves_once_it_can_promise_and_checks_what_it_served_behind_the_clients_back() {
    let Some(model) = sentence_model() else {
        return;
    };
    let (peer, calls) = knowing_peer().await;
    let gate = Gate::before(
        &[peer.address],
        &format!(
            "routes:\n  - {{ match: {{ path: \"/v1/*\" }}, pool: pool, cache: answers }}\ncaches:\n  answers: {{ semantic: {{ max_error_rate: 0.05, explore: 1, guard: off, deadline: 30s, embedder: {{ model: all-MiniLM-L6-v2, path: {} }} }} }}\n",
            model.display()
        ),
    )
    .await;
    gate.embeds().await;

    let (mut asked, mut hits) = (0, 0);
    'asking: for first in ENDS {
        for second in ENDS {
            for third in ENDS {
                for (n, topic) in TOPICS.iter().enumerate() {
                    let question = format!("{topic} {first} {second} {third}?");
                    let before = calls.load(Ordering::SeqCst);
                    let answer = ask(gate.address, &question, &[]).await;
                    asked += 1;
                    let body: Value = serde_json::from_slice(&answer.body).expect("JSON");
                    let expected = format!("topic {:?}", Some(n));
                    assert_eq!(body["choices"][0]["message"]["content"], expected.as_str());
                    if answer.header("x-cache-status") == Some("SEMANTIC_HIT") {
                        assert!(asked > 100, "served after {asked} questions");
                        hits += 1;
                        until("the answer is checked", || async {
                            calls.load(Ordering::SeqCst) > before
                        })
                        .await;
                    }
                    if hits >= 10 {
                        break 'asking;
                    }
                }
            }
        }
    }
    assert_eq!(hits, 10, "of {asked} questions");
    until("the checks are compared", || async {
        gate.metric("tollgate_cache_compared_total{result=\"right\"}")
            .await
            >= 100.0
    })
    .await;

    let curve = client::get(gate.admin, "/api/v1/cache/answers/curve")
        .await
        .expect("an answer");
    let curve: Value = serde_json::from_slice(&curve.body).expect("JSON");
    let scope = &curve["scopes"][0];
    assert_eq!(scope["serving"], true, "{curve}");
    assert!(
        scope["serve"]["precision"]
            .as_f64()
            .is_some_and(|share| share > 0.95),
        "{curve}"
    );
    let none = client::get(gate.admin, "/api/v1/cache/none/curve")
        .await
        .expect("an answer");
    assert_eq!(none.status, 404);
}
