//! HTTP/2 to peers: shared connections, streams, clients that leave, trailers, goodbyes and refusals.

use std::sync::Arc;

use bytes::Bytes;
use h2::Reason;
use http_body_util::BodyExt;
use hyper::body::Frame;
use hyper::{HeaderMap, Response};
use serde_json::json;
use tokio::sync::{Barrier, mpsc};

use super::server::{Server, frames, full, mirror};
use super::{Authority, BOTH, OLD, believing, config};
use crate::support::client;
use crate::support::gate::Gate;
use crate::support::raw::Raw;

const HTTP2: &[&str] = &["http2: on"];

#[tokio::test]
async fn requests_at_the_same_time_share_one_connection_with_tls_and_without() {
    let authority = Authority::new();
    for tls in ["{ ca: ca.pem }", "off"] {
        // None is answered before all are there.
        let all = Arc::new(Barrier::new(20));
        let serve = move |request| {
            let all = Arc::clone(&all);
            async move {
                all.wait().await;
                mirror(request).await
            }
        };
        let server = match tls {
            "off" => Server::plain(true, serve).await,
            _ => Server::tls(authority.server("127.0.0.1", BOTH), serve).await,
        };
        let gate = believing(&authority, &config(&server, tls, HTTP2)).await;
        let mut asked = tokio::task::JoinSet::new();
        for n in 0..20 {
            let address = gate.address;
            asked.spawn(async move { client::ask(address, &format!("{n}"), &[]).await });
        }
        while let Some(answer) = asked.join_next().await {
            let answer = answer.expect("asked");
            assert_eq!(answer.status, 200, "{}", answer.text());
            let shown = answer.json();
            let line = shown["line"].as_str().expect("text");
            let scheme = if tls == "off" { "http" } else { "https" };
            // The client's host is the authority.
            let whole = format!(
                "POST {scheme}://{}/v1/chat/completions HTTP/2.0",
                gate.address
            );
            assert_eq!(line, whole);
            assert_eq!(shown["headers"]["te"], "trailers");
            assert!(shown["headers"].get("host").is_none());
        }
        assert_eq!(server.seen().len(), 1);
        gate.is_at_rest().await;
    }
}

