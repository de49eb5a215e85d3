//! Everything at once, for a while: streams, reloads, an upgrade, peers that die, clients that come.

mod living;
mod mortal;
mod newcomers;

use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::json;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::support::gate::{Gate, busy};
use crate::support::peer::Peer;
use crate::support::raw::{Raw, post};
use crate::support::replace::{Process, successor, upgrade};
use crate::support::{client, until};
use living::EVENTS;
use mortal::Mortal;
use newcomers::Newcomers;

/// Streams that begin on the old process.
const STREAMS: usize = 1000;
/// Streams that begin on the new one.
const LATER: usize = 200;
const RELOADS: usize = 500;
/// Descriptors of one process: this one has both ends of every stream.
const FILES: u64 = 4096;

/// A configuration that differs with `turn`: who is in the pools, how they are chosen, how long a queue may be.
fn config(turn: usize, living: &[Peer], mortal: &[SocketAddr]) -> String {
    let without = |count: usize| turn % (count + 1);
    let peers = |all: &mut dyn Iterator<Item = SocketAddr>, without: usize, more: &str| {
        all.enumerate()
            .filter(|(i, _)| *i != without)
            .map(|(_, address)| format!("      - {{ address: {address}{more} }}\n"))
            .collect::<String>()
    };
    let alive = peers(
        &mut living.iter().map(|peer| peer.address),
        without(living.len()),
        "",
    );
    let dying = peers(
        &mut mortal.iter().copied(),
        without(mortal.len()),
        ", max_requests: 1",
    );
    let balance = ["least_tokens", "round_robin", "power_of_two"][turn % 3];
    let queue = 100 + turn;
    format!(
        "client: {{ max_connections_per_address: 0, body_timeout: 5min, min_rate: 0 }}
shutdown_grace: 5min
upgrade_socket: ./upgrade.sock
limits:
  - {{ per: key, concurrency: 5000 }}
pools:
  living:
    health: off
    balance: {balance}
    peers:
{alive}  mortal:
    health: {{ interval: 1s, timeout: 1s }}
    eject: {{ base: 100ms }}
    slow_start: 0s
    queue: {{ max_requests: {queue} }}
    peers:
{dying}routes:
  - {{ match: {{ model: mortal }}, pool: mortal }}
  - {{ name: copied, match: {{ model: copied }}, pool: living, mirror: {{ pool: mortal, share: 0.2 }} }}
  - {{ pool: living }}
"
    )
}

const INVALID: [&str; 3] = [
    "pools: { living: { peers: [] } }\n",
    "pools: { living: { peers: [{ address: 127.0.0.1:1 }], balnce: random } }\n",
    "pools: [\n",
];

/// Replaces the file as a whole: an upgrade may read it at any time.
fn put(gate: &Gate, rest: &str) {
    let new = gate.folder().join("new.yaml");
    fs::write(&new, gate.text(rest)).expect("written");
    fs::rename(new, &gate.config).expect("renamed");
}

fn allow_files() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    assert!(
        maximum.is_none_or(|most| most >= FILES),
        "the hard limit on open files is {maximum:?}: raise it to {FILES} (ulimit -Hn)"
    );
    if current.is_some_and(|now| now < FILES) {
        let raised = Rlimit {
            current: Some(FILES),
            maximum,
        };
        setrlimit(Resource::Nofile, raised).expect("below the hard limit");
    }
}

/// Asks on a connection to the admin listener that was made before.
async fn scrape(connection: &mut Raw) -> String {
    connection
        .send("GET /metrics HTTP/1.1\r\nhost: t\r\n\r\n")
        .await;
    connection.answer().await.expect("a scrape").1
}

/// Connections to the admin listener of the process that runs now, for after it has given that listener away.
async fn kept(gate: &Gate) -> Vec<Raw> {
    let mut all = Vec::new();
    for _ in 0..100 {
        let mut one = Raw(TcpStream::connect(gate.admin).await.expect("connects"));
        one.send("GET /healthz HTTP/1.1\r\nhost: t\r\n\r\n").await;
        one.answer().await.expect("answered");
        all.push(one);
    }
    all
}

/// What there is to disturb.
struct Scene {
    gate: Gate,
    living: Vec<Peer>,
    mortal: Vec<SocketAddr>,
    step: watch::Sender<usize>,
    accepted: usize,
    refused: usize,
}

impl Scene {
    /// One reload in three is of an invalid file. Streams go on by an event every few.
    async fn reload(&mut self, turn: usize) {
        let valid = turn % 3 != 1;
        match valid {
            true => put(&self.gate, &config(turn, &self.living, &self.mortal)),
            false => put(&self.gate, INVALID[turn / 3 % INVALID.len()]),
        }
        let answer = self.gate.reload().await;
        match valid {
            true => assert_eq!(answer.status, 200, "{}", answer.text()),
            false => assert_eq!(answer.status, 422, "{}", answer.text()),
        }
        self.accepted += usize::from(valid);
        self.refused += usize::from(!valid);
        let reached = (turn + 1) * (EVENTS - 1) / RELOADS;
        self.step.send_replace(reached);
    }

    async fn begin(&self, name: &str, count: usize) -> JoinSet<Result<usize, String>> {
        let before = self.running().await;
        let mut streams = JoinSet::new();
        for i in 0..count {
            streams.spawn(living::read(self.gate.address, format!("{name}{i}")));
        }
        until("all streams run", || async {
            self.running().await >= before + count as f64
        })
        .await;
        streams
    }

