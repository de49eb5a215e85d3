//! WebSockets and other switches of protocol.

use tokio::sync::mpsc;

use crate::support::client::{self};
use crate::support::gate::{Gate, pool};
use crate::support::peer::{Peer, Wire};
use crate::support::raw::{Raw, keys};

#[tokio::test]
async fn a_websocket_counts_against_the_limits_and_hides_the_key_from_the_peer() {
    let (told, mut heads) = mpsc::unbounded_channel();
    let peer = Peer::start(move |mut wire: Wire, _| {
        let told = told.clone();
        async move {
            let Some(request) = wire.head().await? else {
                return Ok(());
            };
            let _ = told.send(request);
            wire.raw("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\nhello from the peer")
                .await
        }
    })
    .await;
    let gate = Gate::before(
        &[peer.address],
        &format!("{}limits:\n  - {{ per: key, requests: 1/h }}\n", keys()),
    )
    .await;
    let ask = "GET /v1/realtime HTTP/1.1\r\nhost: t\r\nauthorization: Bearer key-a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
    let mut raw = Raw::connect(&gate).await;
    raw.send(ask).await;
    let all = raw.rest().await;
    assert!(all.starts_with("HTTP/1.1 101"), "{all}");
    assert!(all.ends_with("hello from the peer"), "{all}");
    let head = heads.recv().await.expect("reached");
    assert_eq!(head.header("authorization"), None);
    assert!(head.header("x-forwarded-for").is_some());
    let mut raw = Raw::connect(&gate).await;
    raw.send(ask).await;
    let (head, _) = raw.answer().await.expect("an answer");
    assert!(head.starts_with("http/1.1 429"), "{head}");
    gate.is_at_rest().await;
}

#[tokio::test]
async fn a_switch_of_protocols_that_nobody_asked_for_is_a_broken_answer() {
    let peer = Peer::start(|mut wire: Wire, _| async move {
        wire.request().await?;
        wire.raw("HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\nHTTP/1.1 200 OK\r\n\r\n")
            .await
    })
    .await;
    let gate = Gate::start(&pool(
        &[peer.address],
        "    retry: { attempts: 1 }\n    eject: off\n",
    ))
    .await;
    let answer = client::ask(gate.address, "x", &[]).await;
    assert_eq!(answer.status, 502);
}

#[tokio::test]
async fn a_websocket_that_reaches_no_peer_counts_against_the_peer() {
    let gate = Gate::start(&pool(&[crate::support::free_address()], "    eject: off\n")).await;
    let mut raw = Raw::connect(&gate).await;
    raw.send(
        "GET /v1/realtime HTTP/1.1\r\nhost: t\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
    )
    .await;
    let (head, _) = raw.answer().await.expect("an answer");
    assert!(head.starts_with("http/1.1 503"), "{head}");
    let status = gate.status().await;
    assert_eq!(status["pools"]["pool"]["peers"][0]["failures"], 1);
    gate.is_at_rest().await;
}
