//! kill -9 at any moment under write load: what comes back is what was written, and what was acknowledged comes back.
//!
//! `scripts/kill-cache --times 1000` runs these a thousand times each; by default they run a few times.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::Mutex;
use serde_json::json;
use tokio::task::JoinSet;
use tollgate::cache::store::{Blobs, Sink, State, Store, Vector};
use tollgate::cache::{Answer, Entry, Identity, Origin};

use super::{asked, config, deserved, knowing_peer, settled, store};
use crate::support::client;
use crate::support::gate::Gate;

/// How often.
fn times() -> usize {
    let said = std::env::var("TOLLGATE_KILLS").ok();
    said.and_then(|times| times.parse().ok()).unwrap_or(4)
}

/// Kills after which a file is begun anew: each start reads back all that came before.
const KILLS_A_FILE: usize = 50;

/// What was asked of one file so far.
#[derive(Debug, Default)]
struct Asked {
    next: AtomicUsize,
    /// Whose removal the admin API has acknowledged, and that were not asked again since.
    removed: Mutex<Vec<String>>,
}

/// Asks questions nobody asked before, one after the other, until nobody answers, and has some of the answers removed.
fn load(gate: &Gate, asked: &Arc<Asked>) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    for task in 0..4 {
        let (address, admin, asked) = (gate.address, gate.admin, Arc::clone(asked));
        tasks.spawn(async move {
            loop {
                let question = format!("question {}", asked.next.fetch_add(1, Ordering::Relaxed));
                if ask(address, &question).await.is_none() {
                    return;
                }
                if task == 0 {
                    let Some(stored) = ask(address, &question).await else {
                        return;
                    };
                    let Some(id) = stored.header("x-cache-key") else {
                        continue;
                    };
                    let body = json!({ "id": id, "dry_run": false }).to_string();
                    let path = "/api/v1/cache/purge";
                    match client::send(admin, "POST", path, &[], body.as_bytes()).await {
                        Ok(done) if done.status == 200 => asked.removed.lock().push(question),
                        Ok(refused) => panic!("{}", refused.text()),
                        Err(_) => return,
                    }
                }
            }
        });
    }
    tasks
}

/// The answer, which is right; `None` when nobody answers.
async fn ask(address: SocketAddr, question: &str) -> Option<client::Answer> {
    let body = client::chat(question, serde_json::Value::Null);
    let headers = [("content-type", "application/json")];
    let path = "/v1/chat/completions";
    let answer = client::send(address, "POST", path, &headers, &body).await;
    let answer = answer.ok()?;
    let said = answer.json()["choices"][0]["message"]["content"].clone();
    assert_eq!(said, deserved(question));
    Some(answer)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whenever_it_is_killed_no_damaged_answer_is_served_and_none_that_was_removed() {
    let peer = knowing_peer().await;
    let mut gate = Gate::start(&config(&peer, "")).await;
    let mut so_far = Arc::new(Asked::default());
    let (mut hits, mut removals) = (0, 0);
    for kill in 0..times() {
        if kill > 0 && kill % KILLS_A_FILE == 0 {
            eprintln!("{kill} kills, {hits} answers came back, {removals} removals held");
            gate = Gate::start(&config(&peer, "")).await;
            so_far = Arc::default();
        }
        let mut tasks = load(&gate, &so_far);
        tokio::time::sleep(Duration::from_millis(fastrand::u64(20..400))).await;
        gate.kill();
        while let Some(ended) = tasks.join_next().await {
            ended.expect("every answer was right");
        }
        gate.start_again().await;
        settled(&gate).await;
        let store = store(&gate).await;
        assert_eq!((&store["damaged"], &store["lost"]), (&0.into(), &0.into()));
        let removed = std::mem::take(&mut *so_far.removed.lock());
        removals += removed.len();
        for question in removed {
            assert_eq!(asked(&gate, &question).await, "MISS", "{question}");
        }
        let asked_by_now = so_far.next.load(Ordering::Relaxed);
        for _ in 0..20.min(asked_by_now) {
            let question = format!("question {}", fastrand::usize(..asked_by_now));
            hits += usize::from(asked(&gate, &question).await == "HIT");
        }
    }
    eprintln!("{hits} answers came back, {removals} removals held");
    assert!(hits > 0 && removals > 0, "{hits} {removals}");
}

/// What a store fills when it is looked at.
#[derive(Debug, Default)]
struct Seen {
    entries: Mutex<HashMap<[u8; 32], Entry>>,
    filled: Mutex<bool>,
}

impl Sink for Seen {
    fn opened(&self, _: &Blobs) {}

    fn fill(&self, entry: Entry, _: Instant) -> Vec<Arc<Entry>> {
        self.entries.lock().insert(entry.exact, entry);
        Vec::new()
    }

    fn index(&self, _: Vec<([u8; 32], Vector)>) -> Vec<([u8; 32], Vector)> {
        Vec::new()
    }

    fn gone(&self, _: &[u8; 32]) {}

    fn filled(&self) {
        *self.filled.lock() = true;
    }
}

fn entry(n: u64) -> Arc<Entry> {
    let exact = key(n);
    let identity = Identity {
        exact,
        compat: [0; 32],
        question: None,
    };
    let answer = Answer {
        endpoint: "chat",
        streamed: false,
        content_type: "application/json".into(),
        body: Bytes::from(deserved(&n.to_string())),
        input_tokens: 1,
        output_tokens: 1,
        model: "m".into(),
    };
    let ttl = Duration::from_secs(3600);
    let origin = Origin::default();
    Arc::new(Entry::new(&identity, answer, origin, ttl, Instant::now()))
}

fn key(n: u64) -> [u8; 32] {
    let mut key = [7; 32];
    key[..8].copy_from_slice(&n.to_be_bytes());
    // Spread, as real keys are.
    key.rotate_left(usize::from(n.to_le_bytes()[0]) % 32);
    key
}

/// Writes for ever: entries, small values and removals; says what it was told is done.
#[tokio::test]
#[ignore = "runs in a process of its own, to be killed"]
async fn writer() {
    let Some(path) = std::env::var_os("TOLLGATE_KILL_STORE") else {
        return;
    };
    let from: u64 = std::env::var("TOLLGATE_KILL_FROM")
        .expect("given")
        .parse()
        .expect("a number");
    let sink = Arc::new(Seen::default());
    let store = Store::start(Path::new(&path), 1 << 30, sink).expect("a thread");
    assert!(store.settled().await.is_open());
    for n in from.. {
        for part in 0..10 {
            store.put(&entry(n * 10 + part), None);
        }
        let small = n.to_le_bytes();
        store.put_blob_durably("n", &small).await.expect("written");
        say(&format!("blob {n}"));
        let gone = n * 10 + 3;
        store.remove(vec![key(gone)]).await.expect("removed");
        say(&format!("gone {gone}"));
    }
}

fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").expect("heard");
    out.flush().expect("heard");
}

