//! Active health checks, through Pingora's.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pingora::lb::Backend;
use pingora::lb::health_check::{HealthCheck, HttpHealthCheck};
use tokio::time::{sleep, timeout};

use super::live::Live;
use super::snapshot::Pool;
use crate::balance::{Change, Peer, Probe};
use crate::config::model::Health;

/// Longest sleep, so that new peers and reloads are seen soon.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Checks every peer of every pool at its interval. Never returns.
pub async fn probe_forever(live: Arc<Live>) {
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
                    .or_insert_with(|| Slot::new(peer, health, now));
                seen.push(key);
                if slot.health != *health {
                    *slot = Slot::new(peer, health, now);
                }
                if slot.due <= now {
                    slot.due = now + health.interval;
                    tokio::spawn(probe(
                        Arc::clone(pool),
                        Arc::clone(peer),
                        Arc::clone(&slot.check),
                        health.timeout,
                    ));
                }
                next = next.min(slot.due);
            }
        }
        schedule.retain(|key, _| seen.contains(key));
        sleep(next.saturating_duration_since(Instant::now())).await;
    }
}

struct Slot {
    health: Health,
    check: Arc<HttpHealthCheck>,
    due: Instant,
}

impl Slot {
    fn new(peer: &Peer, health: &Health, now: Instant) -> Self {
        Self {
            health: health.clone(),
            check: Arc::new(http_check(peer, health)),
            due: now,
        }
    }
}

fn http_check(peer: &Peer, health: &Health) -> HttpHealthCheck {
    let mut check = HttpHealthCheck::new(peer.label(), false);
    match pingora::http::RequestHeader::build("GET", health.path.as_bytes(), None) {
        Ok(mut request) => {
            // A label is a host and a port, which is a valid header value.
            let _ = request.insert_header("host", peer.label().as_ref());
            let _ = request.insert_header("user-agent", "tollgate-health-check");
            check.req = request;
        }
        Err(error) => log::error!("health.path {:?}: {error}", health.path),
    }
    check.peer_template.options.connection_timeout = Some(health.timeout);
    check.peer_template.options.total_connection_timeout = Some(health.timeout);
    check.peer_template.options.read_timeout = Some(health.timeout);
    check.validator = Some(Box::new(|answer| {
        if answer.status.is_success() {
            Ok(())
        } else {
            pingora::Error::e_explain(
                pingora::ErrorType::HTTPStatus(answer.status.as_u16()),
                "health check",
            )
        }
    }));
    check
}

async fn probe(pool: Arc<Pool>, peer: Arc<Peer>, check: Arc<HttpHealthCheck>, limit: Duration) {
    let backend = Backend {
        addr: pingora::protocols::l4::socket::SocketAddr::Inet(peer.addr()),
        weight: 1,
        ext: Default::default(),
    };
    let answer = timeout(limit, check.check(&backend)).await;
    let (probe, why) = match answer {
        Ok(Ok(())) => (Probe::Passed, String::new()),
        Ok(Err(error)) => (Probe::Failed, error.to_string()),
        Err(_) => (Probe::Failed, format!("no answer within {limit:?}")),
    };
    let (pool_name, label) = (&pool.conf.name, peer.label());
    match pool.balance.probed(&peer, probe, Instant::now()) {
        Change::ProbedDown => log::warn!("pool {pool_name}: peer {label} is out: {why}"),
        Change::ProbedUp => log::info!("pool {pool_name}: peer {label} is back"),
        _ => {}
    }
}
