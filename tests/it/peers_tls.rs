//! Peers with TLS, and what of them is believed.

mod authority;
mod bodies;
mod http2;
mod probes;
pub(crate) mod server;

use hyper::header::UPGRADE;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::client;
use crate::support::gate::{Gate, pool};
use crate::support::peer::Peer;
use crate::support::raw::Raw;
use authority::Authority;
use server::{Seen, Server, full, mirror};

const OLD: &[&str] = &["http/1.1"];
const BOTH: &[&str] = &["h2", "http/1.1"];

/// A configuration whose only peer is `server`, with this `tls` and further keys of its pool, one a line.
fn config(server: &Server, tls: &str, more: &[&str]) -> String {
    let more: String = more.iter().map(|line| format!("    {line}\n")).collect();
    let keys = format!("    eject: off\n    retry: {{ attempts: 1 }}\n    tls: {tls}\n{more}");
    pool(&[server.address], &keys)
}

/// A gate that believes `authority`, whose file is `ca.pem` beside the configuration.
async fn believing(authority: &Authority, config: &str) -> Gate {
    let pem = authority.pem().to_owned();
    Gate::start_with(config, |_, folder| {
        std::fs::write(folder.join("ca.pem"), pem).expect("written");
    })
    .await
}

#[tokio::test]
async fn a_peer_that_the_pools_authority_vouches_for_is_asked_over_one_connection() {
    let authority = Authority::new();
    let server = Server::tls(authority.server("127.0.0.1", OLD), mirror).await;
    let gate = believing(&authority, &config(&server, "{ ca: ca.pem }", &[])).await;
    for turn in 0..3 {
        let answer = client::ask(gate.address, &format!("turn {turn}"), &[]).await;
        assert_eq!(answer.status, 200);
        let line = "POST /v1/chat/completions HTTP/1.1";
        assert_eq!(answer.json()["line"], line);
        // A connection is given back when its answer is with the client already.
        gate.is_at_rest().await;
    }
    let seen = Seen {
        http2: false,
        // An address is no name to ask for.
        sni: None,
    };
    assert_eq!(server.seen(), [seen]);
}

#[tokio::test]
async fn a_peer_that_somebody_else_vouches_for_gets_no_request_and_the_log_says_why() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let server = Server::tls(stranger.server("127.0.0.1", BOTH), mirror).await;
    for http2 in ["http2: off", "http2: on"] {
        let gate = believing(&authority, &config(&server, "{ ca: ca.pem }", &[http2])).await;
        let answer = client::ask(gate.address, "x", &[]).await;
        assert_eq!(answer.status, 503, "{}", answer.text());
        let log = gate.stderr();
        let why = "cannot connect: TLS: invalid peer certificate: UnknownIssuer\n";
        assert!(log.contains(why), "{log}");
        assert!(log.contains(&server.address.to_string()), "{log}");
        gate.is_at_rest().await;
    }
    assert_eq!(server.seen(), []);
}

#[tokio::test]
async fn a_peer_that_speaks_no_tls_is_told_from_one_that_is_not_believed() {
    let peer = Peer::start(|mut wire, _| async move { wire.json(400, "{}").await }).await;
    let tls = pool(&[peer.address], "    tls: on\n");
    let gate = Gate::start(&tls).await;
    assert_eq!(client::ask(gate.address, "x", &[]).await.status, 503);
    let log = gate.stderr();
    assert!(log.contains("to a TLS handshake is not TLS"), "{log}");
}

#[tokio::test]
async fn a_certificate_has_to_be_for_the_peers_host_or_for_the_name_that_is_written() {
    let authority = Authority::new();
    let server = Server::tls(authority.server("gpu.internal", OLD), mirror).await;
    let gate = believing(&authority, &config(&server, "{ ca: ca.pem }", &[])).await;
    assert_eq!(client::ask(gate.address, "x", &[]).await.status, 503);
    let log = gate.stderr();
    assert!(log.contains("not valid for name \"127.0.0.1\""), "{log}");
    let named = "{ ca: ca.pem, sni: gpu.internal }";
    gate.rewrite(&config(&server, named, &[]));
    assert_eq!(gate.reload().await.status, 200);
    assert_eq!(client::ask(gate.address, "x", &[]).await.status, 200);
    let asked_for = server.seen().pop().and_then(|seen| seen.sni);
    assert_eq!(asked_for.as_deref(), Some("gpu.internal"));
}

