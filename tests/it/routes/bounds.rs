//! Time limits, body caps and limits of routes.

use super::*;

#[tokio::test]
async fn a_route_has_times_of_its_own() {
    let (peer, _reached) = Peer::stuck().await;
    let gate = Gate::start(&format!(
        "{}routes:\n  - pool: pool\n    timeouts: {{ first_byte: 50ms }}\n",
        pool(
            &[peer.address],
            "    eject: off\n    timeouts: { first_byte: 10m, total: 20m }\n"
        )
    ))
    .await;
    let asked = client::ask(gate.address, "x", &[]).await;
    let passed = get(&gate, "/x", &[]).await;
    for answer in [&asked, &passed] {
        assert_eq!(answer.status, 504);
        assert!(
            answer.text().contains("no first byte within 50ms"),
            "{}",
            answer.text()
        );
    }
    let mut raw = Raw::connect(&gate).await;
    raw.send("GET /ws HTTP/1.1\r\nhost: t\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n")
        .await;
    let (head, _) = raw.answer().await.expect("an answer");
    assert!(head.starts_with("http/1.1 504"), "{head}");
    gate.is_at_rest().await;
}

#[tokio::test]
async fn an_answer_that_pauses_longer_than_its_route_allows_is_broken_off() {
    let peer = Peer::start(|mut wire: Wire, _| async move {
        wire.request().await?;
        wire.events().await?;
        wire.token("a").await?;
        std::future::pending().await
    })
    .await;
    let gate = gate(
        &peer,
        "routes:\n  - { pool: pool, timeouts: { between_chunks: 50ms } }\n",
    )
    .await;
    let answer = client::post_chat(gate.address, &chat("x", json!({ "stream": true })), &[]).await;
    assert!(
        answer.text().contains("no further byte within 50ms"),
        "{}",
        answer.text()
    );
    gate.is_at_rest().await;
}

#[tokio::test]
async fn a_body_larger_than_its_route_allows_is_refused_at_once_or_when_it_shows() {
    let peer = showing_peer().await;
    let gate = gate(
        &peer,
        "routes:\n  - { match: { path: /up }, pool: pool, max_body: 1KiB }\n  - { pool: pool }\n",
    )
    .await;
    let mut raw = Raw::connect(&gate).await;
    raw.send("PUT /up HTTP/1.1\r\nhost: t\r\ncontent-length: 1025\r\n\r\n")
        .await;
    let (head, body) = raw.answer().await.expect("an answer");
    assert!(head.starts_with("http/1.1 413"), "{head}");
    assert!(body.contains("1024 bytes"), "{body}");
    assert_eq!(peer.connections(), 0, "nobody was asked");
    let mut raw = Raw::connect(&gate).await;
    raw.send("PUT /up HTTP/1.1\r\nhost: t\r\ntransfer-encoding: chunked\r\n\r\n")
        .await;
    for _ in 0..5 {
        raw.send(format!("100\r\n{}\r\n", "x".repeat(256))).await;
    }
    let (head, _) = raw.answer().await.expect("an answer");
    assert!(head.starts_with("http/1.1 413"), "{head}");
    let fits = client::send(gate.address, "PUT", "/up", &[], &[b'x'; 1024]).await;
    assert_eq!(fits.expect("an answer").status, 200);
    let other = client::send(gate.address, "PUT", "/else", &[], &[b'x'; 4096]).await;
    assert_eq!(other.expect("an answer").status, 200);
    gate.is_at_rest().await;
    gate.has_logged("\"error_type\":\"caller_too_large\"").await;
}

#[tokio::test]
async fn an_upload_that_outgrows_its_route_after_the_answer_began_is_cut_off() {
    let peer = Peer::start(|mut wire: Wire, _| async move {
        wire.head().await?;
        wire.raw("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n")
            .await?;
        std::future::pending().await
    })
    .await;
    let gate = gate(&peer, "routes:\n  - { pool: pool, max_body: 1KiB }\n").await;
    let mut raw = Raw::connect(&gate).await;
    raw.send("PUT /up HTTP/1.1\r\nhost: t\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n")
        .await;
    let (head, _) = raw.answer().await.expect("an answer");
    assert!(head.starts_with("http/1.1 200"), "{head}");
    raw.send(format!("800\r\n{}\r\n", "x".repeat(2048))).await;
    let rest = raw.rest().await;
    assert!(
        !rest.ends_with("0\r\n\r\n"),
        "it must not look whole: {rest}"
    );
    gate.is_at_rest().await;
}

#[tokio::test]
async fn a_model_request_may_be_as_large_as_the_route_of_its_model_allows() {
    let peer = showing_peer().await;
    let gate = gate(
        &peer,
        "max_body: 2KiB\nroutes:\n  - { match: { model: small }, pool: pool, max_body: 1KiB }\n  - { match: { model: large }, pool: pool, max_body: 8KiB }\n  - { pool: pool }\n",
    )
    .await;
    let status = async |model: &str, size: usize| {
        let body = chat(&"x".repeat(size), json!({ "model": model }));
        client::post_chat(gate.address, &body, &[])
            .await
            .status
            .as_u16()
    };
    assert_eq!(status("small", 500).await, 200);
    assert_eq!(status("small", 1100).await, 413);
    assert_eq!(status("large", 6000).await, 200);
    assert_eq!(status("large", 8192).await, 413);
    // What no route allows is not even read; what its route does not say is the file's.
    assert_eq!(status("other", 1500).await, 200);
    gate.is_at_rest().await;
}

#[tokio::test]
async fn limits_of_a_route_hold_besides_those_of_the_file_and_live_on() {
    let peer = showing_peer().await;
    let routes = |amount: &str| {
        format!(
            "{}limits:\n  - {{ per: key, requests: 10/h }}\nroutes:\n  - {{ name: tight, match: {{ path: /tight }}, pool: pool, limits: [ {{ per: key, requests: {amount} }} ] }}\n  - {{ name: fixed, match: {{ path: /fixed }}, respond: {{ body: ok }}, limits: [ {{ per: key, requests: 1/h }} ] }}\n  - {{ pool: pool }}\n",
            pool(&[peer.address], "")
        )
    };
    let gate = Gate::start(&routes("2/h")).await;
    let left = |answer: &Answer| {
        let left = answer.header("x-ratelimit-remaining-requests");
        left.expect("given").parse::<u64>().expect("a number")
    };
    // The tightest is told.
    assert_eq!(left(&get(&gate, "/tight", &[]).await), 1);
    assert_eq!(left(&get(&gate, "/wide", &[]).await), 8);
    assert_eq!(left(&get(&gate, "/tight", &[]).await), 0);
    let refused = get(&gate, "/tight", &[]).await;
    assert_eq!(refused.status, 429);
    assert!(refused.header("retry-after").is_some());
    // What the route refused cost nothing of the file's.
    assert_eq!(left(&get(&gate, "/wide", &[]).await), 6);
    assert_eq!(get(&gate, "/fixed", &[]).await.status, 200);
    assert_eq!(get(&gate, "/fixed", &[]).await.status, 429);
    assert_eq!(
        left(&get(&gate, "/wide", &[]).await),
        5,
        "no peer was asked"
    );

    gate.rewrite(&routes("4/h"));
    assert_eq!(gate.reload().await.status, 200);
    // Two of two were used, so four of four are.
    assert_eq!(get(&gate, "/tight", &[]).await.status, 429);
    assert_eq!(get(&gate, "/fixed", &[]).await.status, 429);
    gate.is_at_rest().await;
}