    /// Requests at the living peers.
    async fn running(&self) -> f64 {
        let status = self.gate.status().await;
        let peers = status["pools"]["living"]["peers"].as_array();
        let peers = peers.expect("peers").iter();
        peers
            .filter_map(|peer| peer["inflight_requests"].as_f64())
            .sum()
    }
}

/// Kills one engine after the other, each for a while; how often.
async fn kill_and_revive(
    mut engines: Vec<Mortal>,
    newcomers: Arc<Newcomers>,
    stop: Arc<AtomicBool>,
) -> usize {
    let mut kills = 0;
    while !stop.load(Ordering::Relaxed) {
        let next = kills % engines.len();
        let engine = &mut engines[next];
        newcomers.more(25).await;
        engine.kill();
        newcomers.more(25).await;
        engine.revive().await;
        kills += 1;
    }
    kills
}

async fn whole(mut streams: JoinSet<Result<usize, String>>) -> usize {
    let (mut bytes, mut wrong) = (0, Vec::new());
    while let Some(stream) = streams.join_next().await {
        match stream.expect("runs") {
            Ok(read) => bytes += read,
            Err(why) => wrong.push(why),
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
    bytes
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "long; run by scripts/test"]
async fn a_thousand_streams_lose_no_byte_over_five_hundred_reloads_an_upgrade_and_peers_that_die() {
    allow_files();
    let begun = std::time::Instant::now();
    let (step, stepped) = watch::channel(0);
    let mut living = Vec::new();
    for _ in 0..4 {
        living.push(living::peer(stepped.clone()).await);
    }
    let mut engines = Vec::new();
    for _ in 0..3 {
        engines.push(Mortal::start().await);
    }
    let mortal: Vec<_> = engines.iter().map(|engine| engine.address).collect();
    let gate = Gate::start(&config(4, &living, &mortal)).await;
    let mut scene = Scene {
        gate,
        living,
        mortal,
        step,
        accepted: 0,
        refused: 0,
    };

    let early = scene.begin("early", STREAMS).await;
    // A request whose body is not there yet, and which no peer has: it keeps the old process when all else has ended.
    let mut last = Raw::connect(&scene.gate).await;
    let body = client::chat("hello", json!({ "model": "living" }));
    let request = post("/v1/chat/completions", "", &body);
    let (first_half, second_half) = request.split_at(request.len() - body.len() / 2);
    last.send(first_half).await;
    let newcomers = Newcomers::come(scene.gate.address, scene.mortal[0]).await;
    let newcomers = Arc::new(newcomers);
    let stop = Arc::<AtomicBool>::default();
    let killing = kill_and_revive(engines, Arc::clone(&newcomers), Arc::clone(&stop));
    let killing = tokio::spawn(killing);

    for turn in 0..RELOADS / 2 {
        scene.reload(turn).await;
    }
    let mut old = kept(&scene.gate).await;
    put(&scene.gate, &config(4, &scene.living, &scene.mortal));
    let next: Process = successor(&upgrade(&scene.gate).await);
    newcomers.more(50).await;
    until("the new process has the admin listener", || async {
        scene.gate.status().await["inflight_requests"]
            .as_u64()
            .is_some_and(|running| running < 100)
    })
    .await;
    let later = scene.begin("later", LATER).await;
    for turn in RELOADS / 2..RELOADS {
        scene.reload(turn).await;
    }
    scene.step.send_replace(EVENTS);
    let bytes = whole(early).await + whole(later).await;

    // The old process has that one request left, and is at rest but for it.
    assert!(scene.gate.running(), "the old process waits for a body");
    let left = loop {
        let mut connection = old
            .pop()
            .expect("at rest before the connections are used up");
        let text = scrape(&mut connection).await;
        let left: Vec<String> = busy(&text).into_iter().map(str::to_owned).collect();
        if left.len() <= 1 {
            break left;
        }
        newcomers.more(1).await;
    };
    assert_eq!(left, ["tollgate_inflight_requests 1"]);
    last.send(second_half).await;
    let (head, _) = last.answer().await.expect("answered");
    assert!(head.starts_with("http/1.1 200"), "{head}");
    assert!(scene.gate.ended().await.success());

    stop.store(true, Ordering::Relaxed);
    let kills = killing.await.expect("runs");
    let made = newcomers.made();
    let newcomers = Arc::into_inner(newcomers).expect("nobody else waits for them");
    let seen = newcomers.end().await;
    scene.gate.is_at_rest().await;
    assert_eq!(
        scene
            .gate
            .metric("tollgate_unfinished_requests_total")
            .await,
        0.0
    );
    let log = scene.gate.stderr();
    assert!(log.contains("drained"), "{log}");
    assert!(
        !log.contains("cut off") && !log.contains("panicked"),
        "{log}"
    );
    println!(
        "{} streams of living peers whole ({bytes} bytes), {} reloads accepted and {} refused, 1 upgrade, {kills} peers killed, \
         {made} new connections ({seen:?}), in {:.0?}",
        STREAMS + LATER,
        scene.accepted,
        scene.refused,
        begun.elapsed()
    );
    next.signal("TERM");
    until("the new one has ended", || async {
        TcpStream::connect(scene.gate.address).await.is_err()
    })
    .await;
}
