//! Active health checks: a request of its own on a connection of its own, spoken to as the pool's requests are.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Method;
use tokio::time::{sleep, timeout};

use super::live::Live;
use super::snapshot::Pool;
use crate::balance::{Change, Peer, Probe};
use crate::config::model::{Health, PeerTls, Timeouts};
use crate::exchange::Client;
use crate::wire::RequestHead;

/// Longest sleep, so that new peers and reloads are seen soon.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Checks every peer of every pool at its interval. Never returns.
pub async fn probe_forever(live: Arc<Live>, client: Arc<Client>) {
    let mut schedule: HashMap<(String, SocketAddr), Slot> = HashMap::new();
    loop {
        let now = Instant::now();
        let snapshot = live.snapshot();
        let mut seen = Vec::new();
        let mut next = now + LOOK_EVERY;
        for pool in snapshot.pools.values() {
            let Some(health) = &pool.conf.health else {
                continue;
            };
            for peer in &pool.balance.peers() {
                let key = (pool.conf.name.clone(), peer.addr());
                let slot = schedule
                    .entry(key.clone())
                    .or_insert_with(|| Slot::new(pool, now));
                seen.push(key);
                if slot.is_of_another(pool) {
                    *slot = Slot::new(pool, now);
                }
                if slot.due <= now {
                    slot.due = now + health.interval;
                    let (pool, peer) = (Arc::clone(pool), Arc::clone(peer));
                    tokio::spawn(probe(pool, peer, health.clone(), Arc::clone(&client)));
                }
                next = next.min(slot.due);
            }
        }
        schedule.retain(|key, _| seen.contains(key));
        sleep(next.saturating_duration_since(Instant::now())).await;
    }
}

/// When a peer is asked next, and under which settings it was asked so far.
struct Slot {
    health: Option<Health>,
    tls: Option<PeerTls>,
    http2: bool,
    due: Instant,
}

impl Slot {
    fn new(pool: &Pool, now: Instant) -> Self {
        Self {
            health: pool.conf.health.clone(),
            tls: pool.conf.tls.clone(),
            http2: pool.conf.http2,
            due: now,
        }
    }

    /// What was learnt under other settings is asked again at once.
    fn is_of_another(&self, pool: &Pool) -> bool {
        let conf = &pool.conf;
        self.health != conf.health || self.tls != conf.tls || self.http2 != conf.http2
    }
}

async fn probe(pool: Arc<Pool>, peer: Arc<Peer>, health: Health, client: Arc<Client>) {
    let limit = health.timeout;
    let asked = timeout(limit, ask(&pool, &peer, &health, &client)).await;
    let (probe, why) = match asked {
        Ok(Ok(())) => (Probe::Passed, String::new()),
        Ok(Err(why)) => (Probe::Failed, why),
        Err(_) => (Probe::Failed, format!("no answer within {limit:?}")),
    };
    let (pool_name, label) = (&pool.conf.name, peer.label());
    match pool.balance.probed(&peer, probe, Instant::now()) {
        Change::ProbedDown => log::warn!("pool {pool_name}: peer {label} is out: {why}"),
        Change::ProbedUp => log::info!("pool {pool_name}: peer {label} is back"),
        _ => {}
    }
}

/// Why the peer is not healthy, if it is not.
async fn ask(pool: &Pool, peer: &Peer, health: &Health, client: &Client) -> Result<(), String> {
    let mut head = RequestHead::new(Method::GET, &health.path)
        .map_err(|error| format!("health.path {:?}: {error}", health.path))?;
    // A label is a host and a port, which is a valid header value.
    let _ = head.headers.set("host", peer.label().as_ref());
    let _ = head.headers.set("user-agent", "tollgate-health-check");
    let timeouts = Timeouts {
        connect: health.timeout,
        first_byte: health.timeout,
        between_chunks: health.timeout,
        total: health.timeout,
    };
    let way = pool.reach.way(peer.label(), peer.addr());
    // Anew, so that a peer which takes no connection is found out.
    let mut exchange = client
        .open_anew(way, timeouts, Instant::now())
        .await
        .map_err(|failure| failure.to_string())?;
    match exchange.ask(&head, Bytes::new()).await {
        Ok(head) if head.status.is_success() => Ok(()),
        Ok(head) => Err(format!("it answers {}", head.status)),
        Err(failure) => Err(failure.to_string()),
    }
}
