//! Tollgate with a cache in front of two engines, `a` and `b`, and what is seen of an exchange from all sides.

use std::net::SocketAddr;

use http_body_util::BodyExt;
use hyper::HeaderMap;
use serde_json::{Value, json};
use tollgate::sim::{SimConfig, SimServer};

use crate::support::client;
use crate::support::gate::{Gate, pool};
use crate::support::until;

/// Every pool here: peers in turn, returning peers get their full share, retries at once.
const POOL: &str = "    balance: round_robin\n    slow_start: 0s\n";
const RETRY: &str = "    retry: { attempts: 3, base_backoff: 1ms }\n";
const CACHED: &str = "routes:\n  - { match: { path: \"/v1/*\" }, pool: pool, cache: answers }\n";
pub(super) const CACHE: &str = "caches:\n  answers: { ttl: 1h }\n";

/// Tokens of every answer.
pub(super) const TOKENS: u64 = 6;

pub(super) struct Bench {
    pub(super) gate: Gate,
    pub(super) a: SimServer,
    pub(super) b: SimServer,
    asked: usize,
}

/// What a client saw, and the log line about it.
pub(super) struct Seen {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: String,
    /// The connection broke before the body was whole.
    pub(super) broken: bool,
    pub(super) log: Value,
}

pub(super) async fn engine(config: SimConfig) -> SimServer {
    SimServer::start(SimConfig {
        time_scale: 100.0,
        ..config
    })
    .await
    .expect("starts")
}

impl Bench {
    /// `keys` are further keys of the pool.
    pub(super) async fn with(keys: &str) -> Self {
        Self::of(SimConfig::default(), &format!("{RETRY}{keys}"), CACHE).await
    }

    /// `keys` are further keys of the pool, `rest` is the rest of the file.
    pub(super) async fn of(config: SimConfig, keys: &str, rest: &str) -> Self {
        let named = |name: &str| SimConfig {
            name: name.to_owned(),
            ..config.clone()
        };
        let (a, b) = (engine(named("a")).await, engine(named("b")).await);
        let peers = [a.addr(), b.addr()];
        let file = format!("{}{CACHED}{rest}", pool(&peers, &format!("{POOL}{keys}")));
        Self {
            gate: Gate::start(&file).await,
            a,
            b,
            asked: 0,
        }
    }

    /// Strikes the next `count` requests that reach the engine `a`, which is the first to be asked.
    pub(super) fn strike_a(&self, fault: &str, count: u64) {
        self.a
            .plant(Some(fault.parse().expect("a fault")), Some(count));
    }

    /// Strikes the next `count` requests that reach the engine `b`.
    pub(super) fn strike_b(&self, fault: &str, count: u64) {
        self.b
            .plant(Some(fault.parse().expect("a fault")), Some(count));
    }

    /// Asks for a stream of [`TOKENS`] tokens.
    pub(super) async fn stream(&mut self, text: &str) -> Seen {
        self.ask(&streamed(text)).await
    }

    /// Sends a chat request and takes in all that comes of it.
    pub(super) async fn ask(&mut self, body: &[u8]) -> Seen {
        let (status, headers, body, broken) = exchange(self.gate.address, body).await;
        self.asked += 1;
        until("the log line is written", || async {
            self.gate.stdout().matches('\n').count() == self.asked
        })
        .await;
        let log = self.gate.stdout();
        let line = log.lines().last().expect("a line");
        Seen {
            status,
            headers,
            body,
            broken,
            log: serde_json::from_str(line).expect("JSON"),
        }
    }

    pub(super) async fn metric(&self, series: &str) -> f64 {
        self.gate.metric(series).await
    }

    /// Answers in the cache.
    pub(super) async fn cached(&self) -> f64 {
        self.metric("tollgate_cache_entries{cache=\"answers\"}")
            .await
    }

    /// Retries for this cause.
    pub(super) async fn retries(&self, cause: &str) -> f64 {
        self.metric(&format!(
            "tollgate_retries_total{{cause=\"{cause}\",pool=\"pool\"}}"
        ))
        .await
    }

    /// Answers that broke off for this cause.
    pub(super) async fn broken(&self, cause: &str) -> f64 {
        self.metric(&format!(
            "tollgate_broken_answers_total{{cause=\"{cause}\",pool=\"pool\"}}"
        ))
        .await
    }

