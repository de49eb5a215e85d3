//! Streams pass event by event, and tell the truth when they break.

use std::sync::Arc;

use http_body_util::BodyExt;
use serde_json::json;
use tokio::sync::Notify;

use crate::support::client;
use crate::support::gate::{Gate, pool};
use crate::support::peer::{Peer, Wire};

fn streaming() -> Vec<u8> {
    client::chat("hello", json!({ "stream": true }))
}

#[tokio::test]
async fn each_event_reaches_the_client_before_the_next_one_exists() {
    let go_on = Arc::new(Notify::new());
    let waiting = Arc::clone(&go_on);
    let peer = Peer::start(move |mut wire: Wire, _| {
        let waiting = Arc::clone(&waiting);
        async move {
            wire.request().await?;
            wire.events().await?;
            for i in 0..5 {
                wire.token(&format!("w{i}")).await?;
                waiting.notified().await;
            }
            wire.chunk("data: [DONE]\n\n").await?;
            wire.raw("0\r\n\r\n").await
        }
    })
    .await;
    let gate = Gate::before(&[peer.address], "").await;
    let answer = client::begin(
        gate.address,
        "POST",
        "/v1/chat/completions",
        &[],
        &streaming(),
    )
    .await
    .expect("begins");
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    let mut body = answer.into_body();
    let mut all = Vec::new();
    for i in 0..5 {
        let event = body
            .frame()
            .await
            .expect("an event")
            .expect("unbroken")
            .into_data()
            .expect("data");
        assert!(
            String::from_utf8_lossy(&event).contains(&format!("w{i}")),
            "one event, as it came"
        );
        all.extend_from_slice(&event);
        go_on.notify_one();
    }
    let rest = body.collect().await.expect("ends").to_bytes();
    assert_eq!(rest, "data: [DONE]\n\n");
    gate.is_at_rest().await;
}

#[tokio::test]
async fn events_split_anywhere_arrive_byte_for_byte() {
    let text =
        "data: {\"a\":\"ü\"}\r\n\r\n: comment\n\nevent: x\ndata: 1\ndata: 2\n\ndata: [DONE]\n\n";
    let peer = Peer::start(move |mut wire: Wire, _| async move {
        wire.request().await?;
        wire.events().await?;
        for byte in text.as_bytes() {
            wire.chunk([*byte]).await?;
        }
        wire.raw("0\r\n\r\n").await
    })
    .await;
    let gate = Gate::before(&[peer.address], "").await;
    let answer = client::post_chat(gate.address, &streaming(), &[]).await;
    assert_eq!(answer.text(), text);
}

#[tokio::test]
async fn a_peer_that_dies_in_mid_stream_ends_in_an_error_event_and_no_done() {
    for half_event in [false, true] {
        let peer = Peer::start(move |mut wire: Wire, _| async move {
            wire.request().await?;
            wire.events().await?;
            wire.token("one").await?;
            if half_event {
                wire.chunk("data: {\"half").await?;
            }
            Ok(())
        })
        .await;
        let gate = Gate::before(&[peer.address], "").await;
        let text = client::post_chat(gate.address, &streaming(), &[])
            .await
            .text();
        let last = text.trim_end().rsplit("\n\n").next().expect("an event");
        let error: serde_json::Value =
            serde_json::from_str(last.strip_prefix("data: ").expect("an event of its own"))
                .expect("JSON");
        assert_eq!(error["error"]["type"], "upstream_error", "{text}");
        assert!(!text.contains("[DONE]"));
        gate.is_at_rest().await;
        assert_eq!(
            gate.metric("tollgate_broken_answers_total{cause=\"broken\",pool=\"pool\"}")
                .await,
            1.0
        );
    }
}

#[tokio::test]
async fn an_anthropic_stream_that_breaks_ends_in_anthropics_error_event() {
    let peer = Peer::start(|mut wire: Wire, _| async move {
        wire.request().await?;
        wire.events().await?;
        wire.chunk("event: ping\ndata: {\"type\":\"ping\"}\n\n")
            .await
    })
    .await;
    let gate = Gate::before(&[peer.address], "").await;
    let text = client::send(gate.address, "POST", "/v1/messages", &[], &streaming())
        .await
        .expect("an answer")
        .text();
    let (_, error) = text
        .split_once("event: error\ndata: ")
        .expect("an error event");
    let error: serde_json::Value = serde_json::from_str(error.trim_end()).expect("JSON");
    assert_eq!(error["type"], "error");
    assert!(!text.contains("message_stop"));
}

#[tokio::test]
async fn an_answer_with_a_length_that_breaks_off_is_cut_not_completed() {
    let peer = Peer::start(|mut wire: Wire, _| async move {
        wire.request().await?;
        wire.raw("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{\"half\":").await
    })
    .await;
    let gate = Gate::before(&[peer.address], "").await;
    let answer = client::begin(
        gate.address,
        "POST",
        "/v1/chat/completions",
        &[],
        &streaming(),
    )
    .await;
    let broken = match answer {
        Ok(answer) => answer.into_body().collect().await.is_err(),
        Err(_) => true,
    };
    assert!(broken, "a cut answer must not look complete");
    gate.is_at_rest().await;
}

#[tokio::test]
async fn silence_before_the_first_byte_and_between_chunks_have_limits_of_their_own() {
    let peer = Peer::start(|mut wire: Wire, number| async move {
        wire.request().await?;
        if number > 0 {
            wire.events().await?;
            wire.token("one").await?;
        }
        std::future::pending().await
    })
    .await;
    let config = pool(
        &[peer.address],
        "    eject: off\n    timeouts: { first_byte: 200ms, between_chunks: 100ms }\n",
    );
    let gate = Gate::start(&config).await;
    let silent = client::post_chat(gate.address, &streaming(), &[]).await;
    assert_eq!(silent.status, 504);
    assert_eq!(silent.json()["error"]["type"], "timeout");
    let stalled = client::post_chat(gate.address, &streaming(), &[]).await;
    assert_eq!(stalled.status, 200);
    assert!(stalled.text().contains("\"timeout\""), "{}", stalled.text());
    gate.is_at_rest().await;
}

#[tokio::test]
async fn the_total_time_ends_a_stream_that_never_ends() {
    let peer = Peer::start(|mut wire: Wire, _| async move {
        wire.request().await?;
        wire.events().await?;
        loop {
            wire.token("on and on ").await?;
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    })
    .await;
    let config = pool(&[peer.address], "    timeouts: { total: 300ms }\n");
    let gate = Gate::start(&config).await;
    let text = client::post_chat(gate.address, &streaming(), &[])
        .await
        .text();
    assert!(
        text.contains("on and on") && text.contains("\"timeout\""),
        "{text}"
    );
    gate.is_at_rest().await;
}

#[tokio::test]
async fn events_that_come_together_with_broken_framing_are_passed_on_before_the_error() {
    let peer = Peer::start(|mut wire: Wire, _| async move {
        wire.request().await?;
        let event = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"x\"}}]}\n\n";
        let chunk = format!("{:x}\r\n{event}\r\n", event.len());
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
        wire.raw(format!("{head}{chunk}{chunk}no chunk\r\n")).await?;
        std::future::pending().await
    })
    .await;
    let gate = Gate::before(&[peer.address], "").await;
    let text = client::post_chat(gate.address, &streaming(), &[])
        .await
        .text();
    assert_eq!(text.matches("\"content\":\"x\"").count(), 2, "{text}");
    assert!(text.contains("\"upstream_error\""), "{text}");
    assert!(!text.contains("no chunk"), "{text}");
    gate.is_at_rest().await;
}
