//! Answers that routes have themselves.

use super::*;

#[tokio::test]
async fn a_route_answers_itself_and_the_connection_goes_on() {
    let peer = showing_peer().await;
    let gate = gate(
        &peer,
        "routes:\n  - match: { path: /ping }\n    respond: { status: 218, body: \"ok\\n\", headers: { x-a: b } }\n    rewrite: { response_headers: { set: { x-c: d } } }\n  - match: { path: /gone }\n    respond: { status: 410, body: gone }\n  - pool: pool\n",
    )
    .await;
    let mut raw = Raw::connect(&gate).await;
    for request in [
        post("/ping", "", b"a body that nobody wants"),
        b"GET /ping HTTP/1.1\r\nhost: t\r\n\r\n".to_vec(),
    ] {
        raw.send(request).await;
        let (head, body) = raw.answer().await.expect("an answer");
        assert!(head.starts_with("http/1.1 218"), "{head}");
        assert!(
            head.contains("content-type: text/plain; charset=utf-8\r\n"),
            "{head}"
        );
        assert!(
            head.contains("x-a: b\r\n") && head.contains("x-c: d\r\n"),
            "{head}"
        );
        assert!(head.contains("x-request-id: "), "{head}");
        assert_eq!(body, "ok\n");
    }
    raw.send("HEAD /ping HTTP/1.1\r\nhost: t\r\nconnection: close\r\n\r\n")
        .await;
    let all = raw.rest().await;
    assert!(
        all.contains("content-length: 3\r\n") && all.ends_with("\r\n\r\n"),
        "{all}"
    );
    assert_eq!(get(&gate, "/gone", &[]).await.status, 410);
    gate.is_at_rest().await;
    gate.has_logged("\"error_type\":\"policy_route\"").await;
    assert_eq!(peer.connections(), 0);
}

#[tokio::test]
async fn an_answer_that_the_head_decides_does_not_wait_for_the_body() {
    let peer = showing_peer().await;
    let gate = gate(
        &peer,
        "routes:\n  - { match: { path: \"/v1/*\", headers: { x-old: \"*\" } }, redirect: { to: \"https://new.example\" } }\n  - { pool: pool }\n",
    )
    .await;
    let mut raw = Raw::connect(&gate).await;
    raw.send("POST /v1/chat/completions?a=b HTTP/1.1\r\nhost: t\r\nx-old: 1\r\ncontent-length: 1000000\r\n\r\n{")
        .await;
    let (head, _) = raw.answer().await.expect("an answer");
    assert!(head.starts_with("http/1.1 308"), "{head}");
    assert!(
        head.contains("location: https://new.example/v1/chat/completions?a=b\r\n"),
        "{head}"
    );
    assert!(head.contains("connection: close"), "{head}");
    gate.is_at_rest().await;
}

#[tokio::test]
async fn a_redirect_names_the_host_that_was_asked_for() {
    let peer = showing_peer().await;
    let gate = gate(
        &peer,
        "routes:\n  - { redirect: { to: \"https://{host}\", status: 301 } }\n",
    )
    .await;
    let mut raw = Raw::connect(&gate).await;
    raw.send("GET //evil.example/x HTTP/1.1\r\nhost: a.example:8080\r\n\r\n")
        .await;
    let (head, _) = raw.answer().await.expect("an answer");
    assert!(head.starts_with("http/1.1 301"), "{head}");
    assert!(
        head.contains("location: https://a.example/evil.example/x\r\n"),
        "{head}"
    );
    raw.send("GET http://b.example?q HTTP/1.1\r\nhost: b.example\r\n\r\n")
        .await;
    let (head, _) = raw.answer().await.expect("an answer");
    assert!(
        head.contains("location: https://b.example/?q\r\n"),
        "{head}"
    );
    let mut raw = Raw::connect(&gate).await;
    raw.send("GET /x HTTP/1.0\r\n\r\n").await;
    let all = raw.rest().await;
    assert!(all.starts_with("HTTP/1.1 400"), "{all}");
}

#[tokio::test]
async fn an_answer_of_a_route_asks_for_no_key_and_everything_else_does() {
    let peer = showing_peer().await;
    let gate = gate(
        &peer,
        &format!(
            "{}routes:\n  - {{ match: {{ path: /ping }}, respond: {{ body: ok }} }}\n  - {{ match: {{ path: \"/v1/*\", model: m }}, respond: {{ body: ok }} }}\n  - {{ pool: pool }}\n",
            keys()
        ),
    )
    .await;
    assert_eq!(get(&gate, "/ping", &[]).await.status, 200);
    assert_eq!(
        get(&gate, "/ping", &[("x-api-key", "wrong")]).await.status,
        200
    );
    assert_eq!(get(&gate, "/x", &[]).await.status, 401);
    // Which route it would be is in a body that strangers are not read.
    let stranger = client::post_chat(gate.address, &body_of("m"), &[]).await;
    assert_eq!(stranger.status, 401);
    let known = client::post_chat(gate.address, &body_of("m"), &[("x-api-key", "key-a")]).await;
    assert_eq!(known.text(), "ok");
    assert_eq!(peer.connections(), 0);
    gate.is_at_rest().await;
}

#[tokio::test]
async fn an_http2_client_gets_the_answers_of_routes_as_well() {
    let peer = showing_peer().await;
    let gate = gate(
        &peer,
        "routes:\n  - { match: { host: old.example }, redirect: { to: \"https://new.{host}\" } }\n  - { match: { path: /ping }, respond: { body: ok } }\n  - { pool: pool, max_body: 1KiB }\n",
    )
    .await;
    let ask = async |method: &str, uri: &str, body: &[u8]| {
        let answer = client::send_h2(gate.address, method, uri, body).await;
        answer.expect("an answer")
    };
    let moved = ask("POST", "http://old.example/a?b", b"x").await;
    assert_eq!(moved.status, 308);
    assert_eq!(
        moved.header("location"),
        Some("https://new.old.example/a?b")
    );
    assert_eq!(ask("GET", "http://t/ping", b"").await.text(), "ok");
    assert_eq!(ask("HEAD", "http://t/ping", b"").await.status, 200);
    assert_eq!(ask("PUT", "http://t/up", &[b'x'; 2048]).await.status, 413);
    assert_eq!(ask("GET", "http://t/..", b"").await.status, 400);
    gate.is_at_rest().await;
}
