//! Answers that come before the request is through, and clients that do not read them.

use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::support::client::chat;
use crate::support::gate::Gate;
use crate::support::peer::{Peer, Wire};
use crate::support::raw::{LONG, Raw, keys, post, showing_peer};

#[tokio::test]
async fn a_refused_body_is_never_read_as_the_next_request_and_a_small_one_keeps_the_connection() {
    let peer = showing_peer().await;
    let gate = Gate::before(&[peer.address], &keys()).await;
    let inner = "GET /inner HTTP/1.1\r\nhost: t\r\n\r\n";
    let mut raw = Raw::connect(&gate).await;
    raw.send(format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: t\r\ncontent-length: {}\r\n\r\n",
        inner.len()
    ))
    .await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    raw.send(inner).await;
    let (head, _) = raw.answer().await.expect("the refusal is not lost");
    assert!(head.starts_with("http/1.1 401"), "{head}");
    raw.send("GET /outer HTTP/1.1\r\nhost: t\r\nauthorization: Bearer key-a\r\n\r\n")
        .await;
    let (head, body) = raw.answer().await.expect("the connection survives");
    assert!(head.starts_with("http/1.1 200"), "{head}");
    assert!(
        body.contains("/outer") && !body.contains("/inner"),
        "{body}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_reaches_a_client_that_is_still_sending() {
    let peer = showing_peer().await;
    let gate = Gate::before(&[peer.address], "max_body: 64KiB\n").await;
    for _ in 0..5 {
        let mut raw = Raw::connect(&gate).await;
        raw.send(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: t\r\ncontent-length: 4000000\r\n\r\n",
        )
        .await;
        for _ in 0..40 {
            raw.send(vec![b'x'; 100_000]).await;
        }
        let (head, _) = raw.answer().await.expect("the refusal is not lost");
        assert!(head.starts_with("http/1.1 413"), "{head}");
        assert!(head.contains("connection: close"), "{head}");
    }
}

#[tokio::test]
async fn a_client_that_waits_to_be_invited_is_refused_at_once() {
    let peer = showing_peer().await;
    let gate = Gate::before(&[peer.address], &keys()).await;
    let mut raw = Raw::connect(&gate).await;
    raw.send("POST /v1/chat/completions HTTP/1.1\r\nhost: t\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n")
        .await;
    let all = raw.rest().await.to_lowercase();
    assert!(all.starts_with("http/1.1 401"), "{all}");
    assert!(all.contains("connection: close"), "{all}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_early_answer_to_an_upload_arrives_whole_while_the_client_still_sends() {
    let peer = Peer::start(|mut wire: Wire, _| async move {
        wire.head().await?;
        wire.raw("HTTP/1.1 413 X\r\ncontent-length: 11\r\n\r\ntoo ")
            .await?;
        tokio::time::sleep(Duration::from_millis(150)).await;
        wire.raw("much of").await
    })
    .await;
    let gate = Gate::before(&[peer.address], "").await;
    for _ in 0..3 {
        let mut raw = Raw::connect(&gate).await;
        raw.send("PUT /upload HTTP/1.1\r\nhost: t\r\ncontent-length: 9000000\r\n\r\n")
            .await;
        let (mut reading, mut writing) = raw.0.into_split();
        let sending = tokio::spawn(async move {
            for _ in 0..90 {
                if writing.write_all(&vec![b'x'; 100_000]).await.is_err() {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        let mut all = Vec::new();
        let mut part = [0; 1024];
        while !all.ends_with(b"too much of") {
            let read = timeout(LONG, reading.read(&mut part))
                .await
                .expect("in time")
                .expect("not reset");
            assert!(read > 0, "cut: {}", String::from_utf8_lossy(&all));
            all.extend_from_slice(&part[..read]);
        }
        assert!(all.starts_with(b"HTTP/1.1 413"));
        sending.abort();
    }
    gate.is_at_rest().await;
}

#[tokio::test]
async fn an_answer_ahead_of_the_body_leaves_the_connection_to_the_next_request() {
    let peer = Peer::start(|mut wire: Wire, _| async move {
        wire.head().await?;
        wire.raw("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
            .await?;
        wire.closed().await;
        Ok(())
    })
    .await;
    let gate = Gate::before(&[peer.address], "").await;
    let mut raw = Raw::connect(&gate).await;
    for size in [5, 300_000, 0] {
        raw.send(format!(
            "POST /upload HTTP/1.1\r\nhost: t\r\ncontent-length: {size}\r\n\r\n"
        ))
        .await;
        let (head, body) = raw.answer().await.expect("the connection goes on");
        assert!(head.starts_with("http/1.1 200"), "{head}");
        assert_eq!(body, "ok");
        raw.send(vec![b'x'; size]).await;
    }
    gate.is_at_rest().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_stops_reading_does_not_hold_a_peer_for_ever() {
    let (closed, mut closes) = mpsc::unbounded_channel();
    let peer = Peer::start(move |mut wire: Wire, _| {
        let closed = closed.clone();
        async move {
            wire.request().await?;
            wire.events().await?;
            while wire.chunk(vec![b'x'; 60_000]).await.is_ok() {}
            let _ = closed.send(());
            Ok(())
        }
    })
    .await;
    let gate = Gate::before(&[peer.address], "client: { write_timeout: 1s }\n").await;
    let mut raw = Raw::connect(&gate).await;
    raw.send(post(
        "/v1/chat/completions",
        "",
        &chat("x", json!({ "stream": true })),
    ))
    .await;
    timeout(LONG, closes.recv())
        .await
        .expect("the peer is let go")
        .expect("closed");
    gate.is_at_rest().await;
}
