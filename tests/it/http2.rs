//! Clients that speak HTTP/2.

use std::time::Duration;

use bytes::Bytes;
use h2::client::SendRequest;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::{HeaderMap, Method, Request, Response, Uri};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::peers_tls::server::Server;
use crate::support::gate::{Gate, pool};
use crate::support::peer::Peer;
use crate::support::raw::LONG;

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
        self.ask_with(request, parts, None).await
    }

    /// The same with `trailers` behind the body, if there are any.
    async fn ask_with(
        &mut self,
        request: Request<()>,
        parts: &[&'static str],
        trailers: Option<HeaderMap>,
    ) -> (u16, String) {
        let asked = async {
            let bare = parts.is_empty() && trailers.is_none();
            let (answer, mut body) = self.requests.send_request(request, bare).expect("sent");
            for (at, part) in parts.iter().enumerate() {
                let last = trailers.is_none() && at + 1 == parts.len();
                body.send_data(Bytes::from(*part), last).expect("sent");
            }
            if let Some(trailers) = trailers {
                body.send_trailers(trailers).expect("sent");
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

#[tokio::test]
async fn a_body_of_http2_reaches_the_peer_as_a_body_whatever_the_method() {
    let (peer, mut told) = Peer::telling().await;
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
    let (peer, mut told) = Peer::telling().await;
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
    let (peer, mut told) = Peer::telling().await;
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
    let (peer, _told) = Peer::telling().await;
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
    let (peer, mut told) = Peer::telling().await;
    let gate = Gate::before(&[peer.address], "").await;
    let mut client = Http2::to(&gate).await;
    let request = Request::get("http://t/x")
        .header("cookie", "a=1")
        .header("cookie", "b=2")
        .body(())
        .expect("valid");
    client.ask(request, &[]).await;
    let many = (0..200).fold(Request::get("http://t/x"), |request, number| {
        request.header("cookie", format!("c{number}=1"))
    });
    let (status, _) = client.ask(many.body(()).expect("valid"), &[]).await;
    assert_eq!(status, 200, "however many there are");
    let seen = told.recv().await.expect("told");
    let cookies = seen.headers.iter().filter(|(name, _)| name == "cookie");
    let cookies: Vec<&str> = cookies.map(|(_, value)| value.as_str()).collect();
    assert_eq!(cookies, ["a=1; b=2"]);
}

/// Answers with the body of a request, and what came behind it.
async fn tell_trailers(request: Request<Incoming>) -> crate::peers_tls::server::Answer {
    let body = request.into_body().collect().await.expect("whole");
    let trailers = body.trailers().cloned().unwrap_or_default();
    let mut said: Vec<String> = trailers
        .iter()
        .map(|(name, value)| format!("{name}={}", value.to_str().expect("text")))
        .collect();
    said.sort_unstable();
    let body = String::from_utf8_lossy(&body.to_bytes()).into_owned();
    let answer = format!("{body}|{}", said.join(","));
    Response::new(http_body_util::Full::from(answer).boxed())
}

#[tokio::test]
async fn trailers_of_a_request_over_http2_reach_peers_of_both_kinds() {
    for (http2, more) in [(false, ""), (true, "    http2: on\n")] {
        let server = Server::plain(http2, tell_trailers).await;
        let gate = Gate::start(&pool(&[server.address], more)).await;
        let mut client = Http2::to(&gate).await;
        let mut trailers = HeaderMap::new();
        for (name, value) in [
            ("x-sum", "1"),
            ("x-sum", "2"),
            // These mean something only ahead of a body.
            ("host", "other"),
            ("content-length", "9"),
            ("authorization", "other"),
            ("x-forwarded-for", "10.0.0.1"),
        ] {
            trailers.append(name, value.parse().expect("valid"));
        }
        for (parts, expected) in [
            (&["one", "two"][..], "onetwo|x-sum=1,x-sum=2"),
            (&[], "|x-sum=1,x-sum=2"),
        ] {
            let request = Request::post("http://t/x").header("trailer", "x-sum");
            let request = request.body(()).expect("valid");
            let told = client
                .ask_with(request, parts, Some(trailers.clone()))
                .await;
            assert_eq!(told, (200, expected.to_owned()), "http2: {http2}");
        }
        // The model API holds the body and knows no trailers, but they do it no harm.
        let request = Request::post("http://t/v1/chat/completions").body(());
        let (status, body) = client
            .ask_with(request.expect("valid"), &["{}"], Some(trailers))
            .await;
        assert_eq!((status, body.as_str()), (200, "{}|"), "http2: {http2}");
        gate.is_at_rest().await;
    }
}

#[tokio::test]
async fn a_head_over_http2_that_two_readers_could_read_differently_is_refused() {
    let (peer, mut told) = Peer::telling().await;
    let gate = Gate::before(&[peer.address], "").await;
    let mut client = Http2::to(&gate).await;
    for (target, fields, expected) in [
        ("http://t/x", &[("host", "t")][..], 200),
        ("http://t/x", &[("host", "other")], 400),
        ("http://t/x", &[("host", "t"), ("host", "t")], 400),
        ("http://me@t/x", &[], 400),
        ("http://a,b/x", &[], 400),
        (
            "http://t/x",
            &[("content-length", "0"), ("content-length", "0")],
            200,
        ),
    ] {
        let mut request = Request::post(target);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let request = request.body(()).expect("valid");
        let (status, body) = client.ask(request, &[]).await;
        assert_eq!(status, expected, "{target} {fields:?}: {body}");
    }
    for _ in 0..2 {
        told.recv().await.expect("told");
    }
    assert!(told.try_recv().is_err(), "no request besides those");
    gate.is_at_rest().await;
}

#[tokio::test]
async fn a_client_that_goes_on_sending_such_heads_loses_its_connection_behind_its_last_answer() {
    let (peer, _told) = Peer::telling().await;
    let gate = Gate::before(&[peer.address], "").await;
    let mut client = Http2::to(&gate).await;
    let request = Request::post("http://t/x").body(()).expect("valid");
    let (under_way, mut body) = client.requests.send_request(request, false).expect("sent");
    body.send_data(Bytes::from_static(b"half"), false)
        .expect("sent");
    let mut refused = 0;
    let lost = loop {
        let request = Request::get("http://t/x").header("host", "other");
        let asked = async {
            let request = request.body(()).expect("valid");
            client.requests = client.requests.clone().ready().await?;
            client.requests.send_request(request, true)?.0.await
        };
        match timeout(LONG, asked).await.expect("in time") {
            Ok(answer) => assert_eq!(answer.status(), 400),
            Err(lost) => break lost,
        }
        refused += 1;
        assert!(refused < 100, "it never ends");
    };
    assert!(refused >= 32, "lost after {refused}: {lost}");
    body.send_data(Bytes::from_static(b"half"), true)
        .expect("sent");
    let answer = timeout(LONG, under_way).await.expect("in time");
    assert_eq!(answer.expect("answered").status(), 200);
    gate.is_at_rest().await;
}

#[tokio::test]
async fn methods_that_are_not_served_cost_a_client_of_http2_no_connection() {
    let (peer, _told) = Peer::telling().await;
    let gate = Gate::before(&[peer.address], "").await;
    let mut client = Http2::to(&gate).await;
    for _ in 0..50 {
        let request = Request::builder().method(Method::TRACE).uri("http://t/x");
        let (status, _) = client.ask(request.body(()).expect("valid"), &[]).await;
        assert_eq!(status, 405);
    }
    gate.is_at_rest().await;
}

#[tokio::test]
async fn trailers_beyond_what_is_understood_end_their_request() {
    let server = Server::plain(false, tell_trailers).await;
    let gate = Gate::start(&pool(&[server.address], "")).await;
    let mut client = Http2::to(&gate).await;
    let many: HeaderMap = (0..33)
        .map(|number| {
            let name = format!("x-{number}").parse().expect("a name");
            (name, "1".parse().expect("a value"))
        })
        .collect();
    let mut large = HeaderMap::new();
    large.insert("x-large", "y".repeat(17 * 1024).parse().expect("a value"));
    for trailers in [many, large] {
        let request = Request::post("http://t/x").body(()).expect("valid");
        let (status, _) = client.ask_with(request, &["one"], Some(trailers)).await;
        assert!((400..500).contains(&status), "{status}");
    }
    gate.is_at_rest().await;
}
