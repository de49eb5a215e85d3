//! One client tries to get another's answers, in every way that the configuration allows, and must fail.

mod bench;
mod feedback;
mod meaning;
mod reload;

use serde_json::{Value, json};

use crate::support::client::{chat, send, send_h2_with};
use bench::{Bench, CHAT, KEYS, leaks, marker};

const QUESTION: &str = "What is in the contract with the red seal?";

#[tokio::test]
async fn no_header_query_or_body_gets_one_key_the_answers_of_another() {
    for (scope, victim, thieves) in [
        ("key", "key-a", &["key-b", "key-c"][..]),
        ("tenant", "key-a", &["key-c"]),
    ] {
        let bench = Bench::start(&format!("{{ scope: {scope} }}"), KEYS).await;
        let body = chat(QUESTION, Value::Null);
        let named = [
            ("x-tollgate-cache-namespace", "ns"),
            ("x-tollgate-tags", "doc=7"),
        ];
        let theirs = [
            bench.ask(victim, &[], &body).await,
            bench.ask(victim, &named, &body).await,
        ];
        let again = bench.ask(victim, &[], &body).await;
        assert_eq!(again.header("x-cache-status"), Some("HIT"), "it can be had");
        let id = again.header("x-cache-key").expect("given").to_owned();
        let secrets: Vec<String> = theirs.iter().map(marker).collect();

        let tries: [&[(&str, &str)]; 20] = [
            &[],
            &[("x-tollgate-cache-namespace", "ns")],
            &[("x-tollgate-cache-namespace", "key:t1/a")],
            &[("x-tollgate-cache-namespace", "key:a")],
            &[("x-tollgate-tags", "doc=7")],
            &[("x-tollgate-tags", "tenant=t1"), ("x-tollgate-user", "a")],
            &[("x-tollgate-cache", "exact")],
            &[("x-tollgate-cache", "semantic")],
            &[("x-tollgate-cache-threshold", "0")],
            &[("cache-control", "only-if-cached")],
            &[("cache-control", "only-if-cached, max-age=999999")],
            &[("cache-control", "max-stale=999999")],
            &[("x-cache-key", &id)],
            &[("x-tollgate-route", "other")],
            &[("X-Api-Key", "key-z"), ("Cookie", "key=key-a")],
            &[("x-goog-api-key", "a"), ("api-key", "a")],
            &[("authorization", "Bearer key-z")],
            &[("x-forwarded-for", "127.0.0.1"), ("x-forwarded-user", "a")],
            &[("if-none-match", &id)],
            &[
                ("x-tollgate-tenant", "t1"),
                ("x-tenant", "t1"),
                ("x-tollgate-session-id", "a"),
            ],
        ];
        let mut bodies = vec![body.clone()];
        for more in [
            json!({ "user": "a" }),
            json!({ "metadata": { "tenant": "t1", "key": "a" } }),
            json!({ "cache": { "namespace": "ns" } }),
            json!({ "stream": true }),
        ] {
            bodies.push(chat(QUESTION, more));
        }
        let text = String::from_utf8(body.clone()).expect("text");
        bodies.push(
            text.replacen('{', "{\"model\":\"x\",\"user\":\"a\",", 1)
                .into_bytes(),
        );
        bodies.push(text.replace("contract", "c\\u006fntract").into_bytes());
        for thief in thieves {
            for headers in tries {
                let got = bench.ask(thief, headers, &body).await;
                assert!(
                    !leaks(&got, &secrets),
                    "{scope} {thief} {headers:?}: {}",
                    got.text()
                );
            }
            for body in &bodies {
                let got = bench.ask(thief, &[], body).await;
                assert!(!leaks(&got, &secrets), "{scope} {thief}: {}", got.text());
            }
            for query in [
                "?",
                "?key=key-a",
                "?api-key=key-a",
                "?tenant=t1",
                "?namespace=ns",
            ] {
                let key = format!("Bearer {thief}");
                let headers = [("authorization", key.as_str())];
                let path = format!("{CHAT}{query}");
                let got = send(bench.gate.address, "POST", &path, &headers, &body).await;
                assert!(
                    !leaks(&got.expect("an answer"), &secrets),
                    "{scope} {query}"
                );
                let uri = format!("http://{}{path}", bench.gate.address);
                let got = send_h2_with(bench.gate.address, "POST", &uri, &headers, &body).await;
                assert!(
                    !leaks(&got.expect("an answer"), &secrets),
                    "{scope} h2 {query}"
                );
            }
        }
        // What the thieves stored is not given to the victim either.
        let again = bench.ask(victim, &[], &body).await;
        assert_eq!(marker(&again), secrets[0]);
    }
}

