//! Keeps the addresses of peers given by DNS name current.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::lookup_host;
use tokio::time::{sleep, timeout};

use super::live::Live;
use crate::balance::Resolved;

/// Longest sleep, so that reloads are seen soon.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// A resolver that takes longer counts as failed.
const LOOKUP_LIMIT: Duration = Duration::from_secs(5);
/// Time between lookups of a name that has no address yet.
const AGAIN_WHILE_UNKNOWN: Duration = Duration::from_secs(1);

/// Resolves every peer name of every pool at its interval. Never returns.
pub async fn resolve_forever(live: Arc<Live>) {
    let mut due: HashMap<(String, Arc<str>), Instant> = HashMap::new();
    let mut generation = 0;
    loop {
        let snapshot = live.snapshot();
        if snapshot.generation != generation {
            generation = snapshot.generation;
            due.clear();
        }
        let now = Instant::now();
        for pool in snapshot.pools.values() {
            for label in pool.balance.names() {
                let key = (pool.conf.name.clone(), Arc::clone(label));
                if due.get(&key).is_some_and(|due| *due > now) {
                    continue;
                }
                let resolved = pool
                    .balance
                    .peers()
                    .iter()
                    .any(|peer| peer.label() == label);
                let wait = if resolved {
                    pool.conf.resolve_every
                } else {
                    AGAIN_WHILE_UNKNOWN
                };
                due.insert(key, now + wait);
                let (pool, label) = (Arc::clone(pool), Arc::clone(label));
                tokio::spawn(async move {
                    let addresses = resolve(&label).await;
                    match addresses {
                        Ok(addresses) => {
                            let change =
                                pool.balance
                                    .set_resolved(&label, &addresses, Instant::now());
                            if change != Resolved::default() {
                                log::info!("pool {}: {label} is now {addresses:?}", pool.conf.name);
                            }
                        }
                        Err(why) => log::warn!(
                            "pool {}: {label}: {why}; keeping what is known",
                            pool.conf.name
                        ),
                    }
                });
            }
        }
        sleep(LOOK_EVERY).await;
    }
}

async fn resolve(label: &str) -> Result<Vec<SocketAddr>, String> {
    match timeout(LOOKUP_LIMIT, lookup_host(label)).await {
        Ok(Ok(found)) => {
            let mut found: Vec<SocketAddr> = found.collect();
            found.sort_unstable();
            found.dedup();
            if found.is_empty() {
                Err("has no address".to_owned())
            } else {
                Ok(found)
            }
        }
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no answer within {LOOKUP_LIMIT:?}")),
    }
}