/// What was acknowledged.
#[derive(Debug, Default)]
struct Acknowledged {
    blob: u64,
    gone: Vec<u64>,
}

/// Lets the writer write for a random time and kills it.
fn killed(path: &Path, from: u64) -> Acknowledged {
    let mut child = Command::new(std::env::current_exe().expect("this"))
        .args([
            "durable::kill::writer",
            "--exact",
            "--ignored",
            "--nocapture",
        ])
        .env("TOLLGATE_KILL_STORE", path)
        .env("TOLLGATE_KILL_FROM", from.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .expect("starts");
    let mut out = BufReader::new(child.stdout.take().expect("piped"));
    let (first, mut said) = (Instant::now(), Vec::new());
    let mut line = String::new();
    // Its first word says that it writes; from then on any moment is a good one.
    while out.read_line(&mut line).expect("reads") > 0 && !line.starts_with("blob") {
        assert!(first.elapsed() < Duration::from_secs(60), "it never wrote");
        line.clear();
    }
    said.push(line);
    std::thread::sleep(Duration::from_micros(fastrand::u64(..100_000)));
    child.kill().expect("killed");
    child.wait().expect("ended");
    said.extend(out.lines().map_while(Result::ok));
    let mut acknowledged = Acknowledged::default();
    for line in said {
        // A line that the kill cut in two was not said.
        match line.trim().split_once(' ') {
            Some(("blob", n)) => {
                acknowledged.blob = n
                    .parse()
                    .map_or(acknowledged.blob, |n: u64| n.max(acknowledged.blob));
            }
            Some(("gone", n)) => acknowledged.gone.extend(n.parse::<u64>().ok()),
            _ => {}
        }
    }
    acknowledged
}

async fn seen(path: &Path) -> (HashMap<[u8; 32], Entry>, u64) {
    let sink = Arc::new(Seen::default());
    let store = Store::start(path, 1 << 30, Arc::clone(&sink) as _).expect("a thread");
    assert_eq!(store.settled().await, State::Ready);
    let stats = store.stats();
    assert_eq!((stats.damaged, stats.lost), (0, 0));
    let blob = store.get_blob("n").expect("written once at least");
    let blob = u64::from_le_bytes(blob.as_ref().try_into().expect("a number"));
    store.close(Duration::from_secs(60));
    (std::mem::take(&mut *sink.entries.lock()), blob)
}

#[tokio::test]
async fn whenever_it_is_killed_nothing_acknowledged_is_lost() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut path = folder.path().join("store");
    let (mut from, mut gone, mut most) = (0, Vec::new(), 0);
    for kill in 0..times() {
        if kill > 0 && kill % KILLS_A_FILE == 0 {
            eprintln!("{kill} kills, {most} entries at most");
            path = folder.path().join(format!("store-{kill}"));
            (from, gone) = (0, Vec::new());
        }
        let at = path.clone();
        let acknowledged = tokio::task::spawn_blocking(move || killed(&at, from))
            .await
            .expect("killed");
        let (entries, blob) = seen(&path).await;
        assert!(blob >= acknowledged.blob, "{blob} {}", acknowledged.blob);
        gone.extend(acknowledged.gone);
        for n in &gone {
            assert!(!entries.contains_key(&key(*n)), "{n} came back");
        }
        // All that was written before the last acknowledged value is there too, and right.
        for n in (0..(acknowledged.blob + 1) * 10).filter(|n| n % 10 != 3) {
            let entry = &entries[&key(n)];
            assert_eq!(entry.answer.body, deserved(&n.to_string()));
        }
        most = most.max(entries.len());
        from = blob + 1;
    }
    assert!(most > 0 && !gone.is_empty());
}
