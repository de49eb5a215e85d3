//! A change of the configuration moves nobody's answers to somebody else.

use serde_json::Value;

use super::bench::{Bench, KEYS, keys, leaks, marker, rest};
use crate::support::client::chat;
use crate::support::gate::pool;

impl Bench {
    async fn reload(&self, rest: &str) {
        let text = std::fs::read_to_string(&self.gate.config).expect("config");
        let peer = text
            .lines()
            .filter_map(|line| line.trim().strip_prefix("- address: "))
            .next_back()
            .expect("the peer");
        let peer = peer.parse().expect("an address");
        self.gate.rewrite(&format!("{}{rest}", pool(&[peer], "")));
        assert_eq!(self.gate.reload().await.status, 200);
    }
}

/// With a file, so that a reload keeps what is stored.
fn kept(scope: &str, folder: &std::path::Path) -> String {
    let path = folder.join("answers.redb");
    format!(
        "{{ scope: {scope}, store: {{ path: {} }} }}",
        path.display()
    )
}

#[tokio::test]
async fn a_wider_scope_does_not_open_what_was_stored_under_a_narrower_one() {
    let folder = tempfile::tempdir().expect("folder");
    let bench = Bench::start(&kept("key", folder.path()), KEYS).await;
    let body = chat("hello", Value::Null);
    let mut secrets = vec![marker(&bench.ask("key-a", &[], &body).await)];
    for scope in ["tenant", "global", "key"] {
        bench.reload(&rest(&kept(scope, folder.path()), KEYS)).await;
        let other = bench.ask("key-c", &[], &body).await;
        assert!(!leaks(&other, &secrets), "{scope}");
        secrets.push(marker(&other));
    }
}

#[tokio::test]
async fn a_key_that_goes_over_to_another_tenant_leaves_its_answers_behind() {
    for scope in ["key", "tenant"] {
        let folder = tempfile::tempdir().expect("folder");
        let cache = kept(scope, folder.path());
        let bench = Bench::start(&cache, KEYS).await;
        let body = chat("hello", Value::Null);
        let secret = marker(&bench.ask("key-a", &[], &body).await);
        assert_eq!(marker(&bench.ask("key-a", &[], &body).await), secret);
        let moved = keys(&[("a", "key-new", "t2"), ("b", "key-a", "t3")]);
        bench.reload(&format!("{}{moved}", rest(&cache, ""))).await;
        for thief in ["key-new", "key-a"] {
            let got = bench.ask(thief, &[], &body).await;
            assert!(
                !leaks(&got, std::slice::from_ref(&secret)),
                "{scope} {thief}"
            );
        }
    }
}

#[tokio::test]
async fn when_keys_are_given_up_or_asked_for_nobody_inherits() {
    let folder = tempfile::tempdir().expect("folder");
    let cache = kept("key", folder.path());
    let bench = Bench::start(&cache, "").await;
    let body = chat("hello", Value::Null);
    let open = marker(&bench.ask("key-a", &[], &body).await);
    bench.reload(&rest(&cache, KEYS)).await;
    let mut secrets = vec![open];
    let known = bench.ask("key-a", &[], &body).await;
    assert!(!leaks(&known, &secrets));
    secrets.push(marker(&known));
    bench.reload(&rest(&cache, "")).await;
    let stranger = bench.ask("key-b", &[], &body).await;
    assert!(!leaks(&stranger, &secrets));
}
