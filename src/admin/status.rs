//! `GET /api/v1/status`: what runs, under which configuration, and how the peers are.

use std::time::Instant;

use serde_json::{Value, json};

use super::cache::overview;

use crate::metrics::events;
use crate::state::{Live, Pool};

pub(super) fn of(live: &Live, draining: bool, now: Instant) -> Value {
    let snapshot = live.snapshot();
    let last = live.last_read();
    let pools: serde_json::Map<String, Value> = snapshot
        .config
        .pools
        .iter()
        .filter_map(|conf| {
            Some((
                conf.name.clone(),
                pool(snapshot.pools.get(&conf.name)?, now),
            ))
        })
        .collect();
    let caches: serde_json::Map<String, Value> = snapshot
        .caches
        .iter()
        .map(|(name, cache)| (name.clone(), overview::of(cache)))
        .collect();
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "draining": draining,
        "inflight_requests": events::in_flight(),
        "config": {
            "path": live.path().display().to_string(),
            "generation": snapshot.generation,
            "last_read": humantime::format_rfc3339_seconds(last.at).to_string(),
            "refused": last.refused.map(|errors| errors.lines().map(str::to_owned).collect::<Vec<_>>()),
            "warnings": last.warnings,
            "needs_restart": last.needs_restart,
        },
        "pools": pools,
        "caches": caches,
    })
}

fn pool(pool: &Pool, now: Instant) -> Value {
    let peers: Vec<Value> = pool
        .balance
        .views(now)
        .iter()
        .map(|peer| {
            json!({
                "peer": peer.label.as_ref(),
                "address": peer.addr.to_string(),
                "state": peer.state.as_str(),
                "state_for_s": peer.state_for.as_secs(),
                "out_for_s": peer.out_for.map(|left| left.as_secs_f64()),
                "draining": peer.draining,
                "weight": peer.weight,
                "max_requests": peer.max_requests,
                "backup": peer.backup,
                "inflight_requests": peer.in_flight,
                "queue_tokens": peer.queued_tokens,
                "requests": peer.requests,
                "failures": peer.failures,
                "consecutive_failures": peer.consecutive_failures,
                "last_byte_ago_s": peer.last_byte_ago.map(|ago| ago.as_secs_f64()),
            })
        })
        .collect();
    json!({
        "balance": format!("{:?}", pool.conf.balance),
        "queue": { "requests": pool.queue.len(), "bytes": pool.queue.bytes() },
        "peers": peers,
    })
}
