//! Heads and versions: what peers and old clients say of their messages, and what each side gets.

use std::time::Duration;

use serde_json::json;

use crate::support::client::{self, chat};
use crate::support::gate::Gate;
use crate::support::peer::{Peer, Wire};
use crate::support::raw::{Raw, post, showing_peer};

#[tokio::test]
async fn an_upgrade_header_does_not_lead_around_limits_and_metering() {
    let peer = showing_peer().await;
    let gate = Gate::before(
        &[peer.address],
        "limits:\n  - { per: key, requests: 2/h }\n",
    )
    .await;
    let mut seen = Vec::new();
    for _ in 0..4 {
        let mut raw = Raw::connect(&gate).await;
        raw.send(post(
            "/v1/chat/completions",
            "connection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: x\r\n",
            &chat("x", json!({})),
        ))
        .await;
        let (head, _) = raw.answer().await.expect("an answer");
        seen.push(head[9..12].to_owned());
    }
    assert_eq!(seen, ["200", "200", "429", "429"]);
    gate.is_at_rest().await;
}

#[tokio::test]
async fn a_peer_that_speaks_http_1_0_is_translated_for_a_1_1_client() {
    let peer = Peer::start(|mut wire: Wire, _| async move {
        wire.request().await?;
        wire.raw("HTTP/1.0 200 OK\r\ncontent-type: text/plain\r\n\r\nall there is")
            .await
    })
    .await;
    let gate = Gate::before(&[peer.address], "").await;
    let mut raw = Raw::connect(&gate).await;
    raw.send("GET /x HTTP/1.1\r\nhost: t\r\nconnection: close\r\n\r\n")
        .await;
    let all = raw.rest().await;
    assert!(all.starts_with("HTTP/1.1 200"), "{all}");
    assert!(all.to_lowercase().contains("transfer-encoding: chunked"));
    assert!(all.ends_with("C\r\nall there is\r\n0\r\n\r\n"), "{all}");
}

#[tokio::test]
async fn a_client_that_speaks_http_1_0_gets_no_chunks_and_no_100() {
    let peer = Peer::start(|mut wire: Wire, _| async move {
        wire.request().await?;
        wire.events().await?;
        wire.chunk("data: [DONE]\n\n").await?;
        wire.raw("0\r\n\r\n").await
    })
    .await;
    let gate = Gate::before(&[peer.address], "").await;
    let body = chat("x", json!({ "stream": true }));
    let mut raw = Raw::connect(&gate).await;
    raw.send(format!(
        "POST /v1/chat/completions HTTP/1.0\r\nhost: t\r\nexpect: 100-continue\r\ncontent-length: {}\r\n\r\n",
        body.len()
    ))
    .await;
    raw.send(&body).await;
    let all = raw.rest().await;
    assert!(all.starts_with("HTTP/1.1 200"), "{all}");
    assert!(all.ends_with("\r\n\r\ndata: [DONE]\n\n"), "{all}");
}

#[tokio::test]
async fn the_peer_gets_one_unambiguous_head() {
    let peer = showing_peer().await;
    let gate = Gate::before(&[peer.address], "").await;
    let shown = async |request: &str| {
        let mut raw = Raw::connect(&gate).await;
        raw.send(request).await;
        let (head, body) = raw.answer().await.expect("an answer");
        assert!(head.starts_with("http/1.1 200"), "{head}");
        let shown: serde_json::Value = serde_json::from_str(&body).expect("JSON");
        let values = |name: &str| -> Vec<String> {
            shown["headers"]
                .as_array()
                .expect("headers")
                .iter()
                .filter(|pair| pair[0] == name)
                .map(|pair| pair[1].as_str().expect("text").to_owned())
                .collect()
        };
        (
            shown["line"].as_str().expect("text").to_owned(),
            values("content-length"),
            values("x-forwarded-for"),
            shown["body"].as_str().expect("text").to_owned(),
        )
    };
    let (line, ..) = shown("GET http://t/a/b?c=d HTTP/1.1\r\nhost: t\r\n\r\n").await;
    assert_eq!(line, "GET /a/b?c=d HTTP/1.1", "absolute form");
    let (line, ..) = shown("OPTIONS * HTTP/1.1\r\nhost: t\r\n\r\n").await;
    assert_eq!(line, "OPTIONS * HTTP/1.1");
    let (_, lengths, _, body) = shown(
        "PUT /x HTTP/1.1\r\nhost: t\r\nconnection: content-length\r\ncontent-length: 4\r\n\r\nbody",
    )
    .await;
    assert_eq!(
        (lengths.as_slice(), body.as_str()),
        (["4".to_owned()].as_slice(), "body")
    );
    let (_, lengths, _, body) =
        shown("PUT /x HTTP/1.1\r\nhost: t\r\ncontent-length: 4\r\ncontent-length: 4\r\n\r\nbody")
            .await;
    assert_eq!(
        (lengths.as_slice(), body.as_str()),
        (["4".to_owned()].as_slice(), "body")
    );
    let (_, _, chain, _) = shown(
        "GET /x HTTP/1.1\r\nhost: t\r\nx-forwarded-for: 1.1.1.1\r\nx-forwarded-for: 2.2.2.2\r\n\r\n",
    )
    .await;
    assert_eq!(chain, ["1.1.1.1, 2.2.2.2, 127.0.0.1"]);
}

