//! Clients and peers that do what they should not, or what few do.

use std::time::Duration;

use hyper::Request;
use hyper::body::Incoming;

use crate::peers_tls::server::{Server, mirror};
use crate::support::gate::{Gate, pool};
use crate::support::peer::{Peer, Wire};
use crate::support::raw::{Raw, post};

#[tokio::test]
async fn hosts_that_http2_cannot_say_are_the_clients_fault_and_not_the_peers() {
    let server = Server::plain(true, |request: Request<Incoming>| async move {
        mirror(request).await
    })
    .await;
    let gate = Gate::start(&pool(&[server.address], "    http2: on\n")).await;
    for _ in 0..20 {
        for host in ["a\"b", "a{b", "t:99999999", "[", ""] {
            let mut raw = Raw::connect(&gate).await;
            raw.send(format!("GET /x HTTP/1.1\r\nhost: {host}\r\n\r\n"))
                .await;
            let (head, body) = raw.answer().await.expect("an answer");
            let status = head.get(9..12).expect("a status");
            assert!(["200", "400"].contains(&status), "{host:?}: {head}{body}");
        }
    }
    let mut raw = Raw::connect(&gate).await;
    raw.send("GET /x HTTP/1.0\r\n\r\n").await;
    assert!(raw.rest().await.starts_with("HTTP/1.1 200"));
    gate.is_at_rest().await;
}

#[tokio::test]
async fn a_client_of_http_1_0_without_a_host_is_introduced_by_the_name_of_the_peer() {
    let (peer, mut told) = Peer::telling().await;
    let gate = Gate::before(&[peer.address], "").await;
    let mut raw = Raw::connect(&gate).await;
    raw.send("GET /x HTTP/1.0\r\n\r\n").await;
    assert!(raw.rest().await.starts_with("HTTP/1.1 200"));
    let seen = told.recv().await.expect("told");
    let address = peer.address.to_string();
    assert_eq!(seen.header("host"), Some(address.as_str()));
}

#[tokio::test]
async fn only_an_upgrade_that_the_connection_names_is_one_and_never_to_http2() {
    let (peer, mut told) = Peer::telling().await;
    let gate = Gate::before(&[peer.address], "").await;
    for fields in [
        "upgrade: websocket\r\n",
        "connection: upgrade\r\nupgrade: websocket, h2c\r\n",
        "connection: upgrade\r\nupgrade: websocket\r\nupgrade: h2c\r\n",
        "connection: upgrade\r\nupgrade: h2c \r\n",
        "connection: upgrade\r\nupgrade: HTTP/2.0\r\n",
    ] {
        let mut raw = Raw::connect(&gate).await;
        raw.send(format!("GET /x HTTP/1.1\r\nhost: t\r\n{fields}\r\n"))
            .await;
        raw.answer().await.expect("an answer");
        let seen = told.recv().await.expect("told");
        assert_eq!(seen.header("upgrade"), None, "{fields}");
    }
    gate.is_at_rest().await;
}

#[tokio::test]
async fn a_peer_that_drips_its_head_has_no_longer_than_one_that_is_silent() {
    let peer = Peer::start(|mut wire: Wire, _| async move {
        wire.request().await?;
        wire.raw("HTTP/1.1 200 OK\r\nx: ").await?;
        loop {
            wire.raw("y").await?;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    let times = "    timeouts: { first_byte: 500ms }\n    eject: off\n";
    let gate = Gate::start(&pool(&[peer.address], times)).await;
    let mut raw = Raw::connect(&gate).await;
    raw.send(post("/x", "", b"x")).await;
    let (head, _) = raw.answer().await.expect("an answer");
    assert!(head.starts_with("http/1.1 504"), "{head}");
    gate.is_at_rest().await;
}

#[tokio::test]
async fn a_peer_that_sends_interim_answers_for_ever_is_not_waited_for() {
    let peer = Peer::start(|mut wire: Wire, _| async move {
        wire.request().await?;
        loop {
            wire.raw("HTTP/1.1 102 Processing\r\n\r\n").await?;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    let times = "    timeouts: { first_byte: 500ms }\n    eject: off\n";
    let gate = Gate::start(&pool(&[peer.address], times)).await;
    let mut raw = Raw::connect(&gate).await;
    raw.send(post("/x", "", b"x")).await;
    let (head, _) = raw.answer().await.expect("an answer");
    assert!(head.starts_with("http/1.1 504"), "{head}");
    gate.is_at_rest().await;
}

#[tokio::test]
async fn a_peer_that_drips_framing_without_a_body_is_cut_off() {
    let peer = Peer::start(|mut wire: Wire, _| async move {
        wire.request().await?;
        wire.raw("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nx: ")
            .await?;
        loop {
            wire.raw("y").await?;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    let times = "    timeouts: { between_chunks: 500ms }\n    eject: off\n";
    let gate = Gate::start(&pool(&[peer.address], times)).await;
    let mut raw = Raw::connect(&gate).await;
    raw.send(post("/x", "", b"x")).await;
    let all = raw.rest().await;
    assert!(all.ends_with("2\r\nok\r\n"), "seen to be cut: {all}");
    gate.is_at_rest().await;
}
