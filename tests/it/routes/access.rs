//! Who may use a route.

use super::*;

const BEHIND: &str = "client: { trusted_proxies: [127.0.0.0/8] }\n";

#[tokio::test]
async fn addresses_are_let_in_or_get_a_403_in_their_envelope() {
    let peer = showing_peer().await;
    let gate = gate(
        &peer,
        &format!(
            "{BEHIND}routes:\n  - {{ match: {{ path: /in/* }}, allow: [10.0.0.0/8], deny: [10.1.0.0/16], pool: pool }}\n  - {{ match: {{ path: /ping }}, deny: [10.1.0.0/16], respond: {{ body: ok }} }}\n  - {{ deny: [\"2001:db8::/32\"], pool: pool }}\n"
        ),
    )
    .await;
    let status = async |path: &str, from: &str| {
        let answer = get(&gate, path, &[("x-forwarded-for", from)]).await;
        answer.status.as_u16()
    };
    assert_eq!(status("/in/x", "10.2.0.1").await, 200);
    assert_eq!(status("/in/x", "10.1.0.1").await, 403);
    assert_eq!(status("/in/x", "11.0.0.1").await, 403);
    assert_eq!(status("/ping", "10.1.0.1").await, 403);
    assert_eq!(status("/ping", "10.2.0.1").await, 200);
    assert_eq!(status("/out", "11.0.0.1").await, 200);
    assert_eq!(status("/out", "2001:db8::1").await, 403);
    // The nearest address that no trusted proxy vouches for is the client's, whatever it says before.
    assert_eq!(status("/in/x", "10.2.0.1, 11.0.0.1").await, 403);
    let denied = [("x-forwarded-for", "2001:db8::1")];
    let openai = client::post_chat(gate.address, &body_of("m"), &denied).await;
    assert_eq!(openai.status, 403);
    assert_eq!(openai.json()["error"]["code"], "forbidden");
    assert_eq!(openai.json()["error"]["type"], "permission_error");
    let body = body_of("m");
    let anthropic = client::send(gate.address, "POST", "/v1/messages", &denied, &body);
    let anthropic = anthropic.await.expect("an answer").json();
    assert_eq!(anthropic["error"]["type"], "permission_error");
    assert_eq!(anthropic["type"], "error");
    gate.is_at_rest().await;
    gate.has_logged("\"error_type\":\"policy_forbidden\"").await;
}

#[tokio::test]
async fn who_may_use_none_of_the_routes_left_is_refused_before_the_body_is_read() {
    let peer = showing_peer().await;
    let gate = gate(
        &peer,
        "routes:\n  - { match: { model: \"a*\" }, deny: [127.0.0.0/8], pool: pool }\n  - { match: { model: \"b*\" }, deny: [127.0.0.1], pool: pool }\n",
    )
    .await;
    let mut raw = Raw::connect(&gate).await;
    raw.send("POST /v1/chat/completions HTTP/1.1\r\nhost: t\r\ncontent-length: 1000000\r\n\r\n{")
        .await;
    let (head, _) = raw.answer().await.expect("an answer");
    assert!(head.starts_with("http/1.1 403"), "{head}");
    gate.is_at_rest().await;
}

#[tokio::test]
async fn a_route_that_the_model_decides_is_closed_to_those_it_denies() {
    let peer = showing_peer().await;
    let gate = gate(
        &peer,
        "routes:\n  - { match: { model: \"a*\" }, deny: [127.0.0.0/8], pool: pool }\n  - { pool: pool }\n",
    )
    .await;
    let status = async |model| {
        client::post_chat(gate.address, &body_of(model), &[])
            .await
            .status
    };
    assert_eq!(status("a1").await, 403);
    assert_eq!(status("b1").await, 200);
    let mut raw = Raw::connect(&gate).await;
    raw.send("GET /ws HTTP/1.1\r\nhost: t\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n")
        .await;
    let (head, _) = raw.answer().await.expect("an answer");
    assert!(head.starts_with("http/1.1 200"), "{head}");
}
