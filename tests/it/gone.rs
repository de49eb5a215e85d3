//! A client that leaves gives everything back at once: its queue place, its peer, its tokens.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use crate::support::client;
use crate::support::gate::{Gate, pool};
use crate::support::peer::{Peer, Wire};
use crate::support::until;

/// Sends a chat request on a connection that the test can drop.
async fn request(gate: &Gate) -> TcpStream {
    let mut stream = TcpStream::connect(gate.address).await.expect("connects");
    let body = client::chat("hello", json!({ "stream": true }));
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: t\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.expect("sent");
    stream.write_all(&body).await.expect("sent");
    stream
}

/// A peer that reads a request, calls `then`, and reports when it is left.
async fn watching_peer(
    tokens: usize,
) -> (
    Peer,
    mpsc::UnboundedReceiver<()>,
    mpsc::UnboundedReceiver<Instant>,
) {
    let (reached, reaches) = mpsc::unbounded_channel();
    let (closed, closes) = mpsc::unbounded_channel();
    let peer = Peer::start(move |mut wire: Wire, _| {
        let (reached, closed) = (reached.clone(), closed.clone());
        async move {
            if wire.request().await?.is_none() {
                return Ok(());
            }
            if tokens > 0 {
                wire.events().await?;
            }
            for _ in 0..tokens {
                wire.token("word ").await?;
            }
            let _ = reached.send(());
            wire.report_close(closed).await
        }
    })
    .await;
    (peer, reaches, closes)
}

fn report(stage: &str, took: Duration) {
    println!(
        "client gone {stage}: upstream closed after {:.2} ms",
        took.as_secs_f64() * 1000.0
    );
}

#[tokio::test]
async fn a_client_that_leaves_before_the_first_byte_closes_the_upstream_connection() {
    let (peer, mut reached, mut closed) = watching_peer(0).await;
    let gate = Gate::before(&[peer.address], "").await;
    let stream = request(&gate).await;
    reached.recv().await.expect("the peer has the request");
    let left = Instant::now();
    drop(stream);
    report(
        "before the first byte",
        closed.recv().await.expect("closed") - left,
    );
    gate.is_at_rest().await;
    assert_eq!(
        gate.metric("tollgate_client_aborts_total{stage=\"before_first_byte\"}")
            .await,
        1.0
    );
}

#[tokio::test]
async fn a_client_that_leaves_in_mid_stream_closes_the_upstream_connection() {
    let (peer, mut reached, mut closed) = watching_peer(3).await;
    let gate = Gate::before(&[peer.address], "").await;
    let mut stream = request(&gate).await;
    reached.recv().await.expect("the peer has the request");
    let mut read = [0; 64];
    stream
        .read_exact(&mut read)
        .await
        .expect("the stream has begun");
    let left = Instant::now();
    drop(stream);
    report("in mid-stream", closed.recv().await.expect("closed") - left);
    gate.is_at_rest().await;
    assert_eq!(
        gate.metric("tollgate_client_aborts_total{stage=\"mid_stream\"}")
            .await,
        1.0
    );
}

#[tokio::test]
async fn a_client_that_leaves_while_queued_gives_its_place_up_and_never_reaches_a_peer() {
    let (peer, mut reached, mut closed) = watching_peer(1).await;
    let config = pool(&[peer.address], "").replace(
        &format!("- address: {}", peer.address),
        &format!("- {{ address: \"{}\", max_requests: 1 }}", peer.address),
    );
    let gate = Gate::start(&config).await;
    let first = request(&gate).await;
    reached
        .recv()
        .await
        .expect("the peer has the first request");
    let second = request(&gate).await;
    until("the second request waits", || async {
        gate.metric("tollgate_queue_requests{pool=\"pool\"}").await == 1.0
    })
    .await;
    let left = Instant::now();
    drop(second);
    until("its place is free", || async {
        gate.metric("tollgate_queue_requests{pool=\"pool\"}").await == 0.0
    })
    .await;
    println!(
        "client gone while queued: its place was seen free after {:.2} ms",
        left.elapsed().as_secs_f64() * 1000.0
    );
    assert_eq!(
        peer.connections(),
        1,
        "nothing was sent for a client that is gone"
    );
    let left = Instant::now();
    drop(first);
    report(
        "in mid-stream, a peer with one place",
        closed.recv().await.expect("closed") - left,
    );
    gate.is_at_rest().await;
    assert_eq!(
        gate.metric("tollgate_client_aborts_total{stage=\"queued\"}")
            .await,
        1.0
    );
}

#[tokio::test]
async fn a_client_that_leaves_in_the_middle_of_its_body_costs_no_peer_anything() {
    let (peer, _reached, _closed) = watching_peer(0).await;
    let gate = Gate::before(&[peer.address], "").await;
    let mut stream = TcpStream::connect(gate.address).await.expect("connects");
    stream
        .write_all(b"POST /v1/chat/completions HTTP/1.1\r\nhost: t\r\ncontent-length: 1000\r\n\r\n{\"model\":")
        .await
        .expect("sent");
    until("the request is seen", || async {
        gate.metric("tollgate_inflight_requests").await == 1.0
    })
    .await;
    drop(stream);
    gate.is_at_rest().await;
    assert_eq!(peer.connections(), 0);
}
