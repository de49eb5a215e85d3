//! Each fault, as a client sees it.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::client::{End, Reply, ask, fast, get, post, request, send, until};
use crate::sim::server::{SimConfig, SimServer};

const LONG_ENOUGH_TO_BE_SILENCE: Duration = Duration::from_millis(150);

fn stream(fault: &str) -> Request<Full<Bytes>> {
    let body = json!({"messages": [{"role": "user", "content": "hello"}], "max_tokens": 50, "stream": true, "ignore_eos": true});
    request(
        "POST",
        "/v1/chat/completions",
        &[("x-sim-fault", fault)],
        body.to_string(),
    )
}

async fn whole(server: &SimServer, fault: &str) -> hyper::Result<Reply> {
    let body = json!({"prompt": "hello", "max_tokens": 50});
    ask(
        server,
        request(
            "POST",
            "/v1/completions",
            &[("x-sim-fault", fault)],
            body.to_string(),
        ),
    )
    .await
}

#[tokio::test]
async fn refuse_resets_the_connection_without_an_answer() {
    let server = fast(SimConfig::default()).await;
    for fault in ["refuse", "refuse-late"] {
        assert!(ask(&server, stream(fault)).await.is_err());
    }
    let mut raw = TcpStream::connect(server.addr()).await.unwrap();
    raw.write_all(
        b"POST /echo HTTP/1.1\r\nhost: s\r\nx-sim-fault: refuse\r\ncontent-length: 9\r\n\r\n",
    )
    .await
    .unwrap();
    let error = raw.read(&mut [0; 64]).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    let state = until(&server, |state| state["in_flight"] == 0).await;
    assert_eq!(
        (&state["clients_gone"], &state["faults"]),
        (&json!(0), &json!(3))
    );
}

#[tokio::test]
async fn hang_never_answers() {
    let server = fast(SimConfig::default()).await;
    assert!(
        timeout(LONG_ENOUGH_TO_BE_SILENCE, ask(&server, stream("hang")))
            .await
            .is_err()
    );
    until(&server, |state| state["clients_gone"] == 1).await;
}

#[tokio::test]
async fn stall_sends_so_many_events_and_then_nothing() {
    let server = fast(SimConfig::default()).await;
    let mut body = send(&server, stream("stall:4")).await.unwrap().into_body();
    let mut text = String::new();
    while text.matches("\n\n").count() < 4 {
        let frame = body.frame().await.unwrap().unwrap();
        text.push_str(std::str::from_utf8(&frame.into_data().unwrap()).unwrap());
    }
    assert!(
        timeout(LONG_ENOUGH_TO_BE_SILENCE, body.frame())
            .await
            .is_err()
    );
    assert_eq!(text.matches("data: ").count(), 4);
    assert!(text.ends_with("\n\n"));
}

#[tokio::test]
async fn cut_breaks_the_stream_after_so_many_events() {
    let server = fast(SimConfig::default()).await;
    let reply = ask(&server, stream("cut:5")).await.unwrap();
    assert_eq!(
        (reply.status, reply.events().len(), reply.end),
        (200, 5, End::Broken)
    );
    let reply = ask(&server, stream("drop-after-header")).await.unwrap();
    assert_eq!(
        (reply.status, reply.body.len(), reply.end),
        (200, 0, End::Broken)
    );
    let state = until(&server, |state| {
        state["in_flight"] == 0 && state["running"] == 0
    })
    .await;
    assert_eq!(
        (&state["clients_gone"], &state["kv_used_tokens"]),
        (&json!(0), &json!(0))
    );
}

#[tokio::test]
async fn bad_chunk_breaks_the_framing_after_so_many_events() {
    let server = fast(SimConfig::default()).await;
    let reply = ask(&server, stream("bad-chunk:2")).await.unwrap();
    assert_eq!((reply.events().len(), reply.end), (2, End::Broken));
}

#[tokio::test]
async fn half_head_closes_in_the_middle_of_the_head() {
    let server = fast(SimConfig::default()).await;
    let mut raw = TcpStream::connect(server.addr()).await.unwrap();
    raw.write_all(
        b"POST /echo HTTP/1.1\r\nhost: s\r\nx-sim-fault: half-head\r\ncontent-length: 0\r\n\r\n",
    )
    .await
    .unwrap();
    let mut head = String::new();
    raw.read_to_string(&mut head).await.unwrap();
    assert_eq!(head, "HTTP/1.1 200 OK\r\ncontent-ty");
    assert!(ask(&server, stream("half-head")).await.is_err());
    until(&server, |state| state["in_flight"] == 0).await;
}