#[tokio::test]
async fn without_keys_whoever_shows_another_credential_is_another() {
    let bench = Bench::start("{}", "").await;
    let body = chat(QUESTION, Value::Null);
    let ask = async |headers: &[(&str, &str)]| {
        let got = send(bench.gate.address, "POST", CHAT, headers, &body).await;
        got.expect("an answer")
    };
    let victims: [&[(&str, &str)]; 9] = [
        &[],
        &[("authorization", "Bearer secret")],
        &[("x-api-key", "secret")],
        &[("x-goog-api-key", "secret")],
        &[("api-key", "secret")],
        &[("cookie", "session=secret")],
        &[("proxy-authorization", "Basic secret")],
        &[("x-auth-token", "secret")],
        &[("x-never-heard-of", "secret")],
    ];
    let mut secrets = Vec::new();
    for victim in victims {
        let got = ask(victim).await;
        assert!(!leaks(&got, &secrets), "{victim:?}");
        secrets.push(marker(&got));
    }
    for (victim, secret) in victims.iter().zip(&secrets) {
        assert_eq!(marker(&ask(victim).await), *secret, "one's own: {victim:?}");
    }
    for thief in [
        &[("authorization", "bearer secret")][..],
        &[("authorization", "Bearer secret2")],
        &[("authorization", "Bearer secret"), ("x-api-key", "secret")],
        &[
            ("authorization", "Bearer secret"),
            ("authorization", "Bearer b"),
        ],
        &[
            ("authorization", "Bearer secret"),
            ("x-tollgate-cache-namespace", "n"),
        ],
        &[("x-api-key", "Bearer secret")],
        &[("x-api-key", "secret\u{e9}")],
        &[("cookie", "session=secret; more=1")],
    ] {
        let got = ask(thief).await;
        assert!(!leaks(&got, &secrets), "{thief:?}");
        secrets.push(marker(&got));
    }
    // Over HTTP/2 it is the same client if it shows the same, and another if not.
    let uri = format!("http://{}{CHAT}", bench.gate.address);
    let same = send_h2_with(bench.gate.address, "POST", &uri, victims[1], &body).await;
    assert_eq!(marker(&same.expect("an answer")), secrets[1]);
    let other = [("authorization", "Bearer secret3")];
    let other = send_h2_with(bench.gate.address, "POST", &uri, &other, &body).await;
    assert!(!leaks(&other.expect("an answer"), &secrets));
}

#[tokio::test]
async fn what_a_peer_may_answer_otherwise_is_another_request() {
    let bench = Bench::start("{ scope: global }", "").await;
    let body = chat(QUESTION, Value::Null);
    let mut secrets = Vec::new();
    for (path, headers) in [
        (CHAT, &[][..]),
        ("/v1/chat/completions?api-version=1", &[]),
        ("/v1/chat/completions?api-version=2", &[]),
        (CHAT, &[("host", "a.example")]),
        (CHAT, &[("host", "b.example")]),
        (CHAT, &[("anthropic-version", "1")]),
        (CHAT, &[("anthropic-beta", "1")]),
        (CHAT, &[("openai-organization", "1")]),
        (CHAT, &[("openai-project", "1")]),
        (CHAT, &[("openai-beta", "1")]),
        (CHAT, &[("x-tollgate-cache-namespace", "1")]),
    ] {
        let got = send(bench.gate.address, "POST", path, headers, &body).await;
        let got = got.expect("an answer");
        assert!(!leaks(&got, &secrets), "{path} {headers:?}");
        secrets.push(marker(&got));
    }
    let upper = [("host", "A.EXAMPLE")];
    let got = send(bench.gate.address, "POST", CHAT, &upper, &body).await;
    assert_eq!(
        marker(&got.expect("an answer")),
        secrets[3],
        "hosts have no case"
    );
}

