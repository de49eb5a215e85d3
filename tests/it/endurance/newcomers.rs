//! Clients that come on new connections all the time.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use http_body_util::BodyExt;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::support::{client, until};

const PATH: &str = "/v1/chat/completions";
/// What all of them ask the mortal engines, whose answers depend on the question alone.
const QUESTION: &str = "what is endurance?";

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    made: AtomicUsize,
    seen: Mutex<BTreeMap<String, usize>>,
    wrong: Mutex<Vec<String>>,
}

/// Four clients, each with one request after the other, until told to stop.
pub(super) struct Newcomers {
    shared: Arc<Shared>,
    tasks: JoinSet<()>,
}

impl Newcomers {
    pub(super) async fn come(gate: SocketAddr, engine: SocketAddr) -> Self {
        let body = client::chat(QUESTION, json!({ "stream": true, "model": "mortal" }));
        let whole = client::post_chat(engine, &body, &[]).await.text();
        let whole: Arc<str> = content(&whole).into();
        assert!(!whole.is_empty());
        let shared: Arc<Shared> = Arc::default();
        let mut tasks = JoinSet::new();
        for start in 0..4 {
            let (shared, whole) = (Arc::clone(&shared), Arc::clone(&whole));
            tasks.spawn(async move {
                for turn in start.. {
                    if shared.stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let seen = match turn % 4 {
                        0 | 1 => living(gate).await,
                        2 => mortal(gate).await,
                        _ => mortal_stream(gate, &whole).await,
                    };
                    match seen {
                        Ok(what) => *shared.seen.lock().entry(what).or_default() += 1,
                        Err(why) => shared.wrong.lock().push(why),
                    }
                    shared.made.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        Self { shared, tasks }
    }

    /// Waits until so many more have been answered.
    pub(super) async fn more(&self, count: usize) {
        let until_now = self.made();
        until("more are answered", || async {
            self.made() >= until_now + count
        })
        .await;
    }

    pub(super) fn made(&self) -> usize {
        self.shared.made.load(Ordering::Relaxed)
    }

    /// How often they saw what.
    pub(super) async fn end(mut self) -> BTreeMap<String, usize> {
        self.shared.stop.store(true, Ordering::Relaxed);
        while let Some(task) = self.tasks.join_next().await {
            task.expect("runs");
        }
        assert_eq!(*self.shared.wrong.lock(), Vec::<String>::new());
        std::mem::take(&mut *self.shared.seen.lock())
    }
}

/// A peer that lives answers, always.
async fn living(gate: SocketAddr) -> Result<String, String> {
    let body = client::chat("hello", json!({ "model": "copied" }));
    match client::send(gate, "POST", PATH, &[], &body).await {
        Ok(answer) if answer.status == 200 => Ok("living".to_owned()),
        Ok(answer) => Err(format!("living: {} {}", answer.status, answer.text())),
        Err(error) => Err(format!("living: {error}")),
    }
}

/// Where one that dies was asked there is an answer or an error in words, and no closed connection.
async fn mortal(gate: SocketAddr) -> Result<String, String> {
    let body = client::chat(QUESTION, json!({ "model": "mortal" }));
    let answer = client::send(gate, "POST", PATH, &[], &body).await;
    let answer = answer.map_err(|error| format!("mortal: {error}"))?;
    let told = serde_json::from_slice::<Value>(&answer.body).is_ok_and(|body| {
        body["choices"].is_array() == (answer.status == 200)
            && body["error"].is_object() == (answer.status != 200)
    });
    match told {
        true => Ok(format!("mortal {}", answer.status.as_u16())),
        false => Err(format!("mortal: {} {}", answer.status, answer.text())),
    }
}

/// A stream is whole or says that it is not.
async fn mortal_stream(gate: SocketAddr, whole: &str) -> Result<String, String> {
    let body = client::chat(QUESTION, json!({ "stream": true, "model": "mortal" }));
    let answer = client::begin(gate, "POST", PATH, &[], &body).await;
    let answer = answer.map_err(|error| format!("mortal stream: {error}"))?;
    let status = answer.status();
    if status != 200 {
        return Ok(format!("mortal stream {}", status.as_u16()));
    }
    let text = match answer.into_body().collect().await {
        Ok(body) => String::from_utf8_lossy(&body.to_bytes()).into_owned(),
        Err(error) => return Err(format!("mortal stream: {error}")),
    };
    let (got, done) = (content(&text), text.ends_with("data: [DONE]\n\n"));
    match text.contains("\"error\":") {
        false if done && got == whole => Ok("mortal stream whole".to_owned()),
        true if !done && whole.starts_with(&got) => Ok("mortal stream told".to_owned()),
        _ => Err(format!("mortal stream: {text}")),
    }
}

/// What the events of a chat stream say together.
fn content(stream: &str) -> String {
    let events = stream
        .lines()
        .filter_map(|line| line.strip_prefix("data: "));
    let events = events.filter_map(|event| serde_json::from_str::<Value>(event).ok());
    events
        .filter_map(|event| Some(event["choices"][0]["delta"]["content"].as_str()?.to_owned()))
        .collect()
}
