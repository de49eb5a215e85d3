//! Bodies over HTTP/2 to peers arrive whole, in both directions and in any framing, also at the second peer.

use bytes::Bytes;
use h2::Reason;
use hyper::body::Frame;
use tokio::net::TcpStream;

use super::server::{Server, frames, full, mirror};
use super::{Authority, BOTH, believing};
use crate::bodies::{FRAMINGS, Framing, SIZES, body, exchange};
use crate::support::client;
use crate::support::gate::{Gate, pool};
use crate::support::peer::sha256;

/// Two requests on each connection to `gate` for each framing and size, one of the largest; how many there were.
async fn matrix(gate: &Gate, path: &str, what: &str) -> usize {
    let mut cells = 0;
    for framing in FRAMINGS {
        for size in SIZES {
            let body = body(size);
            let mut stream = TcpStream::connect(gate.address).await.expect("connects");
            for turn in 0..if size > 1 << 20 { 1 } else { 2 } {
                let cell = format!("{what}, {path}, {framing:?}, {size} bytes, turn {turn}");
                let (status, answer) = exchange(&mut stream, path, framing, &body)
                    .await
                    .unwrap_or_else(|error| panic!("{cell}: {error}"));
                assert_eq!(status, 200, "{cell}: {answer}");
                let answer: serde_json::Value = serde_json::from_str(&answer).expect("JSON");
                assert_eq!(answer["bytes"], size, "{cell}");
                assert_eq!(answer["sha256"], sha256(&body), "{cell}");
                let line = answer["line"].as_str().expect("text");
                assert!(line.ends_with("HTTP/2.0"), "{cell}: {line}");
                let streamed = path != "/v1/chat/completions"
                    && matches!(framing, Framing::Chunked | Framing::ChunkedExpecting);
                let length = answer["headers"]["content-length"].as_str();
                match streamed {
                    true => assert_eq!(length, None, "{cell}"),
                    false => assert_eq!(length, Some(&*size.to_string()), "{cell}"),
                }
                cells += 1;
            }
        }
    }
    gate.is_at_rest().await;
    cells
}

#[tokio::test(flavor = "multi_thread")]
async fn request_bodies_arrive_whole_in_every_framing_and_size() {
    let authority = Authority::new();
    let secure = Server::tls(authority.server("127.0.0.1", BOTH), mirror).await;
    let plain = Server::plain(true, mirror).await;
    let mut cells = 0;
    for (server, tls) in [(&secure, "{ ca: ca.pem }"), (&plain, "off")] {
        let config = super::config(server, tls, &["http2: on"]);
        let gate = believing(&authority, &config).await;
        for path in ["/v1/chat/completions", "/anything/else"] {
            cells += matrix(&gate, path, tls).await;
        }
        assert_eq!(server.seen().len(), 1, "one connection carries them all");
    }
    println!("{cells} cells");
}

#[tokio::test(flavor = "multi_thread")]
async fn request_bodies_arrive_whole_at_the_second_peer_after_the_first_one_failed() {
    let mut cells = 0;
    for kind in [
        "resets before it reads",
        "resets when it has read",
        "goes away",
        "answers 503",
    ] {
        let first = Server::by_hand(move |mut connection, _| async move {
            while let Some(Ok((request, mut respond))) = connection.accept().await {
                match kind {
                    "resets before it reads" => respond.send_reset(Reason::INTERNAL_ERROR),
                    "goes away" => connection.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM),
                    _ => {
                        // The connection has to be driven meanwhile.
                        tokio::spawn(async move {
                            let mut body = request.into_body();
                            while let Some(Ok(part)) = body.data().await {
                                let _ = body.flow_control().release_capacity(part.len());
                            }
                            if kind == "answers 503" {
                                let answer = hyper::Response::builder().status(503).body(());
                                let answer = answer.expect("an answer");
                                let _ = respond.send_response(answer, true);
                            } else {
                                respond.send_reset(Reason::INTERNAL_ERROR);
                            }
                        });
                    }
                }
            }
        })
        .await;
        let second = Server::plain(true, mirror).await;
        let config = pool(
            &[first.address, second.address],
            "    balance: round_robin\n    eject: off\n    http2: on\n    retry: { attempts: 3, base_backoff: 1ms, budget: off }\n",
        );
        let gate = Gate::start(&config).await;
        cells += matrix(&gate, "/v1/chat/completions", kind).await;
        assert!(!first.seen().is_empty());
    }
    println!("{cells} cells");
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_arrive_whole_with_and_without_a_length() {
    let authority = Authority::new();
    let server = Server::tls(
        authority.server("127.0.0.1", BOTH),
        |request: hyper::Request<hyper::body::Incoming>| async move {
            let (kind, size) = request.uri().path()[1..]
                .split_once('/')
                .expect("two words");
            let all = Bytes::from(body(size.parse().expect("a size")));
            if kind == "length" {
                return full(all);
            }
            let (frames, answer) = frames();
            tokio::spawn(async move {
                for part in all.chunks(50_000) {
                    let _ = frames.send(Frame::data(Bytes::copy_from_slice(part))).await;
                }
            });
            answer
        },
    )
    .await;
    let config = super::config(&server, "{ ca: ca.pem }", &["http2: on"]);
    let gate = believing(&authority, &config).await;
    for size in SIZES {
        for kind in ["length", "stream"] {
            for method in ["GET", "HEAD"] {
                let path = format!("/{kind}/{size}");
                let answer = client::send(gate.address, method, &path, &[], b"").await;
                let answer = answer.unwrap_or_else(|error| panic!("{method} {path}: {error}"));
                assert_eq!(answer.status, 200, "{method} {path}");
                // Of an answer that ends with its head, hyper does not say the length.
                let length = (kind == "length" && size > 0).then(|| size.to_string());
                assert_eq!(answer.header("content-length"), length.as_deref(), "{path}");
                let expected = if method == "GET" {
                    body(size)
                } else {
                    Vec::new()
                };
                assert_eq!(sha256(&answer.body), sha256(&expected), "{method} {path}");
            }
        }
    }
    gate.is_at_rest().await;
}