    /// How Tollgate sees the engine: 0 is `a`, 1 is `b`.
    pub(super) async fn peer(&self, index: usize) -> Value {
        self.gate.status().await["pools"]["pool"]["peers"][index].clone()
    }

    /// State and failures of the engine that was struck, in words.
    pub(super) async fn after(&self) -> String {
        let peer = self.peer(0).await;
        let state = peer["state"].as_str().expect("a word");
        let in_use = match state {
            "unknown" | "healthy" => "in use",
            other => other,
        };
        match peer["failures"].as_u64().expect("a number") {
            0 => format!("{in_use}, no failure"),
            1 => format!("{in_use}, 1 failure"),
            more => format!("{in_use}, {more} failures"),
        }
    }

    /// Prints the line of a fault, after everything has come to rest.
    pub(super) async fn row(&self, number: u32, fault: &str, client: &str) {
        self.gate.is_at_rest().await;
        print(number, fault, client, &self.after().await);
    }
}

/// Prints a line of the table, and makes sure that the published one has it.
pub(super) fn print(number: u32, fault: &str, client: &str, after: &str) {
    let row = format!("| {number} | {fault} | {client} | {after} |");
    println!("{row}");
    let known = include_str!("../../../docs/faults.md");
    assert!(
        known.contains(&row),
        "docs/faults.md lacks this line: {row}"
    );
}

impl Seen {
    /// The whole answer of an engine: every token, the usage, the end.
    #[track_caller]
    pub(super) fn is_whole(&self) {
        assert_eq!((self.status, self.broken), (200, false), "{}", self.body);
        assert!(self.body.ends_with("data: [DONE]\n\n"), "{}", self.body);
        assert_eq!(self.log["gen_ai.usage.output_tokens"], TOKENS);
        assert_eq!(self.log.get("error_type"), None);
    }

    /// The events, without those that only say how it ended.
    pub(super) fn events(&self) -> Vec<&str> {
        self.body.split_terminator("\n\n").collect()
    }

    /// The error in the last event, or the whole body if that is one.
    pub(super) fn error(&self) -> Value {
        let last = self.events().pop().expect("an event");
        let json = last.strip_prefix("data: ").unwrap_or(last);
        let error: Value = serde_json::from_str(json).expect("JSON");
        error["error"].clone()
    }

    pub(super) fn attempts(&self) -> u64 {
        self.log["attempts"].as_u64().expect("a number")
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .get(name)
            .map(|value| value.to_str().expect("text"))
    }

    /// What a client can tell of it, in words.
    pub(super) fn words(&self) -> String {
        let end = if self.broken {
            "connection closed before the end".to_owned()
        } else if self.body.ends_with("data: [DONE]\n\n") {
            "whole stream".to_owned()
        } else if self.status >= 400 {
            format!(
                "`{}`",
                self.error()["code"]
                    .as_str()
                    .unwrap_or("the engine's own words")
            )
        } else if self.body.starts_with("data: ") {
            let events = self.events().len();
            match self.error()["type"].as_str() {
                Some(kind) => format!(
                    "{} events, then an error event `{kind}`, no `[DONE]`",
                    events - 1
                ),
                None => format!("{events} events, no `[DONE]`"),
            }
        } else {
            "whole answer".to_owned()
        };
        match self.attempts() {
            1 => format!("{} {end}", self.status),
            attempts => format!("{} {end}, {attempts} attempts", self.status),
        }
    }
}

/// A request for a stream of [`TOKENS`] tokens with usage.
pub(super) fn streamed(text: &str) -> Vec<u8> {
    client::chat(
        text,
        json!({ "stream": true, "stream_options": { "include_usage": true } }),
    )
}

/// Sends a chat request and reads the answer as far as it comes.
pub(super) async fn exchange(address: SocketAddr, body: &[u8]) -> (u16, HeaderMap, String, bool) {
    let headers = [
        ("content-type", "application/json"),
        ("x-sim-output-tokens", "6"),
        ("x-api-key", "key-a"),
    ];
    let answer = client::begin(address, "POST", "/v1/chat/completions", &headers, body)
        .await
        .expect("a head");
    let (head, mut body) = answer.into_parts();
    let (mut bytes, mut broken) = (Vec::new(), false);
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => bytes.extend(frame.into_data().unwrap_or_default()),
            Err(_) => broken = true,
        }
    }
    let text = String::from_utf8(bytes).expect("text");
    (head.status.as_u16(), head.headers, text, broken)
}
