use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use super::*;
use crate::balance::health::{Change, Failure, Probe};
use crate::balance::pause::Pause;
use crate::balance::view::PeerState;
use crate::config::model;

mod dns;
mod events;
mod fleet;
mod leases;
mod out;
mod picking;
mod properties;
mod reload;
mod threads;

const S: Duration = Duration::from_secs(1);

const DEMAND: Demand = Demand {
    prompt_tokens: 1000,
    output_tokens: 200,
    client_hash: 7,
};

fn peer(host: &str) -> model::Peer {
    model::Peer {
        host: host.into(),
        port: 8000,
        weight: 1.0,
        max_requests: None,
        backup: false,
    }
}

fn capped(host: &str, max: u32) -> model::Peer {
    model::Peer {
        max_requests: Some(max),
        ..peer(host)
    }
}

fn backup(host: &str) -> model::Peer {
    model::Peer {
        backup: true,
        ..peer(host)
    }
}

fn config(peers: &[model::Peer]) -> model::Pool {
    model::Pool {
        name: "chat".into(),
        engine: model::Engine::Http,
        balance: model::Balance::LeastTokens,
        tls: None,
        http2: false,
        peers: peers.to_vec(),
        health: Some(model::Health {
            path: "/health".into(),
            interval: 5 * S,
            timeout: 2 * S,
            unhealthy_after: 3,
            healthy_after: 2,
        }),
        eject: model::Eject {
            after: 3,
            base: 10 * S,
            max: 60 * S,
            max_ejected: 1.0,
        },
        cooldown: Some(model::Cooldown {
            default: S,
            max: 60 * S,
        }),
        slow_start: 30 * S,
        resolve_every: 30 * S,
        timeouts: model::Timeouts {
            connect: S,
            first_byte: S,
            between_chunks: S,
            total: S,
        },
        retry: model::Retry {
            attempts: 3,
            statuses: vec![],
            base_backoff: S,
            max_backoff: S,
            budget: None,
        },
        queue: model::Queue {
            max_requests: 0,
            max_bytes: 0,
            max_wait: S,
        },
    }
}

fn silent() -> ReleaseHook {
    Arc::new(|| ())
}

/// A hook and how often it was called.
fn counted() -> (ReleaseHook, Arc<AtomicU64>) {
    let calls = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&calls);
    let hook: ReleaseHook = Arc::new(move || {
        counter.fetch_add(1, Relaxed);
    });
    (hook, calls)
}

fn pool(peers: &[model::Peer], now: Instant) -> Pool {
    Pool::new(&config(peers), silent(), now)
}

fn addr(host: &str) -> SocketAddr {
    format!("{host}:8000").parse().unwrap()
}

#[track_caller]
fn lease(pool: &Pool, now: Instant) -> Lease {
    lease_except(pool, &[], now)
}

#[track_caller]
fn lease_except(pool: &Pool, excluded: &[SocketAddr], now: Instant) -> Lease {
    match pool.pick(&DEMAND, excluded, now) {
        Pick::Lease(lease) => lease,
        other => panic!("no lease: {other:?}"),
    }
}

/// A lease on the peer with this address.
#[track_caller]
fn lease_on(pool: &Pool, host: &str, now: Instant) -> Lease {
    let others: Vec<SocketAddr> = pool
        .peers()
        .iter()
        .map(|peer| peer.addr())
        .filter(|other| *other != addr(host))
        .collect();
    lease_except(pool, &others, now)
}

fn view(pool: &Pool, host: &str, now: Instant) -> PeerView {
    let views = pool.views(now);
    views
        .into_iter()
        .find(|view| view.addr == addr(host))
        .unwrap()
}

fn state(pool: &Pool, host: &str, now: Instant) -> PeerState {
    view(pool, host, now).state
}

/// A refusal that names this time.
fn paused(time: Duration) -> Outcome {
    Outcome::Paused(Pause {
        status: 429,
        time: Some(time),
    })
}

/// Lets requests to the peer fail until it is ejected (or spared).
#[track_caller]
fn fail(pool: &Pool, host: &str, now: Instant) -> Change {
    for _ in 0..3 {
        let mut lease = lease_on(pool, host, now);
        match pool.report(&mut lease, Outcome::Failed(Failure::Connect), now) {
            Change::None => {}
            change => return change,
        }
    }
    Change::None
}

/// Lets probes of the peer fail until it is out.
fn probe_down(pool: &Pool, host: &str, now: Instant) {
    let peer = find(pool, host);
    while pool.probed(&peer, Probe::Failed, now) != Change::ProbedDown {}
}

fn find(pool: &Pool, host: &str) -> Arc<Peer> {
    let mut peers = pool.peers().into_iter();
    peers.find(|peer| peer.addr() == addr(host)).unwrap()
}
