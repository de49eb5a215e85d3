//! A gate before a peer whose every answer is another one, so that an answer given twice can be told.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use tokio::sync::watch;

use crate::support::client::{Answer, send};
use crate::support::gate::Gate;
use crate::support::peer::{Peer, Wire};

pub(super) const CHAT: &str = "/v1/chat/completions";

/// That there are three keys: `a` and `b` of tenant `t1`, `c` of `t2`. Each is `key-` and its name.
pub(super) const KEYS: &str = "three";

pub(super) struct Bench {
    pub(super) gate: Gate,
    hold: watch::Sender<usize>,
    _peer: Peer,
}

impl Bench {
    /// One route with one cache.
    pub(super) async fn start(cache: &str, keys: &str) -> Self {
        Self::with(&rest(cache, keys)).await
    }

    /// A pool and what else the configuration has.
    pub(super) async fn with(rest: &str) -> Self {
        let (hold, held) = watch::channel(0);
        let peer = peer(held).await;
        let gate = Gate::before(&[peer.address], rest).await;
        Self {
            gate,
            hold,
            _peer: peer,
        }
    }

    /// No answer leaves the peer before so many requests have reached it.
    pub(super) fn hold(&self, requests: usize) {
        self.hold.send(requests).expect("the peer listens");
    }

    /// Asks with a key.
    pub(super) async fn ask(&self, key: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let key = format!("Bearer {key}");
        let mut all = vec![("authorization", key.as_str())];
        all.extend_from_slice(headers);
        let got = send(self.gate.address, "POST", CHAT, &all, body).await;
        got.expect("an answer")
    }
}

/// One route with one cache, as the configuration has it.
pub(super) fn rest(cache: &str, keys: &str) -> String {
    let keys = match keys {
        "" => String::new(),
        _ => self::keys(&[
            ("a", "key-a", "t1"),
            ("b", "key-b", "t1"),
            ("c", "key-c", "t2"),
        ]),
    };
    format!(
        "routes:\n  - {{ match: {{ path: \"/v1/*\" }}, pool: pool, cache: answers }}\ncaches:\n  answers: {cache}\n{keys}"
    )
}

/// Keys by name, secret and tenant.
pub(super) fn keys(keys: &[(&str, &str, &str)]) -> String {
    let keys = keys.iter().map(|(name, secret, tenant)| {
        let hash = crate::support::peer::sha256(secret.as_bytes());
        format!("  - {{ name: {name}, sha256: \"{hash}\", tenant: {tenant} }}\n")
    });
    format!("keys:\n{}", keys.collect::<String>())
}

/// What tells one answer from every other.
pub(super) fn marker(answer: &Answer) -> String {
    let text = answer.text();
    let from = text
        .find("<<")
        .unwrap_or_else(|| panic!("{} {text}", answer.status));
    let to = text[from..].find(">>").expect("its end");
    text[from..from + to + 2].to_owned()
}

/// Whether it is one of these.
pub(super) fn leaks(answer: &Answer, secrets: &[String]) -> bool {
    let text = answer.text();
    secrets.iter().any(|secret| text.contains(secret))
}

async fn peer(held: watch::Receiver<usize>) -> Peer {
    let calls = Arc::new(AtomicUsize::new(0));
    let (reached, reaches) = watch::channel(0);
    let reached = Arc::new(reached);
    Peer::start(move |mut wire: Wire, _| {
        let (calls, held) = (Arc::clone(&calls), held.clone());
        let (reached, mut reaches) = (Arc::clone(&reached), reaches.clone());
        async move {
            while let Some(request) = wire.request().await? {
                let call = calls.fetch_add(1, Ordering::SeqCst) + 1;
                reached.send_modify(|reached| *reached += 1);
                let wanted = *held.borrow();
                let _ = reaches.wait_for(|reached| *reached >= wanted).await;
                let text = format!("<<{call}>>");
                let path = request.line.split(' ').nth(1).unwrap_or_default();
                let asked: Value = serde_json::from_slice(&request.body).unwrap_or_default();
                if asked["stream"] == true {
                    wire.events().await?;
                    wire.token(&text).await?;
                    wire.chunk("data: {\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n").await?;
                    wire.chunk("data: [DONE]\n\n").await?;
                    wire.raw("0\r\n\r\n").await?;
                } else {
                    wire.json(200, &answer(path, &text, &asked).to_string()).await?;
                }
            }
            Ok(())
        }
    })
    .await
}

fn answer(path: &str, text: &str, asked: &Value) -> Value {
    let usage = json!({ "prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11, "input_tokens": 9, "output_tokens": 2 });
    match path.split('?').next() {
        Some("/v1/messages") => json!({
            "id": "m1", "type": "message", "role": "assistant", "model": "m", "stop_reason": "end_turn",
            "content": [{ "type": "text", "text": text }], "usage": usage,
        }),
        Some("/v1/responses") => json!({
            "id": "r1", "object": "response", "status": "completed", "model": "m", "usage": usage,
            "output": [{ "type": "message", "role": "assistant", "content": [{ "type": "output_text", "text": text }] }],
        }),
        Some("/v1/completions") => json!({
            "id": "c1", "object": "text_completion", "created": 1, "model": "m", "usage": usage,
            "choices": [{ "index": 0, "text": text, "finish_reason": "stop" }],
        }),
        Some(CHAT) => json!({
            "id": "c1", "object": "chat.completion", "created": 1, "model": asked["model"], "usage": usage,
            "choices": [{ "index": 0, "message": { "role": "assistant", "content": text }, "finish_reason": "stop" }],
        }),
        other => json!({ "path": other, "text": text }),
    }
}
