//! Clients that leave while they wait, while their prompt is computed, and in mid-stream.

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};

use super::client::{request, send, until};
use crate::sim::engine::Rates;
use crate::sim::server::{SimConfig, SimServer};

fn chat(tokens: usize, output: u32) -> Request<Full<Bytes>> {
    let body = json!({
        "messages": [{"role": "user", "content": "x".repeat(tokens * 4)}],
        "max_tokens": output, "ignore_eos": true, "stream": true,
    });
    request("POST", "/v1/chat/completions", &[], body.to_string())
}

fn empty(state: &Value) -> bool {
    state["running"] == 0
        && state["waiting"] == 0
        && state["kv_used_tokens"] == 0
        && state["in_flight"] == 0
}

async fn one_at_a_time() -> SimServer {
    let rates = Rates {
        max_running: 1,
        ..Rates::default()
    };
    SimServer::start(SimConfig {
        rates,
        ..SimConfig::default()
    })
    .await
    .unwrap()
}

#[tokio::test]
async fn a_queued_request_leaves_the_queue_when_its_client_leaves() {
    let server = one_at_a_time().await;
    let running = send(&server, chat(10, 5000)).await.unwrap();
    let queued = tokio::spawn({
        let addr = server.addr();
        async move {
            let stream = tokio::net::TcpStream::connect(addr).await.unwrap();
            let (mut sender, connection) =
                hyper::client::conn::http1::handshake(hyper_util::rt::TokioIo::new(stream))
                    .await
                    .unwrap();
            tokio::join!(connection, sender.send_request(chat(10, 10)))
        }
    });
    until(&server, |state| state["waiting"] == 1).await;
    queued.abort();
    let state = until(&server, |state| state["waiting"] == 0).await;
    assert_eq!(
        (
            &state["cancelled"],
            &state["running"],
            &state["clients_gone"]
        ),
        (&json!(1), &json!(1), &json!(1))
    );
    drop(running);
    until(&server, empty).await;
}

#[tokio::test]
async fn a_prompt_being_computed_is_given_up_when_its_client_leaves() {
    let server = one_at_a_time().await;
    let asked = tokio::time::timeout(
        std::time::Duration::from_millis(50),
        send(&server, chat(16_000, 10)),
    )
    .await;
    assert!(asked.is_err(), "the prompt takes two seconds");
    let state = until(&server, empty).await;
    assert_eq!(
        (&state["cancelled"], &state["generated_tokens"]),
        (&json!(1), &json!(0))
    );
}

#[tokio::test]
async fn a_stream_frees_its_memory_when_its_client_leaves_and_the_moment_is_noted() {
    let server = one_at_a_time().await;
    let mut response = send(&server, chat(1000, 5000)).await.unwrap();
    response.body_mut().frame().await.unwrap().unwrap();
    let before = server.state();
    assert!(before["kv_used_tokens"].as_u64().unwrap() >= 1000);
    assert_eq!(before["last_client_gone_unix_ms"], Value::Null);
    drop(response);
    let after = until(&server, empty).await;
    assert_eq!(after["cancelled"], 1);
    let gone = after["last_client_gone_unix_ms"].as_f64().unwrap();
    assert!(
        gone >= before["now_unix_ms"].as_f64().unwrap()
            && gone <= after["now_unix_ms"].as_f64().unwrap()
    );
    until(&server, |state| state["open_connections"] == 0).await;
}
