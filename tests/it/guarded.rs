//! What is kept apart although its words are near, and what is kept for a short time only.

use crate::support::client::{Answer, ask};
use crate::support::gate::Gate;
use crate::support::peer::{Peer, Wire};
use crate::support::{sentence_model, until};

const CACHED: &str = "routes:\n  - { match: { path: \"/v1/*\" }, pool: pool, cache: answers }\n";

async fn peer() -> Peer {
    Peer::start(|mut wire: Wire, _| async move {
        while wire.request().await?.is_some() {
            let body = r#"{"id":"c1","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"Paris"},"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":2,"total_tokens":11}}"#;
            wire.json(200, body).await?;
        }
        Ok(())
    })
    .await
}

async fn gate(peer: &Peer, cache: &str) -> Gate {
    Gate::before(
        &[peer.address],
        &format!("{CACHED}caches:\n  answers: {cache}\n"),
    )
    .await
}

fn status(answer: &Answer) -> &str {
    answer.header("x-cache-status").unwrap_or("none")
}

#[tokio::test]
async fn another_country_is_another_question_whatever_the_similarity() {
    let Some(model) = sentence_model() else {
        return;
    };
    let semantic = |guard| {
        format!(
            "{{ semantic: {{ threshold: 0.5, guard: {guard}, deadline: 5s, embedder: {{ model: m, path: {} }} }} }}",
            model.display()
        )
    };
    for (guard, expected, counted) in [
        ("on", "MISS", "guard_names"),
        ("off", "SEMANTIC_HIT", "hit"),
    ] {
        let peer = peer().await;
        let gate = gate(&peer, &semantic(guard)).await;
        gate.embeds().await;
        ask(gate.address, "What is the capital of France?", &[]).await;
        until("the question is indexed", || async {
            gate.metric("tollgate_cache_vectors{cache=\"answers\"}")
                .await
                == 1.0
        })
        .await;
        let italy = ask(gate.address, "What is the capital of Italy?", &[]).await;
        assert_eq!(status(&italy), expected, "guard: {guard}");
        let series =
            format!("tollgate_cache_lookups_total{{result=\"{counted}\",tier=\"semantic\"}}");
        assert_eq!(gate.metric(&series).await, 1.0);
        let same = ask(gate.address, "what's the capital of france", &[]).await;
        assert_eq!(status(&same), "SEMANTIC_HIT", "guard: {guard}");
    }
}

#[tokio::test]
async fn a_question_too_short_is_not_compared_by_meaning() {
    let Some(model) = sentence_model() else {
        return;
    };
    let peer = peer().await;
    let cache = format!(
        "{{ semantic: {{ threshold: 0.5, min_words: 3, deadline: 5s, embedder: {{ model: m, path: {} }} }} }}",
        model.display()
    );
    let gate = gate(&peer, &cache).await;
    ask(gate.address, "reset password", &[]).await;
    let series = "tollgate_cache_lookups_total{result=\"too_short\",tier=\"semantic\"}";
    assert_eq!(gate.metric(series).await, 1.0);
    assert_eq!(
        status(&ask(gate.address, "reset password", &[]).await),
        "HIT"
    );
}

#[tokio::test]
async fn rules_on_the_question_shorten_the_life_of_its_answer_or_forbid_it() {
    let peer = peer().await;
    let cache = "{ ttl: 1h, ttl_rules: [{ pattern: \"(?i)gold\", ttl: 0s }, { match: volatile, ttl: 2m }] }";
    let gate = gate(&peer, cache).await;
    for expected in ["MISS", "MISS"] {
        let gold = ask(gate.address, "What does GOLD cost today?", &[]).await;
        assert_eq!(status(&gold), expected);
    }
    gate.is_at_rest().await;
    let skipped = "tollgate_cache_write_skipped_total{reason=\"ttl_rule\"}";
    assert_eq!(gate.metric(skipped).await, 2.0);
    for question in ["What is the weather in Lyon?", "What is a cloud?"] {
        assert_eq!(status(&ask(gate.address, question, &[]).await), "MISS");
        assert_eq!(status(&ask(gate.address, question, &[]).await), "HIT");
    }
}