#[tokio::test]
async fn bad_json_spoils_one_event_and_the_others_follow() {
    let server = fast(SimConfig::default()).await;
    let good = ask(&server, stream("slow:0")).await.unwrap();
    let bad = ask(&server, stream("bad-json:2")).await.unwrap();
    assert_eq!(bad.end, End::Complete);
    let (good, bad) = (good.events(), bad.events());
    assert_eq!(good.len(), bad.len());
    for (n, (_, data)) in bad.iter().enumerate() {
        let whole = data == "[DONE]" || serde_json::from_str::<serde_json::Value>(data).is_ok();
        assert_eq!(whole, n != 2, "{n}: {data}");
    }
}

#[tokio::test]
async fn no_done_leaves_out_the_last_event_of_every_api() {
    let server = fast(SimConfig::default()).await;
    for (path, end) in [
        ("/v1/chat/completions", "[DONE]"),
        ("/v1/messages", "message_stop"),
        ("/v1/responses", "response.completed"),
    ] {
        let body = json!({"messages": [{"role": "user", "content": "hi"}], "input": "hi", "stream": true, "max_tokens": 4000});
        let send = async |fault| {
            ask(
                &server,
                request("POST", path, &[("x-sim-fault", fault)], body.to_string()),
            )
            .await
            .unwrap()
        };
        let (whole, cut) = (send("slow:0").await, send("no-done").await);
        assert_eq!((&whole.end, &cut.end), (&End::Complete, &End::Complete));
        assert_eq!(whole.events().len(), cut.events().len() + 1, "{path}");
        let (_, last) = whole.events().pop().unwrap();
        assert!(last.contains(end), "{path}: {last}");
    }
}

#[tokio::test]
async fn filtered_ends_a_text_for_the_reason_each_api_has() {
    let server = fast(SimConfig::default()).await;
    for (path, at, reason) in [
        (
            "/v1/chat/completions",
            "/choices/0/finish_reason",
            "content_filter",
        ),
        (
            "/v1/completions",
            "/choices/0/finish_reason",
            "content_filter",
        ),
        ("/v1/messages", "/stop_reason", "refusal"),
        (
            "/v1/responses",
            "/incomplete_details/reason",
            "content_filter",
        ),
    ] {
        let body = json!({"messages": [{"role": "user", "content": "hi"}], "input": "hi", "prompt": "hi", "max_tokens": 8});
        let answer = ask(
            &server,
            request(
                "POST",
                path,
                &[("x-sim-fault", "filtered")],
                body.to_string(),
            ),
        )
        .await
        .unwrap();
        assert_eq!(answer.json().pointer(at), Some(&json!(reason)), "{path}");
    }
}

#[tokio::test]
async fn an_answer_that_is_no_stream_breaks_in_its_middle() {
    let server = fast(SimConfig::default()).await;
    for fault in ["cut", "bad-chunk"] {
        let reply = whole(&server, fault).await.unwrap();
        assert_eq!(reply.end, End::Broken, "{fault}");
        assert!(
            !reply.body.is_empty()
                && serde_json::from_slice::<serde_json::Value>(&reply.body).is_err()
        );
    }
    let reply = whole(&server, "drop-after-header").await.unwrap();
    assert_eq!(
        (reply.status, reply.body.len(), reply.end),
        (200, 0, End::Broken)
    );
}

#[tokio::test]
async fn statuses_come_in_the_envelope_of_the_api_with_retry_after() {
    let server = fast(SimConfig::default()).await;
    let reply = whole(&server, "429:2").await.unwrap();
    assert_eq!((reply.status, reply.header("retry-after")), (429, "2"));
    assert_eq!(reply.json()["error"]["type"], "rate_limit_exceeded");
    let reply = whole(&server, "500").await.unwrap();
    assert_eq!(
        (reply.status, reply.json()["error"]["type"].as_str()),
        (500, Some("server_error"))
    );
    let anthropic = ask(
        &server,
        request("POST", "/v1/messages", &[("x-sim-fault", "529")], "{}"),
    )
    .await
    .unwrap();
    assert_eq!(
        (anthropic.status, anthropic.json()["error"]["type"].as_str()),
        (529, Some("overloaded_error"))
    );
    assert_eq!(whole(&server, "nonsense").await.unwrap().status, 400);
}

