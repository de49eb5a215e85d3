//! Keeps the addresses of peers given by DNS name current.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
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
    let mut due: HashMap<Key, Instant> = HashMap::new();
    let failing = Arc::new(Failing::default());
    let mut generation = 0;
    loop {
        let snapshot = live.snapshot();
        if snapshot.generation != generation {
            generation = snapshot.generation;
            due.clear();
            failing.0.lock().clear();
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
                due.insert(key.clone(), now + wait);
                let (pool, label) = (Arc::clone(pool), Arc::clone(label));
                let failing = Arc::clone(&failing);
                tokio::spawn(async move {
                    let addresses = resolve(&label).await;
                    match addresses {
                        Ok(addresses) => {
                            failing.is_news(&key, None);
                            let change =
                                pool.balance
                                    .set_resolved(&label, &addresses, Instant::now());
                            if change != Resolved::default() {
                                log::info!("pool {}: {label} is now {addresses:?}", pool.conf.name);
                            }
                        }
                        Err(why) if failing.is_news(&key, Some(&why)) => {
                            let until_then = match resolved {
                                true => "the addresses it had are kept",
                                false => "it has no address yet",
                            };
                            log::warn!("pool {}: {label}: {why}; {until_then}", pool.conf.name);
                        }
                        Err(_) => {}
                    }
                });
            }
        }
        sleep(LOOK_EVERY).await;
    }
}

/// A pool and a peer's name in it.
type Key = (String, Arc<str>);

/// Why names cannot be resolved, so that it is said once and not at every lookup.
#[derive(Default)]
struct Failing(Mutex<HashMap<Key, String>>);

impl Failing {
    /// Takes in what came of a lookup; whether that differs from the one before.
    fn is_news(&self, key: &Key, why: Option<&str>) -> bool {
        let mut failing = self.0.lock();
        if failing.get(key).map(String::as_str) == why {
            return false;
        }
        match why {
            Some(why) => drop(failing.insert(key.clone(), why.to_owned())),
            None => drop(failing.remove(key)),
        }
        true
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_fails_is_news_once_and_again_after_it_was_found() {
        let failing = Failing::default();
        let (one, other) = (
            ("pool".to_owned(), "a".into()),
            ("pool".to_owned(), "b".into()),
        );
        assert!(failing.is_news(&one, Some("unknown")));
        assert!(!failing.is_news(&one, Some("unknown")));
        assert!(failing.is_news(&other, Some("unknown")));
        assert!(failing.is_news(&one, Some("no answer")));
        assert!(failing.is_news(&one, None));
        assert!(!failing.is_news(&one, None));
        assert!(failing.is_news(&one, Some("no answer")));
    }
}