#[tokio::test]
async fn without_verification_anybody_is_believed_and_the_log_warns() {
    let authority = Authority::new();
    let server = Server::tls(authority.server("gpu.internal", OLD), mirror).await;
    let gate = Gate::start(&config(&server, "{ verify: off }", &[])).await;
    assert_eq!(client::ask(gate.address, "x", &[]).await.status, 200);
    assert!(gate.stderr().contains("pools.pool.tls.verify"));
}

#[tokio::test]
async fn a_reload_believes_what_the_file_says_now_and_a_file_that_cannot_be_used_refuses_it() {
    let (first, second) = (Authority::new(), Authority::new());
    let server = Server::tls(second.server("127.0.0.1", BOTH), mirror).await;
    for http2 in ["http2: off", "http2: on"] {
        let text = config(&server, "{ ca: ca.pem }", &[http2]);
        let gate = believing(&first, &text).await;
        assert_eq!(client::ask(gate.address, "x", &[]).await.status, 503);
        let ca = gate.folder().join("ca.pem");
        std::fs::write(&ca, second.pem()).expect("written");
        assert_eq!(gate.reload().await.status, 200);
        assert_eq!(client::ask(gate.address, "x", &[]).await.status, 200);

        let nonsense = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        std::fs::write(&ca, nonsense).expect("written");
        let refused = gate.reload().await;
        assert_ne!(refused.status, 200);
        let why = refused.text();
        assert!(why.contains("pools.pool.tls.ca"), "{why}");
        assert!(why.contains("ca.pem"), "{why}");
        assert_eq!(client::ask(gate.address, "x", &[]).await.status, 200);

        // Connections to whom is no longer believed are not used again.
        std::fs::write(&ca, first.pem()).expect("written");
        assert_eq!(gate.reload().await.status, 200);
        assert_eq!(client::ask(gate.address, "x", &[]).await.status, 503);
    }
}

const UPGRADE_REQUEST: &str =
    "GET /v1/realtime HTTP/1.1\r\nhost: t\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";

#[tokio::test]
async fn a_websocket_gets_an_http1_connection_with_tls_beside_the_http2_ones() {
    let authority = Authority::new();
    let server = Server::tls(
        authority.server("127.0.0.1", BOTH),
        |mut request| async move {
            let asks = request.headers().get(UPGRADE).cloned();
            let Some(protocol) = asks else {
                return mirror(request).await;
            };
            let upgrade = hyper::upgrade::on(&mut request);
            tokio::spawn(async move {
                let stream = upgrade.await.expect("upgraded");
                let mut stream = TokioIo::new(stream);
                let mut word = [0; 5];
                stream.read_exact(&mut word).await.expect("read");
                stream.write_all(&word).await.expect("written");
                stream.write_all(b" back").await.expect("written");
                stream.shutdown().await.expect("closed");
            });
            let mut answer = full("");
            *answer.status_mut() = hyper::StatusCode::SWITCHING_PROTOCOLS;
            answer.headers_mut().insert(UPGRADE, protocol);
            answer
                .headers_mut()
                .insert("connection", "upgrade".parse().expect("a value"));
            answer
        },
    )
    .await;
    let gate = believing(
        &authority,
        &config(&server, "{ ca: ca.pem }", &["http2: on"]),
    )
    .await;
    assert_eq!(client::ask(gate.address, "x", &[]).await.status, 200);
    let mut raw = Raw::connect(&gate).await;
    raw.send(UPGRADE_REQUEST).await;
    let (head, _) = raw.answer().await.expect("an answer");
    assert!(head.starts_with("http/1.1 101"), "{head}");
    raw.send("hello").await;
    assert_eq!(raw.rest().await, "hello back");
    let spoken: Vec<bool> = server.seen().iter().map(|seen| seen.http2).collect();
    assert_eq!(spoken, [true, false]);
    gate.is_at_rest().await;
}

#[tokio::test]
async fn a_websocket_to_a_peer_that_is_spoken_to_in_http2_alone_is_a_502_that_says_so() {
    let server = Server::plain(true, mirror).await;
    let gate = Gate::start(&config(&server, "off", &["http2: on"])).await;
    let mut raw = Raw::connect(&gate).await;
    raw.send(UPGRADE_REQUEST).await;
    let (head, body) = raw.answer().await.expect("an answer");
    assert!(head.starts_with("http/1.1 502"), "{head}");
    assert!(body.contains("HTTP/2 alone"), "{body}");
    assert_eq!(server.seen(), []);
    let status = gate.status().await;
    assert_eq!(status["pools"]["pool"]["peers"][0]["failures"], 0);
    gate.is_at_rest().await;
}
