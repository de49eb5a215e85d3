//! Routes: who gets where, and what is changed, answered, refused and copied on the way.

use serde_json::{Value, json};

use crate::support::client::{self, Answer, chat};
use crate::support::gate::{Gate, pool};
use crate::support::peer::{Peer, Wire};
use crate::support::raw::{Raw, keys, post, showing_peer};
use crate::support::until;

mod access;
mod answers;
mod bounds;
mod mirror;
mod rewrites;

/// A gate with one pool of `peer`, `more` keys of that pool, and `rest` at the top level.
async fn gate(peer: &Peer, rest: &str) -> Gate {
    Gate::before(&[peer.address], rest).await
}

async fn get(gate: &Gate, path: &str, headers: &[(&str, &str)]) -> Answer {
    client::send(gate.address, "GET", path, headers, b"")
        .await
        .expect("an answer")
}

fn body_of(model: &str) -> Vec<u8> {
    chat("hello", json!({ "model": model }))
}

/// The value of a header that the peer was sent, as `showing_peer` shows it.
fn told<'a>(shown: &'a Value, name: &str) -> Option<&'a str> {
    let headers = shown["headers"].as_array().expect("headers");
    let pair = headers.iter().find(|pair| pair[0] == name)?;
    pair[1].as_str()
}

#[tokio::test]
async fn a_request_takes_the_first_route_that_holds() {
    let peer = showing_peer().await;
    let gate = gate(
        &peer,
        &format!(
            "{}routes:\n{}",
            keys(),
            [
                "match: { host: \"*.b.example\" }, respond: { body: host }",
                "match: { path: /m, method: [DELETE] }, respond: { body: method }",
                "match: { headers: { x-env: \"prod*\" } }, respond: { body: header }",
                "match: { headers: { x-env: \"!*\" }, path: /none }, respond: { body: absent }",
                "match: { tenant: t, path: /tenant }, respond: { body: tenant }",
                "match: { model: \"q*\" }, respond: { body: model }",
                "match: { path: /glob/* }, respond: { body: path }",
                "pool: pool",
            ]
            .map(|route| format!("  - {{ {route} }}\n"))
            .concat()
        ),
    )
    .await;
    let key = ("authorization", "Bearer key-a");
    let asked = async |method: &str, path: &str, headers: &[(&str, &str)]| {
        let answer = client::send(gate.address, method, path, headers, b"");
        answer.await.expect("an answer").text()
    };
    assert_eq!(asked("DELETE", "/m", &[]).await, "method");
    assert_eq!(
        asked("GET", "/x", &[("x-env", "production")]).await,
        "header"
    );
    assert_eq!(asked("GET", "/none", &[]).await, "absent");
    assert_eq!(asked("GET", "/tenant", &[key]).await, "tenant");
    assert_eq!(asked("GET", "/glob/a/b", &[]).await, "path");
    assert!(asked("GET", "/m", &[key]).await.contains("GET /m "));
    let model = client::post_chat(gate.address, &body_of("qwen"), &[key]).await;
    assert_eq!(model.text(), "model");
    let other = client::post_chat(gate.address, &body_of("llama"), &[key]).await;
    assert!(other.text().contains("POST /v1/chat/completions"));
    let mut raw = Raw::connect(&gate).await;
    raw.send("GET /x HTTP/1.1\r\nhost: A.B.example:80\r\n\r\n")
        .await;
    assert_eq!(raw.answer().await.expect("an answer").1, "host");
    gate.is_at_rest().await;
}

#[tokio::test]
async fn another_spelling_of_a_path_leads_around_nothing() {
    let peer = showing_peer().await;
    let gate = gate(
        &peer,
        "routes:\n  - { match: { path: /admin* }, respond: { status: 404, body: no } }\n  - { pool: pool }\n",
    )
    .await;
    for path in [
        "/admin",
        "//admin",
        "/%61dmin",
        "/x/../admin",
        "/x/%2e%2e/admin",
        "/./admin/a",
    ] {
        let answer = get(&gate, path, &[]).await;
        assert_eq!(
            (answer.status.as_u16(), answer.text().as_str()),
            (404, "no"),
            "{path}"
        );
    }
    for path in ["/..", "/%2e%2e/admin", "/a/../../b", "/%ff"] {
        let answer = get(&gate, path, &[]).await;
        assert_eq!(answer.status, 400, "{path}");
        assert_eq!(answer.json()["error"]["code"], "invalid_request");
    }
    // The peer gets the path as it was written.
    let shown = get(&gate, "/a/../%62//c?d=%2F", &[]).await.json();
    assert_eq!(shown["line"], "GET /a/../%62//c?d=%2F HTTP/1.1");
    gate.is_at_rest().await;
}
