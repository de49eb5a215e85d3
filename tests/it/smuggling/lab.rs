//! A gate before a peer that keeps all it gets, and cases sent through it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::judge::{Outcome, judge};
use crate::support::gate::{Gate, pool};
use crate::support::raw::LONG;
use crate::support::strict::{Broken, Message, Reader};

/// Connections at once.
const LANES: usize = 16;
/// After it, a connection on which nothing comes is closed from this side, so that an unfinished request ends.
const PATIENCE: Duration = Duration::from_secs(2);
/// A route whose bodies stream, and one whose bodies are read whole first.
const PATHS: [&str; 2] = ["/streamed", "/v1/chat/completions"];

/// What may become of a request.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum May {
    /// Only a refusal, or a closed connection.
    BeRefused,
    /// A refusal, or one request with this body.
    ArriveWith(Vec<u8>),
    /// One request with this body, and nothing else.
    OnlyArriveWith(Vec<u8>),
}

/// A request under test. `{id}` in its head stands for its number.
#[derive(Clone)]
pub(super) struct Case {
    pub(super) name: String,
    pub(super) bytes: Vec<u8>,
    pub(super) may: May,
}

/// What a peer got: a request, or bytes that can be read in more than one way.
type Got = Arc<Mutex<Vec<Result<Message, String>>>>;

pub(super) struct Lab {
    gate: Gate,
    got: Got,
    _tasks: JoinSet<()>,
}

impl Lab {
    pub(super) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("binds");
        let address = listener.local_addr().expect("bound");
        let got = Got::default();
        let mut tasks = JoinSet::new();
        let kept = Arc::clone(&got);
        tasks.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(record(stream, Arc::clone(&kept)));
            }
        });
        let once = "    retry: { attempts: 1 }\n    eject: off\n";
        Self {
            gate: Gate::start(&pool(&[address], once)).await,
            got,
            _tasks: tasks,
        }
    }

    /// Runs all cases on both paths; prints how often each outcome was seen; the wrong ones.
    pub(super) async fn run(&self, title: &str, cases: Vec<Case>) -> Vec<String> {
        let cases: Arc<Vec<Case>> = Arc::new(
            PATHS
                .iter()
                .flat_map(|path| cases.iter().filter_map(|case| on_path(case, path)))
                .collect(),
        );
        let mut lanes = JoinSet::new();
        for lane in 0..LANES {
            let (cases, gate) = (Arc::clone(&cases), self.gate.address);
            lanes.spawn(async move {
                let mut said = Vec::new();
                for id in (lane..cases.len()).step_by(LANES) {
                    said.push((id, send(gate, id, &cases[id]).await));
                }
                said
            });
        }
        let said: BTreeMap<usize, Vec<u8>> = lanes.join_all().await.into_iter().flatten().collect();
        self.gate.is_at_rest().await;
        let got = self.got.lock().expect("not poisoned");
        let mut counts: BTreeMap<Outcome, usize> = BTreeMap::new();
        let mut wrong = Vec::new();
        for (id, case) in cases.iter().enumerate() {
            let outcome = judge(id, case, &said[&id], &got);
            if let Outcome::Wrong(why) = &outcome {
                wrong.push(format!("{}: {why}", case.name));
                *counts.entry(Outcome::Wrong(String::new())).or_default() += 1;
            } else {
                *counts.entry(outcome).or_default() += 1;
            }
        }
        let unread = got.iter().filter_map(|one| one.as_ref().err());
        wrong.extend(unread.map(|what| format!("the peer got what it cannot read: {what}")));
        println!("{title}: {} requests", cases.len());
        for (outcome, count) in counts {
            println!("  {count:5}  {outcome:?}");
        }
        wrong
    }
}

/// The same case on another path, if its request line leaves that open.
fn on_path(case: &Case, path: &str) -> Option<Case> {
    let Some(rest) = case.bytes.strip_prefix(b"POST / ") else {
        return (path == PATHS[0]).then(|| case.clone());
    };
    Some(Case {
        name: format!("{} on {path}", case.name),
        bytes: [format!("POST {path}?case={{id}} ").as_bytes(), rest].concat(),
        may: case.may.clone(),
    })
}

/// Reads requests strictly and keeps them; answers each.
async fn record(stream: TcpStream, got: Got) {
    let mut wire = Reader::new(stream);
    loop {
        let one = match wire.request().await {
            Ok(None) | Err(Broken::Cut(_)) => return,
            Ok(Some(request)) => Ok(request),
            Err(Broken::Unclear(what)) => Err(what),
        };
        let readable = one.is_ok();
        got.lock().expect("not poisoned").push(one);
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
        if wire.get_mut().write_all(answer).await.is_err() || !readable {
            return;
        }
    }
}

fn numbered(bytes: &[u8], id: usize) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = bytes;
    while let Some(at) = rest.windows(4).position(|four| four == b"{id}") {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(id.to_string().as_bytes());
        rest = &rest[at + 4..];
    }
    out.extend_from_slice(rest);
    out
}

/// Sends a case and a second request behind it; all that comes back.
async fn send(gate: SocketAddr, id: usize, case: &Case) -> Vec<u8> {
    let mut stream = TcpStream::connect(gate).await.expect("connects");
    let mut bytes = numbered(&case.bytes, id);
    bytes.extend_from_slice(
        format!("GET /second?case={id} HTTP/1.1\r\nhost: t\r\nconnection: close\r\n\r\n")
            .as_bytes(),
    );
    // The gate may close before it has all.
    let _ = stream.write_all(&bytes).await;
    let mut all = Vec::new();
    let mut part = [0; 4096];
    let mut shut = false;
    loop {
        match timeout(if shut { LONG } else { PATIENCE }, stream.read(&mut part)).await {
            Ok(Ok(0) | Err(_)) => return all,
            Ok(Ok(read)) => all.extend_from_slice(&part[..read]),
            Err(_) if shut => panic!("{}: the connection is never closed", case.name),
            Err(_) => {
                shut = true;
                let _ = stream.shutdown().await;
            }
        }
    }
}