#[tokio::test]
async fn one_body_on_two_endpoints_is_two_requests() {
    let bench = Bench::start("{ scope: global }", "").await;
    let body = json!({
        "model": "m", "max_tokens": 5, "prompt": QUESTION, "input": QUESTION,
        "messages": [{ "role": "user", "content": QUESTION }],
    });
    let body = serde_json::to_vec(&body).expect("JSON");
    let mut secrets = Vec::new();
    for _ in 0..2 {
        for (n, path) in [CHAT, "/v1/messages", "/v1/responses", "/v1/completions"]
            .iter()
            .enumerate()
        {
            let got = send(bench.gate.address, "POST", path, &[], &body).await;
            let got = got.expect("an answer");
            match secrets.get(n) {
                Some(secret) => assert_eq!(marker(&got), *secret, "{path}"),
                None => {
                    assert!(!leaks(&got, &secrets), "{path}: {}", got.text());
                    secrets.push(marker(&got));
                }
            }
        }
    }
}

#[tokio::test]
async fn routes_pools_and_models_do_not_mix() {
    let routes = "routes:
  - { name: one, match: { path: \"/v1/*\", headers: { x-way: one } }, pool: pool, cache: answers }
  - { name: two, match: { path: \"/v1/*\", headers: { x-way: two } }, pool: pool, cache: answers, rewrite: { request_headers: { set: { x-lora: b } } } }
  - { name: three, match: { path: \"/v1/*\" }, pool: pool, cache: others }
";
    let caches = "caches:\n  answers: { scope: global }\n  others: { scope: global }\n";
    let bench = Bench::with(&format!("{routes}{caches}")).await;
    let mut secrets = Vec::new();
    for way in ["one", "two", "three"] {
        for model in ["m", "m ", "M", "\u{ff4d}"] {
            let body = chat(QUESTION, json!({ "model": model }));
            let got = send(bench.gate.address, "POST", CHAT, &[("x-way", way)], &body).await;
            let got = got.expect("an answer");
            assert!(!leaks(&got, &secrets), "{way} {model}");
            secrets.push(marker(&got));
        }
    }
}

#[tokio::test]
async fn a_namespace_that_only_looks_like_anothers_is_refused_or_its_own() {
    let bench = Bench::start("{ scope: global }", "").await;
    let body = chat(QUESTION, Value::Null);
    let ask = async |namespace: &str| {
        let headers = [("x-tollgate-cache-namespace", namespace)];
        let got = send(bench.gate.address, "POST", CHAT, &headers, &body).await;
        got.expect("an answer")
    };
    let secret = marker(&ask("team-a").await);
    for lookalike in ["te\u{430}m-a", "team-\u{ff41}", "team\u{2010}a"] {
        let got = ask(lookalike).await;
        assert_eq!(got.status, 400, "{lookalike}: {}", got.text());
    }
    for other in ["Team-a", "team-a.", "team%2da", "\"team-a\"", "team-A"] {
        assert!(
            !leaks(&ask(other).await, std::slice::from_ref(&secret)),
            "{other}"
        );
    }
    assert_eq!(marker(&ask("team-a").await), secret);
}

#[tokio::test]
async fn requests_alike_of_two_keys_at_once_are_two_calls() {
    let bench = Bench::start("{}", KEYS).await;
    let body = chat(QUESTION, Value::Null);
    // Both have to reach the peer before either is answered.
    bench.hold(2);
    let (a, b) = tokio::join!(
        bench.ask("key-a", &[], &body),
        bench.ask("key-b", &[], &body)
    );
    assert_ne!(marker(&a), marker(&b));
}
