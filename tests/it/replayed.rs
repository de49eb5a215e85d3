//! Recorded answers, stored and given again as they came and in the other form, as the official clients read them.

use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;

use serde_json::{Value, json};
use tokio::process::Command;

use crate::support::data;
use crate::support::gate::Gate;
use crate::support::peer::{Peer, Wire};
use crate::support::recorded::{Exchange, read_set};

const SETS: [&str; 4] = [
    "pydantic_ai_cassettes",
    "vercel_ai_recordings",
    "envoy_aigw_openai_cassettes",
    "anthropic_sdk_streams",
];

/// What an answer is, as the clients name it; `None` for those of APIs that Tollgate does not know.
fn endpoint(exchange: &Exchange) -> Option<&'static str> {
    let text = std::str::from_utf8(&exchange.answer).ok()?;
    let first = match exchange.streamed() {
        true => text.lines().find_map(|line| line.strip_prefix("data:"))?,
        false => text,
    };
    let first: Value = serde_json::from_str(first).ok()?;
    let (object, kind) = (first["object"].as_str(), first["type"].as_str());
    match (object, kind) {
        (_, Some("message" | "message_start")) => Some("messages"),
        (Some("response"), _) => Some("responses"),
        (_, Some(kind)) if kind.starts_with("response.") => Some("responses"),
        (Some("text_completion"), _) => None,
        _ if first["choices"].is_array() => Some("chat"),
        _ => None,
    }
}

/// Whether it holds one answer. Some files of events hold two, one behind the other.
fn is_one(exchange: &Exchange) -> bool {
    let begins = |event: &&[u8]| {
        let event = String::from_utf8_lossy(event);
        event.contains("\"type\":\"message_start\"")
            || event.contains("\"type\":\"response.created\"")
    };
    !exchange.streamed() || exchange.events().into_iter().filter(begins).count() <= 1
}

/// Gives events that were recorded bare what servers send around them.
fn framed(mut exchange: Exchange) -> Exchange {
    if !exchange.name.contains(".chunks.") {
        return exchange;
    }
    let mut framed = Vec::new();
    for event in exchange.events() {
        let data = event.strip_prefix(b"data: ").unwrap_or(event);
        let data: Value = serde_json::from_slice(data).unwrap_or_default();
        if let Some(kind) = data["type"].as_str() {
            framed.extend_from_slice(format!("event: {kind}\n").as_bytes());
        }
        framed.extend_from_slice(event);
    }
    if endpoint(&exchange) == Some("chat") {
        framed.extend_from_slice(b"data: [DONE]\n\n");
    }
    exchange.answer = framed;
    exchange
}

/// The request that recorded clients sent, with what every client must send.
fn request(exchange: &Exchange) -> Value {
    let mut request: Value = serde_json::from_slice(&exchange.request).unwrap_or(json!({}));
    if let Some(fields) = request.as_object_mut() {
        fields.entry("model").or_insert("m".into());
        fields.entry("messages").or_insert(json!([]));
        fields.remove("stream");
    }
    request
}

/// A peer that gives each request the recorded answer that its field `x_cell` names.
async fn peer(exchanges: Arc<Vec<Exchange>>) -> Peer {
    Peer::start(move |mut wire: Wire, _| {
        let exchanges = Arc::clone(&exchanges);
        async move {
            while let Some(request) = wire.request().await? {
                let asked: Value = serde_json::from_slice(&request.body)?;
                let cell = asked["x_cell"]
                    .as_u64()
                    .and_then(|cell| usize::try_from(cell).ok());
                let exchange = cell.and_then(|cell| exchanges.get(cell));
                let exchange = exchange.ok_or(std::io::ErrorKind::InvalidData)?;
                let head = format!(
                    "HTTP/1.1 {} Recorded\r\ncontent-type: {}\r\n",
                    exchange.status, exchange.content_type
                );
                if exchange.streamed() {
                    wire.raw(format!("{head}transfer-encoding: chunked\r\n\r\n"))
                        .await?;
                    for event in exchange.events() {
                        wire.chunk(event).await?;
                    }
                    wire.raw("0\r\n\r\n").await?;
                } else {
                    let length = exchange.answer.len();
                    wire.raw(format!("{head}content-length: {length}\r\n\r\n"))
                        .await?;
                    wire.raw(&exchange.answer).await?;
                }
            }
            Ok(())
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn recorded_answers_mean_the_same_to_the_official_clients_in_every_form() {
    let Some(packages) = std::env::var_os("TOLLGATE_PYTHON") else {
        eprintln!(
            "skipped: TOLLGATE_PYTHON names no folder with the official clients (scripts/test sets it up)"
        );
        return;
    };
    let folders: Vec<_> = SETS.into_iter().filter_map(data).collect();
    if folders.is_empty() {
        return;
    }
    let all = folders.iter().flat_map(|folder| read_set(folder));
    let all: Vec<_> = all
        .filter(|exchange| exchange.status == 200 && endpoint(exchange).is_some())
        .filter(is_one)
        .map(framed)
        .collect();
    let all = Arc::new(all);
    let peer = peer(Arc::clone(&all)).await;
    let cached = "routes:\n  - { match: { path: \"/v1/*\" }, pool: pool, cache: answers }\ncaches:\n  answers: { exact: { max_entry: 16MiB } }\n";
    let gate = Gate::before(&[peer.address], cached).await;
    let mut lines = String::new();
    for (cell, exchange) in all.iter().enumerate() {
        let case = json!({
            "cell": cell, "name": exchange.name, "endpoint": endpoint(exchange),
            "request": request(exchange), "streamed": exchange.streamed(),
        });
        writeln!(lines, "{case}").expect("to a string");
    }
    let cases = gate.folder().join("cases.jsonl");
    fs::write(&cases, lines).expect("written");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/replayed.py");
    let output = Command::new("python3")
        .arg(script)
        .env("PYTHONPATH", packages)
        .env("BASE_URL", format!("http://{}", gate.address))
        .env("CASES", &cases)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .expect("python3 runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    println!("{said}");
    assert!(
        output.status.success() && said.contains("kept their meaning"),
        "{said}"
    );
    gate.is_at_rest().await;
}
