//! Clients and peers that do what they should not, or what few do.

use std::time::Duration;

use bytes::Bytes;
use h2::client::SendRequest;
use hyper::body::Incoming;
use hyper::{Method, Request, Uri};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::peers_tls::server::{Server, mirror};
use crate::support::gate::{Gate, pool};
use crate::support::peer::{self, Peer, Wire};
use crate::support::raw::{LONG, Raw, post};

/// A connection of a client that speaks HTTP/2 without TLS; ends with the test.
struct Http2 {
    requests: SendRequest<Bytes>,
    connection: JoinHandle<()>,
}

impl Drop for Http2 {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

impl Http2 {
    async fn to(gate: &Gate) -> Self {
        let stream = TcpStream::connect(gate.address).await.expect("connects");
        let (requests, connection) = h2::client::handshake(stream).await.expect("speaks HTTP/2");
        let connection = tokio::spawn(async move {
            let _ = connection.await;
        });
        Self {
            requests,
            connection,
        }
    }

    /// Sends a request, with a body if `parts` are given, and returns the status of its answer and the body.
    async fn ask(&mut self, request: Request<()>, parts: &[&'static str]) -> (u16, String) {
        let asked = async {
            let (answer, mut body) = self
                .requests
                .send_request(request, parts.is_empty())
                .expect("sent");
            for (at, part) in parts.iter().enumerate() {
                let last = at + 1 == parts.len();
                body.send_data(Bytes::from(*part), last).expect("sent");
            }
            let answer = answer.await.expect("answered");
            let status = answer.status().as_u16();
            let mut body = answer.into_body();
            let mut text = Vec::new();
            while let Some(part) = body.data().await {
                text.extend_from_slice(&part.expect("whole"));
            }
            (status, String::from_utf8_lossy(&text).into_owned())
        };
        timeout(LONG, asked).await.expect("in time")
    }
}

/// A peer that tells of each request it reads, and answers it.
async fn telling_peer() -> (Peer, mpsc::UnboundedReceiver<peer::Request>) {
    let (tell, told) = mpsc::unbounded_channel();
    let peer = Peer::start(move |mut wire: Wire, _| {
        let tell = tell.clone();
        async move {
            while let Some(request) = wire.request().await? {
                let _ = tell.send(request);
                wire.json(200, "{}").await?;
            }
            Ok(())
        }
    })
    .await;
    (peer, told)
}

#[tokio::test]
async fn a_body_of_http2_reaches_the_peer_as_a_body_whatever_the_method() {
    let (peer, mut told) = telling_peer().await;
    let gate = Gate::before(&[peer.address], "").await;
    let mut client = Http2::to(&gate).await;
    let inner = "GET /inner HTTP/1.1\r\nhost: inner\r\n\r\n";
    for method in ["GET", "DELETE", "OPTIONS", "QUERY", "POST"] {
        let request = Request::builder()
            .method(method)
            .uri("http://t/outer")
            .body(())
            .expect("valid");
        let (status, _) = client.ask(request, &[inner, ""]).await;
        assert_eq!(status, 200, "{method}");
        let seen = told.recv().await.expect("told");
        assert_eq!(seen.line, format!("{method} /outer HTTP/1.1"));
        assert_eq!(String::from_utf8_lossy(&seen.body), inner, "{method}");
    }
    for method in ["GET", "POST"] {
        let request = Request::builder()
            .method(method)
            .uri("http://t/bare")
            .body(())
            .expect("valid");
        client.ask(request, &[]).await;
        let seen = told.recv().await.expect("told");
        assert_eq!(seen.header("transfer-encoding"), None, "{method}");
    }
    assert!(told.try_recv().is_err(), "no request besides those");
    gate.is_at_rest().await;
}

#[tokio::test]
async fn methods_without_an_answer_are_refused_over_http2_as_they_are_over_http1() {
    let (peer, mut told) = telling_peer().await;
    let gate = Gate::before(&[peer.address], "").await;
    let mut client = Http2::to(&gate).await;
    for (method, target) in [(Method::CONNECT, "t:80"), (Method::TRACE, "http://t/x")] {
        let mut request = Request::new(());
        *request.method_mut() = method.clone();
        *request.uri_mut() = target.parse::<Uri>().expect("valid");
        let (status, body) = client.ask(request, &[]).await;
        assert_eq!(status, 405, "{method}: {body}");
    }
    assert!(told.try_recv().is_err(), "neither reached the peer");
    gate.is_at_rest().await;
}

#[tokio::test]
async fn a_head_over_http2_has_no_more_fields_than_one_over_http1() {
    let (peer, mut told) = telling_peer().await;
    let gate = Gate::before(&[peer.address], "").await;
    let mut client = Http2::to(&gate).await;
    for (fields, expected) in [(100, 200), (200, 431)] {
        let mut request = Request::get("http://t/x");
        for _ in 0..fields {
            request = request.header("x-again", "");
        }
        let request = request.body(()).expect("valid");
        let (status, body) = client.ask(request, &[]).await;
        assert_eq!(status, expected, "{fields}: {body}");
    }
    let seen = told.recv().await.expect("told");
    assert_eq!(seen.line, "GET /x HTTP/1.1");
    assert!(told.try_recv().is_err(), "no request besides that");
    gate.is_at_rest().await;
}

#[tokio::test]
async fn a_body_over_http2_that_comes_too_slowly_is_given_up_as_over_http1() {
    let (peer, _told) = telling_peer().await;
    let client = "client: { body_timeout: 5s, min_rate: 5000 }\n";
    let gate = Gate::before(&[peer.address], client).await;
    let mut client = Http2::to(&gate).await;
    let request = Request::post("http://t/v1/chat/completions").body(());
    let (answer, mut body) = client
        .requests
        .send_request(request.expect("valid"), false)
        .expect("sent");
    let trickle = async {
        // Ends with the stream.
        while body.send_data(Bytes::from_static(b"x"), false).is_ok() {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        std::future::pending().await
    };
    let answer = tokio::select! {
        answer = timeout(LONG, answer) => answer.expect("in time").expect("answered"),
        () = trickle => unreachable!(),
    };
    assert_eq!(answer.status(), 408);
    gate.is_at_rest().await;
}

#[tokio::test]
async fn cookies_that_http2_split_are_one_field_again_for_a_peer() {
    let (peer, mut told) = telling_peer().await;
    let gate = Gate::before(&[peer.address], "").await;
    let mut client = Http2::to(&gate).await;
    let request = Request::get("http://t/x")
        .header("cookie", "a=1")
        .header("cookie", "b=2")
        .body(())
        .expect("valid");
    client.ask(request, &[]).await;
    let seen = told.recv().await.expect("told");
    let cookies = seen.headers.iter().filter(|(name, _)| name == "cookie");
    let cookies: Vec<&str> = cookies.map(|(_, value)| value.as_str()).collect();
    assert_eq!(cookies, ["a=1; b=2"]);
}

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
    let (peer, mut told) = telling_peer().await;
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
    let (peer, mut told) = telling_peer().await;
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
