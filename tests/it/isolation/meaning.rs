//! By meaning, too, nobody is served but from their own scope.

use serde_json::Value;

use super::bench::{Bench, KEYS, leaks, marker};
use crate::support::client::chat;
use crate::support::{sentence_model, until};

#[tokio::test]
async fn a_question_in_other_words_gets_nobody_the_answer_of_another() {
    let Some(model) = sentence_model() else {
        return;
    };
    for (scope, friend, thieves) in [
        ("key", "key-a", &["key-b", "key-c"][..]),
        ("tenant", "key-b", &["key-c"]),
    ] {
        let cache = format!(
            "{{ scope: {scope}, semantic: {{ threshold: 0.7, deadline: 5s, embedder: {{ model: all-MiniLM-L6-v2, path: {} }} }} }}",
            model.display()
        );
        let bench = Bench::start(&cache, KEYS).await;
        bench.gate.embeds().await;
        let asked = chat("How do I reset my password?", Value::Null);
        let secret = marker(&bench.ask("key-a", &[], &asked).await);
        until("the question is indexed", || async {
            let vectors = "tollgate_cache_vectors{cache=\"answers\"}";
            bench.gate.metric(vectors).await == 1.0
        })
        .await;
        let near = chat("How can I reset my password?", Value::Null);
        for thief in thieves {
            for headers in [
                &[][..],
                &[("x-tollgate-cache-threshold", "0")],
                &[("x-tollgate-cache", "semantic")],
            ] {
                for body in [&near, &asked] {
                    let got = bench.ask(thief, headers, body).await;
                    assert!(
                        !leaks(&got, std::slice::from_ref(&secret)),
                        "{scope} {thief}"
                    );
                }
            }
        }
        let shared = bench.ask(friend, &[], &near).await;
        assert_eq!(
            marker(&shared),
            secret,
            "{scope}: it could be had by meaning"
        );
        assert_eq!(shared.header("x-cache-status"), Some("SEMANTIC_HIT"));
        let apart = [("x-tollgate-cache-namespace", "n")];
        let got = bench.ask(friend, &apart, &near).await;
        assert!(!leaks(&got, &[secret]), "{scope}: another namespace");
    }
}
