//! Configuration + old snapshot -> new snapshot.

use std::io;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use tokio::sync::Semaphore;

use super::listeners::listeners;
use super::snapshot::{Pool, RouteLive, Snapshot};
use crate::admit::{KeyTable, Limiter, Queue};
use crate::balance;
use crate::cache::{Cache, Embedder};
use crate::config::model::{self, AccessLogTo, Config, LogFormat};
use crate::exchange::Reach;
use crate::metrics::access_log::{AccessLog, Format};
use crate::metrics::error_log;
use crate::route::RouteTable;
use crate::util::hash::Map;
use crate::util::ranges::Ranges;

/// Bytes of request bodies that copies of one route hold at once.
const MOST_COPIED: usize = 64 * 1024 * 1024;
/// Questions to a judge that are out at once for one route.
const MOST_JUDGED: usize = 16;

/// Builds the snapshot of `config`, taking over from `old` whatever stays.
///
/// # Errors
/// When a certificate cannot be used, a log cannot be opened or a thread cannot be started; nothing of `old` was changed
/// then.
pub(super) fn build(config: Config, old: Option<&Snapshot>, now: Instant) -> io::Result<Snapshot> {
    let access_log = access_log(&config.access_log, old)?;
    let error_log = error_log(&config.error_log)?;
    let listeners = listeners(&config, SystemTime::now())?;
    let reaches = reaches(&config)?;
    // The last that may fail: a new cache takes the open store of an old one over.
    let caches = caches(&config, old)?;
    let limiter = match old {
        Some(old) => Limiter::reconfigured(&old.limiter, &config.limits),
        None => Limiter::new(&config.limits),
    };
    error_log.install();
    Ok(Snapshot {
        generation: old.map_or(1, |old| old.generation + 1),
        routes: RouteTable::new(&config),
        keys: KeyTable::new(config.keys.as_deref(), &config.tiers),
        limiter: Arc::new(limiter),
        routes_live: routes_live(&config, old),
        trusted: Ranges::new(&config.client.trusted_proxies),
        // Last: it changes the queues in place.
        pools: pools(&config, reaches, old, now),
        listeners,
        caches,
        access_log,
        config,
    })
}

fn access_log(conf: &model::AccessLog, old: Option<&Snapshot>) -> io::Result<AccessLog> {
    let format = match conf.format {
        LogFormat::Json => Format::Json,
        LogFormat::Combined => Format::Combined,
    };
    if let Some(old) = old.filter(|old| old.config.access_log.to == conf.to) {
        // Whoever rotates logs may send SIGHUP and expect this.
        old.access_log.reopen().map_err(in_section("access_log"))?;
        return Ok(old.access_log.in_format(format));
    }
    match &conf.to {
        AccessLogTo::Off => Ok(AccessLog::off()),
        AccessLogTo::Stdout => AccessLog::stdout(format),
        AccessLogTo::File(path) => AccessLog::file(path, format),
    }
    .map_err(in_section("access_log"))
}

fn error_log(conf: &model::ErrorLog) -> io::Result<error_log::Prepared> {
    error_log::prepare(conf.file.as_deref(), conf.level).map_err(in_section("error_log"))
}

fn in_section(section: &'static str) -> impl Fn(io::Error) -> io::Error {
    move |error| io::Error::new(error.kind(), format!("{section}: {error}"))
}

fn routes_live(config: &Config, old: Option<&Snapshot>) -> Map<String, RouteLive> {
    let routes = config.routes.iter();
    routes
        // A cache sends copies as well: to learn, and to fetch anew what is old.
        .filter(|route| !route.limits.is_empty() || route.mirror.is_some() || route.cache.is_some())
        .map(|route| {
            let live = match old.and_then(|old| old.routes_live.get(&route.name)) {
                Some(before) => RouteLive {
                    limiter: Arc::new(Limiter::reconfigured(&before.limiter, &route.limits)),
                    copies: Arc::clone(&before.copies),
                    judged: Arc::clone(&before.judged),
                },
                None => RouteLive {
                    limiter: Arc::new(Limiter::new(&route.limits)),
                    copies: Arc::new(Semaphore::new(MOST_COPIED)),
                    judged: Arc::new(Semaphore::new(MOST_JUDGED)),
                },
            };
            (route.name.clone(), live)
        })
        .collect()
}

