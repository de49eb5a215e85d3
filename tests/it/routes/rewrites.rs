//! What routes change on the way to a peer and back.

use super::*;

const REWRITE: &str = "    rewrite:\n      path: { strip_prefix: /v1, add_prefix: /api }\n      request_headers: { remove: [x-debug], set: { authorization: Bearer theirs, x-team: search }, add: { x-many: b } }\n      response_headers: { remove: [x-inner], set: { x-served-by: us }, add: { x-more: y } }\n";

/// Shows what it was asked, with a header that is nobody's business.
async fn chatty_peer() -> Peer {
    Peer::start(|mut wire: Wire, _| async move {
        while let Some(request) = wire.request().await? {
            let shown = json!({ "line": request.line, "headers": request.headers, "choices": [
                { "index": 0, "message": { "role": "assistant", "content": "x" }, "finish_reason": "stop" }] })
            .to_string();
            wire.raw(format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-inner: 1\r\nx-more: x\r\ncontent-length: {}\r\n\r\n{shown}",
                shown.len()
            ))
            .await?;
        }
        Ok(())
    })
    .await
}

fn is_changed(answer: &Answer) {
    assert_eq!(answer.header("x-inner"), None);
    assert_eq!(answer.header("x-served-by"), Some("us"));
    let mut more = answer.headers.get_all("x-more").iter();
    assert_eq!(more.next_back().expect("added"), "y");
}

#[tokio::test]
async fn path_and_headers_are_changed_on_the_way_and_the_query_stays() {
    let peer = chatty_peer().await;
    let gate = gate(
        &peer,
        &format!("{}routes:\n  - pool: pool\n{REWRITE}", keys()),
    )
    .await;
    let headers = [("x-api-key", "key-a"), ("x-debug", "1"), ("x-many", "a")];
    let passed = get(&gate, "/v1/files/%61?x=/v1", &headers).await;
    let asked = client::post_chat(gate.address, &body_of("m"), &headers).await;
    for (answer, line) in [
        (&passed, "GET /api/files/%61?x=/v1 HTTP/1.1"),
        (&asked, "POST /api/chat/completions HTTP/1.1"),
    ] {
        is_changed(answer);
        let shown = answer.json();
        assert_eq!(shown["line"], line);
        assert_eq!(told(&shown, "x-debug"), None);
        assert_eq!(told(&shown, "x-api-key"), None);
        assert_eq!(told(&shown, "authorization"), Some("Bearer theirs"));
        assert_eq!(told(&shown, "x-team"), Some("search"));
        let many = shown["headers"].as_array().expect("headers").iter();
        let many: Vec<_> = many
            .filter(|pair| pair[0] == "x-many")
            .map(|pair| &pair[1])
            .collect();
        assert_eq!(many, ["a", "b"]);
    }
    assert_eq!(passed.headers.get_all("x-more").iter().count(), 2);
    gate.is_at_rest().await;
}

#[tokio::test]
async fn nobody_climbs_out_of_a_prefix() {
    let peer = chatty_peer().await;
    let gate = gate(&peer, &format!("routes:\n  - pool: pool\n{REWRITE}")).await;
    for path in ["/v1/x/../../admin", "/v1/..%2fadmin", "/v1/a/%2e%2e/b"] {
        let answer = get(&gate, path, &[]).await;
        assert_eq!(answer.status, 400, "{path}");
    }
    assert_eq!(peer.connections(), 0);
    let mut raw = Raw::connect(&gate).await;
    raw.send("GET http://t?q HTTP/1.1\r\nhost: t\r\n\r\n").await;
    let (_, body) = raw.answer().await.expect("an answer");
    assert!(body.contains("GET /api/?q HTTP/1.1"), "{body}");
}

#[tokio::test]
async fn an_answer_from_the_cache_is_changed_like_the_first() {
    let peer = chatty_peer().await;
    let gate = gate(
        &peer,
        &format!("routes:\n  - pool: pool\n    cache: c\n{REWRITE}caches: {{ c: {{}} }}\n"),
    )
    .await;
    let first = client::post_chat(gate.address, &body_of("m"), &[]).await;
    let second = client::post_chat(gate.address, &body_of("m"), &[]).await;
    assert_eq!(first.header("x-cache-status"), Some("MISS"));
    assert_eq!(second.header("x-cache-status"), Some("HIT"));
    assert_eq!(first.body, second.body);
    is_changed(&first);
    is_changed(&second);
}

#[tokio::test]
async fn an_upgrade_is_changed_as_well() {
    let (told, mut heads) = tokio::sync::mpsc::unbounded_channel();
    let peer = Peer::start(move |mut wire: Wire, _| {
        let told = told.clone();
        async move {
            if let Some(request) = wire.head().await? {
                let _ = told.send(request);
                wire.raw("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\nx-inner: 1\r\n\r\nhello")
                    .await?;
            }
            Ok(())
        }
    })
    .await;
    let gate = gate(&peer, &format!("routes:\n  - pool: pool\n{REWRITE}")).await;
    let mut raw = Raw::connect(&gate).await;
    raw.send("GET /v1/realtime HTTP/1.1\r\nhost: t\r\nconnection: upgrade\r\nupgrade: websocket\r\nx-debug: 1\r\n\r\n")
        .await;
    let all = raw.rest().await.to_ascii_lowercase();
    assert!(
        all.starts_with("http/1.1 101") && all.ends_with("hello"),
        "{all}"
    );
    assert!(all.contains("upgrade: websocket\r\n"), "{all}");
    assert!(
        all.contains("x-served-by: us\r\n") && !all.contains("x-inner"),
        "{all}"
    );
    let head = heads.recv().await.expect("asked");
    assert_eq!(head.line, "GET /api/realtime HTTP/1.1");
    assert_eq!(head.header("x-team"), Some("search"));
    assert_eq!(head.header("x-debug"), None);
    gate.is_at_rest().await;
}