#[tokio::test]
async fn slow_waits_before_it_answers() {
    let server = fast(SimConfig::default()).await;
    let begun = Instant::now();
    assert_eq!(whole(&server, "slow:80").await.unwrap().status, 200);
    assert!(begun.elapsed() >= Duration::from_millis(80));
}

#[tokio::test]
async fn a_planted_fault_strikes_its_count_and_can_be_taken_back() {
    let server = fast(SimConfig::default()).await;
    let body = || json!({"prompt": "hello", "max_tokens": 1});
    assert_eq!(
        post(&server, "/sim/fault", json!({"kind": "503", "count": 2}))
            .await
            .status,
        200
    );
    for expected in [503, 503, 200] {
        assert_eq!(
            post(&server, "/v1/completions", body()).await.status,
            expected
        );
    }
    post(&server, "/sim/fault", json!({"kind": "500"})).await;
    assert_eq!(post(&server, "/v1/completions", body()).await.status, 500);
    assert_eq!(
        get(&server, "/health").await.status,
        200,
        "faults are for requests, not for health"
    );
    ask(&server, request("DELETE", "/sim/fault", &[], ""))
        .await
        .unwrap();
    assert_eq!(post(&server, "/v1/completions", body()).await.status, 200);
    assert_eq!(
        post(&server, "/sim/fault", json!({"kind": "boom"}))
            .await
            .status,
        400
    );
}

#[tokio::test]
async fn stale_answers_and_then_resets_the_next_request_on_the_same_connection() {
    let server = fast(SimConfig::default()).await;
    let stream = TcpStream::connect(server.addr()).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(hyper_util::rt::TokioIo::new(stream))
            .await
            .unwrap();
    tokio::spawn(connection);
    let first = sender
        .send_request(request("POST", "/echo", &[("x-sim-fault", "stale")], "a"))
        .await
        .unwrap();
    assert_eq!(first.status(), 200);
    first.into_body().collect().await.unwrap();
    sender.ready().await.unwrap();
    assert!(
        sender
            .send_request(request("POST", "/echo", &[], "b"))
            .await
            .is_err()
    );
    assert_eq!(
        ask(&server, request("POST", "/echo", &[], "b"))
            .await
            .unwrap()
            .status,
        200
    );
}

#[tokio::test]
async fn early_headers_come_before_the_first_token_and_others_with_it() {
    let rates = crate::sim::engine::Rates {
        prefill_rate: 1.0,
        ..Default::default()
    };
    let server = |early_headers| {
        SimServer::start(SimConfig {
            rates: rates.clone(),
            early_headers,
            ..SimConfig::default()
        })
    };
    let early = server(true).await.unwrap();
    let response = send(&early, stream("slow:0")).await.unwrap();
    assert_eq!(
        (response.status(), &early.state()["generated_tokens"]),
        (http::StatusCode::OK, &json!(0))
    );
    let late = server(false).await.unwrap();
    assert!(
        timeout(LONG_ENOUGH_TO_BE_SILENCE, send(&late, stream("slow:0")))
            .await
            .is_err()
    );
}

#[tokio::test]
async fn a_stopped_server_frees_its_address_and_breaks_its_connections() {
    let server = fast(SimConfig::default()).await;
    let listen = server.addr();
    let mut body = send(&server, stream("stall:1")).await.unwrap().into_body();
    body.frame().await.unwrap().unwrap();
    server.stop().await;
    assert!(body.frame().await.unwrap().is_err());
    assert!(TcpStream::connect(listen).await.is_err());
    let again = fast(SimConfig {
        listen,
        ..SimConfig::default()
    })
    .await;
    again.plant(Some("500".parse().unwrap()), Some(1));
    assert_eq!(get(&again, "/echo").await.status, 500);
    assert_eq!(get(&again, "/echo").await.status, 200);
    again.set_healthy(false);
    assert_eq!(get(&again, "/health").await.status, 503);
}