/// In the order of the pools.
fn reaches(config: &Config) -> io::Result<Vec<Reach>> {
    let reach = |pool: &model::Pool| {
        Reach::new(pool)
            .map_err(|problem| io::Error::other(format!("pools.{}.tls: {problem}", pool.name)))
    };
    config.pools.iter().map(reach).collect()
}

fn pools(
    config: &Config,
    reaches: Vec<Reach>,
    old: Option<&Snapshot>,
    now: Instant,
) -> Map<String, Arc<Pool>> {
    config
        .pools
        .iter()
        .zip(reaches)
        .map(|(conf, reach)| {
            let before = old.and_then(|old| old.pools.get(&conf.name));
            (
                conf.name.clone(),
                Arc::new(pool(conf, reach, before.map(Arc::as_ref), now)),
            )
        })
        .collect()
}

fn pool(conf: &model::Pool, reach: Reach, old: Option<&Pool>, now: Instant) -> Pool {
    let queue = match old {
        Some(old) => {
            old.queue.reconfigure(&conf.queue);
            Arc::clone(&old.queue)
        }
        None => Arc::new(Queue::new(&conf.queue)),
    };
    let balance = match old {
        Some(old) => balance::Pool::reconfigured(&old.balance, conf, None, now),
        None => {
            let waiting = Arc::clone(&queue);
            balance::Pool::new(conf, Arc::new(move || waiting.wake()), now)
        }
    };
    Pool {
        conf: conf.clone(),
        balance,
        reach,
        queue,
    }
}

fn caches(config: &Config, old: Option<&Snapshot>) -> io::Result<Map<String, Arc<Cache>>> {
    let mut embedders: Vec<Arc<Embedder>> = Vec::new();
    if let Some(old) = old {
        for cache in old.caches.values() {
            if let Some(embedder) = cache.embedder() {
                embedders.push(Arc::clone(embedder));
            }
        }
    }
    config
        .caches
        .iter()
        .map(|conf| {
            let kept = old
                .and_then(|old| old.caches.get(&conf.name))
                .filter(|cache| cache.config() == conf);
            let cache = match kept {
                Some(cache) => Arc::clone(cache),
                None => {
                    let keeper = keeps_store(conf, old);
                    let store = keeper.and_then(|cache| cache.store());
                    let mut cache =
                        Cache::with_store(conf, embedder(conf, &mut embedders), store.cloned())?;
                    if let Some(before) = keeper.or_else(|| old?.caches.get(&conf.name)) {
                        cache.inherit(before);
                    }
                    cache.follow_store();
                    Arc::new(cache)
                }
            };
            Ok((conf.name.clone(), cache))
        })
        .collect()
}

/// The old cache that has the file open which this one is to use.
fn keeps_store<'a>(conf: &model::Cache, old: Option<&'a Snapshot>) -> Option<&'a Arc<Cache>> {
    let wanted = conf.store.as_ref()?;
    let uses = |cache: &&Arc<Cache>| {
        cache
            .store()
            .is_some_and(|store| store.path() == wanted.path)
    };
    old?.caches.values().find(uses)
}

/// One embedder serves all caches that name the same model in the same way.
fn embedder(conf: &model::Cache, running: &mut Vec<Arc<Embedder>>) -> Option<Arc<Embedder>> {
    let wanted = &conf.semantic.as_ref()?.embedder;
    if let Some(embedder) = running.iter().find(|running| running.config() == wanted) {
        return Some(Arc::clone(embedder));
    }
    match Embedder::start(wanted) {
        Ok(embedder) => {
            let embedder = Arc::new(embedder);
            running.push(Arc::clone(&embedder));
            Some(embedder)
        }
        Err(error) => {
            log::warn!(
                "caches.{}.semantic: {error}; serving exact repeats only",
                conf.name
            );
            None
        }
    }
}