#[tokio::test]
async fn a_peer_that_knows_only_http1_is_asked_in_it_over_kept_connections() {
    let authority = Authority::new();
    let server = Server::tls(authority.server("127.0.0.1", OLD), mirror).await;
    let gate = believing(&authority, &config(&server, "{ ca: ca.pem }", HTTP2)).await;
    for _ in 0..3 {
        let answer = client::ask(gate.address, "x", &[]).await;
        assert_eq!(answer.json()["line"], "POST /v1/chat/completions HTTP/1.1");
    }
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn each_event_of_a_stream_reaches_the_client_before_the_next_one_exists() {
    let (next, nexts) = mpsc::channel(1);
    let nexts = Arc::new(tokio::sync::Mutex::new(nexts));
    let server = Server::plain(true, move |_| {
        let nexts = Arc::clone(&nexts);
        async move {
            let (frames, mut answer) = frames();
            tokio::spawn(async move {
                while let Some(event) = nexts.lock().await.recv().await {
                    let _ = frames.send(Frame::data(event)).await;
                }
            });
            let kind = "text/event-stream".parse().expect("a value");
            answer.headers_mut().insert("content-type", kind);
            answer
        }
    })
    .await;
    let gate = Gate::start(&config(&server, "off", HTTP2)).await;
    let body = client::chat("hello", json!({ "stream": true }));
    let path = "/v1/chat/completions";
    let answer = client::begin(gate.address, "POST", path, &[], &body).await;
    let mut body = answer.expect("begins").into_body();
    for n in 0..5 {
        let event = Bytes::from(format!("data: {{\"n\":{n}}}\n\n"));
        next.send(event.clone()).await.expect("listened to");
        let part = body.frame().await.expect("an event").expect("unbroken");
        assert_eq!(part.into_data().expect("data"), event);
    }
    let done = Bytes::from("data: [DONE]\n\n");
    next.send(done.clone()).await.expect("listened to");
    drop(next);
    assert_eq!(body.collect().await.expect("ends").to_bytes(), done);
    gate.is_at_rest().await;
}

#[tokio::test]
async fn a_client_that_leaves_resets_its_request_alone() {
    let (events, mut happened) = mpsc::unbounded_channel();
    let server = Server::by_hand(move |mut connection, _| {
        let events = events.clone();
        async move {
            while let Some(Ok((request, mut respond))) = connection.accept().await {
                let events = events.clone();
                tokio::spawn(async move {
                    let path = request.uri().path().to_owned();
                    if path == "/whole" {
                        let _ = respond.send_response(Response::new(()), true);
                        return;
                    }
                    let reset = if path == "/silent" {
                        let _ = events.send("there".to_owned());
                        std::future::poll_fn(|context| respond.poll_reset(context)).await
                    } else {
                        let begun = respond.send_response(Response::new(()), false);
                        let mut stream = begun.expect("begun");
                        let _ = stream.send_data(Bytes::from("part"), false);
                        std::future::poll_fn(|context| stream.poll_reset(context)).await
                    };
                    let _ = events.send(format!("{:?}", reset.expect("a reason")));
                });
            }
        }
    })
    .await;
    let gate = Gate::start(&config(&server, "off", HTTP2)).await;
    let ask = |path: &str| format!("GET {path} HTTP/1.1\r\nhost: t\r\n\r\n");
    let mut raw = Raw::connect(&gate).await;
    raw.send(ask("/silent")).await;
    assert_eq!(happened.recv().await.as_deref(), Some("there"));
    drop(raw);
    assert_eq!(happened.recv().await.as_deref(), Some("CANCEL"));
    let begun = client::begin(gate.address, "GET", "/endless", &[], b"").await;
    let mut begun = begun.expect("begins");
    let part = begun.frame().await.expect("a part").expect("unbroken");
    assert_eq!(part.into_data().expect("data"), "part");
    drop(begun);
    assert_eq!(happened.recv().await.as_deref(), Some("CANCEL"));
    let whole = client::get(gate.address, "/whole").await.expect("answered");
    assert_eq!(whole.status, 200);
    assert_eq!(server.seen().len(), 1, "the connection goes on");
    gate.is_at_rest().await;
}

#[tokio::test]
async fn trailers_pass_in_both_directions() {
    let server = Server::plain(true, |request| async move {
        let shown = mirror(request).await.into_body().collect().await;
        let (frames, answer) = frames();
        tokio::spawn(async move {
            let body = shown.expect("whole").to_bytes();
            let _ = frames.send(Frame::data(body)).await;
            let mut trailers = HeaderMap::new();
            trailers.insert("grpc-status", "0".parse().expect("a value"));
            let _ = frames.send(Frame::trailers(trailers)).await;
        });
        answer
    })
    .await;
    let gate = Gate::start(&config(&server, "off", HTTP2)).await;
    let mut raw = Raw::connect(&gate).await;
    raw.send("POST /some.Service/Call HTTP/1.1\r\nhost: t\r\nte: trailers\r\nconnection: te, close\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nx-sum: 6\r\n\r\n")
        .await;
    let all = raw.rest().await;
    assert!(all.starts_with("HTTP/1.1 200"), "{all}");
    assert!(all.contains("\\\"x-sum\\\": \\\"6\\\""), "{all}");
    assert!(all.ends_with("0\r\ngrpc-status: 0\r\n\r\n"), "{all}");
    gate.is_at_rest().await;
}

#[tokio::test]
async fn a_request_that_the_peer_did_not_begin_is_sent_again_without_blame() {
    let refusing = Server::by_hand(|mut connection, _| async move {
        let mut requests = 0;
        while let Some(Ok((_, mut respond))) = connection.accept().await {
            requests += 1;
            match requests {
                2 => respond.send_reset(Reason::REFUSED_STREAM),
                _ => drop(respond.send_response(Response::new(()), true)),
            }
        }
    })
    .await;
    let breaking = Server::by_hand(|mut connection, _| async move {
        let Some(Ok((_, mut respond))) = connection.accept().await else {
            return;
        };
        let _ = respond.send_response(Response::new(()), true);
        // The second request is taken, and the connection closed.
        let _ = connection.accept().await;
    })
    .await;
    let leaving = Server::saying_goodbye_after(1).await;
    for (kind, server, connections) in [
        ("refusal", refusing, 1),
        ("end", breaking, 3),
        ("goodbye", leaving, 2),
    ] {
        let gate = Gate::start(&config(&server, "off", HTTP2)).await;
        for _ in 0..3 {
            let answer = client::ask(gate.address, "x", &[]).await;
            assert_eq!(answer.status, 200, "{kind}: {}", answer.text());
        }
        let status = gate.status().await;
        assert_eq!(status["pools"]["pool"]["peers"][0]["failures"], 0, "{kind}");
        assert_eq!(server.seen().len(), connections, "{kind}");
        gate.is_at_rest().await;
    }
}

#[tokio::test]
async fn a_reset_for_any_other_reason_is_a_failure_of_the_peer() {
    let server = Server::by_hand(|mut connection, _| async move {
        let mut requests = 0;
        while let Some(Ok((_, mut respond))) = connection.accept().await {
            requests += 1;
            match requests {
                1 => drop(respond.send_response(Response::new(()), true)),
                _ => respond.send_reset(Reason::INTERNAL_ERROR),
            }
        }
    })
    .await;
    let gate = Gate::start(&config(&server, "off", HTTP2)).await;
    assert_eq!(client::ask(gate.address, "x", &[]).await.status, 200);
    let broken = client::ask(gate.address, "x", &[]).await;
    assert_eq!(broken.status, 502, "{}", broken.text());
    let status = gate.status().await;
    assert_eq!(status["pools"]["pool"]["peers"][0]["failures"], 1);
    gate.is_at_rest().await;
}

#[tokio::test]
async fn a_stream_that_is_reset_ends_in_an_error_event_and_no_done() {
    let server = Server::by_hand(|mut connection, _| async move {
        while let Some(Ok((_, mut respond))) = connection.accept().await {
            let answer = Response::builder().header("content-type", "text/event-stream");
            let answer = answer.body(()).expect("an answer");
            let mut stream = respond.send_response(answer, false).expect("begun");
            let event = Bytes::from("data: {\"choices\":[]}\n\n");
            stream.send_data(event, false).expect("sent");
            stream.reserve_capacity(1);
            tokio::spawn(async move {
                // Once this can be sent, what came before it has left.
                let _ = std::future::poll_fn(|context| stream.poll_capacity(context)).await;
                stream.send_reset(Reason::INTERNAL_ERROR);
            });
        }
    })
    .await;
    let gate = Gate::start(&config(&server, "off", HTTP2)).await;
    let body = client::chat("hello", json!({ "stream": true }));
    let text = client::post_chat(gate.address, &body, &[]).await.text();
    assert!(text.contains("upstream_error"), "{text}");
    assert!(!text.contains("[DONE]"), "{text}");
    gate.is_at_rest().await;
}

#[tokio::test]
async fn the_lists_of_models_of_pools_with_http2_are_merged() {
    let list = |model: &'static str| {
        move |_| async move {
            full(
                json!({ "object": "list", "data": [{ "id": model, "object": "model" }] })
                    .to_string(),
            )
        }
    };
    let authority = Authority::new();
    let one = Server::tls(authority.server("127.0.0.1", BOTH), list("one")).await;
    let two = Server::plain(true, list("two")).await;
    let gate = believing(
        &authority,
        &format!(
            "pools:\n  a:\n    health: off\n    http2: on\n    tls: {{ ca: ca.pem }}\n    peers: [{{ address: {} }}]\n  b:\n    health: off\n    http2: on\n    peers: [{{ address: {} }}]\nroutes:\n  - pool: a\n",
            one.address, two.address
        ),
    )
    .await;
    let merged = client::get(gate.address, "/v1/models")
        .await
        .expect("answered");
    let ids: Vec<_> = merged.json()["data"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|model| model["id"].clone())
        .collect();
    assert_eq!(ids, ["one", "two"]);
}