#[tokio::test]
async fn ambiguous_heads_are_refused() {
    let peer = showing_peer().await;
    let gate = Gate::before(&[peer.address], "").await;
    for request in [
        "GET /x HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n",
        "POST /x HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
        "POST /x HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
        "POST /x HTTP/1.0\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    ] {
        let mut raw = Raw::connect(&gate).await;
        raw.send(request).await;
        let (head, _) = raw.answer().await.expect("an answer");
        assert!(head.starts_with("http/1.1 400"), "{request}: {head}");
    }
    // Both framings: neither counts, and nothing behind the head is read as a request.
    let mut raw = Raw::connect(&gate).await;
    raw.send("POST /x HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n")
        .await;
    let all = raw.rest().await;
    assert_eq!(all.matches("HTTP/1.1 400").count(), 1, "{all}");
    assert_eq!(all.matches("HTTP/1.1").count(), 1, "{all}");
    assert_eq!(peer.connections(), 0);
}

#[tokio::test]
async fn an_escaped_path_is_the_path_that_it_means() {
    let peer = showing_peer().await;
    let gate = Gate::before(
        &[peer.address],
        "routes:\n  - { match: { path: \"/v1/*\" }, pool: pool, cache: answers }\ncaches:\n  answers: {}\n",
    )
    .await;
    let answer = client::send(
        gate.address,
        "POST",
        "/%761/chat/comple%74ions",
        &[],
        &chat("x", json!({})),
    )
    .await
    .expect("an answer");
    assert_eq!(answer.header("x-cache-status"), Some("MISS"));
    assert!(
        answer.json()["line"]
            .as_str()
            .expect("text")
            .contains("/%761/"),
        "the peer gets it as it came"
    );
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_their_order() {
    let peer = Peer::start(|mut wire: Wire, _| async move {
        while let Some(request) = wire.request().await? {
            tokio::time::sleep(Duration::from_millis(100)).await;
            wire.json(200, &json!(request.line).to_string()).await?;
        }
        Ok(())
    })
    .await;
    let gate = Gate::before(&[peer.address], "").await;
    let mut raw = Raw::connect(&gate).await;
    raw.send("GET /one HTTP/1.1\r\nhost: t\r\n\r\n").await;
    tokio::time::sleep(Duration::from_millis(30)).await;
    let mut both = b"GET /two HTTP/1.1\r\nhost: t\r\n\r\n".to_vec();
    both.extend_from_slice(&post("/v1/completions", "", b"three"));
    raw.send(both).await;
    for expected in ["/one", "/two", "/v1/completions"] {
        let (_, body) = raw.answer().await.expect(expected);
        assert!(body.contains(expected), "{body}");
    }
    gate.is_at_rest().await;
}

#[tokio::test]
async fn a_list_of_models_asked_for_with_a_body_is_answered() {
    let peer = Peer::start(|mut wire: Wire, _| async move {
        while wire.request().await?.is_some() {
            tokio::time::sleep(Duration::from_millis(50)).await;
            wire.json(
                200,
                r#"{"object":"list","data":[{"id":"m","object":"model"}]}"#,
            )
            .await?;
        }
        Ok(())
    })
    .await;
    let gate = Gate::start(&format!(
        "pools:\n  a: {{ health: off, peers: [{{ address: \"{0}\" }}] }}\n  b: {{ health: off, peers: [{{ address: \"{0}\" }}] }}\nroutes:\n  - {{ pool: a }}\n",
        peer.address
    ))
    .await;
    let mut raw = Raw::connect(&gate).await;
    for _ in 0..2 {
        raw.send("GET /v1/models HTTP/1.1\r\nhost: t\r\ncontent-length: 2\r\n\r\n{}")
            .await;
        let (head, body) = raw.answer().await.expect("an answer");
        assert!(head.starts_with("http/1.1 200"), "{head}{body}");
    }
}
