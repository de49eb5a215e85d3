//! `pools`: peers, and how they are watched, asked and waited for.

use std::collections::HashSet;
use std::time::Duration;

use super::address;
use super::section::{ANY_TIME, SOME_BYTES, SOME_TIME, Section, check_name};
use crate::config::model::{Balance, Eject, Engine, Health, Peer, Pool, Queue, Retry, Timeouts};
use crate::config::raw::{Leaf, List, Named, OffOr};
use crate::config::raw::{RawEject, RawHealth, RawPeer, RawPool, RawQueue, RawRetry, RawTimeouts};
use crate::config::units::Refusal;

const ENGINES: &[(&str, Engine)] = &[
    ("vllm", Engine::Vllm),
    ("sglang", Engine::Sglang),
    ("llama_cpp", Engine::LlamaCpp),
    ("tgi", Engine::Tgi),
    ("openai", Engine::OpenAi),
    ("anthropic", Engine::Anthropic),
    ("http", Engine::Http),
];

const BALANCES: &[(&str, Balance)] = &[
    ("least_tokens", Balance::LeastTokens),
    ("least_requests", Balance::LeastRequests),
    ("round_robin", Balance::RoundRobin),
    ("random", Balance::Random),
    ("power_of_two", Balance::PowerOfTwo),
    ("ip_hash", Balance::IpHash),
];

/// Answers that another peer may well not give.
const RETRIED: &[u16] = &[429, 500, 502, 503, 504];

pub(super) fn pools(mut s: Section<'_>, raw: Option<&Named<RawPool>>) -> Vec<Pool> {
    let raw = raw.map(|raw| raw.0.as_slice()).unwrap_or_default();
    if raw.is_empty() {
        s.missing("pools", "one pool with its peers");
    }
    let mut s = s.key("pools");
    let mut read = |(name, raw): &(String, Option<RawPool>)| {
        let mut s = s.key(name);
        if let Err(refusal) = check_name(name) {
            s.refuse_all(refusal.reason, &refusal.hint);
        }
        raw.as_ref().map(|raw| pool(s, name, raw))
    };
    raw.iter().filter_map(&mut read).collect()
}

fn pool(mut s: Section<'_>, name: &str, raw: &RawPool) -> Pool {
    let engine = s.word("engine", raw.engine.as_ref(), ENGINES, Engine::Http);
    Pool {
        name: name.to_owned(),
        engine,
        balance: s.word(
            "balance",
            raw.balance.as_ref(),
            BALANCES,
            Balance::LeastTokens,
        ),
        peers: peers(&mut s, raw.peers.as_ref()),
        health: health(s.key("health"), raw.health.as_ref(), engine),
        eject: eject(s.key("eject"), raw.eject.as_ref()),
        slow_start: s.duration(
            "slow_start",
            raw.slow_start.as_ref(),
            ANY_TIME,
            Duration::from_secs(30),
        ),
        resolve_every: s.duration(
            "resolve_every",
            raw.resolve_every.as_ref(),
            SOME_TIME,
            Duration::from_secs(30),
        ),
        timeouts: timeouts(
            s.key("timeouts"),
            raw.timeouts.as_ref().unwrap_or(&RawTimeouts::default()),
        ),
        retry: retry(
            s.key("retry"),
            raw.retry.as_ref().unwrap_or(&RawRetry::default()),
        ),
        queue: queue(
            s.key("queue"),
            raw.queue.as_ref().unwrap_or(&RawQueue::default()),
        ),
    }
}

fn peers(s: &mut Section<'_>, raw: Option<&List<RawPeer>>) -> Vec<Peer> {
    let raw = raw.map(Vec::as_slice).unwrap_or_default();
    if raw.is_empty() {
        s.missing("peers", "at least one, such as `- address: 10.0.0.11:8000`");
    }
    let mut list = s.key("peers");
    let mut seen = HashSet::new();
    let mut peers = Vec::with_capacity(raw.len());
    for (n, raw) in raw.iter().enumerate() {
        let mut s = list.index(n);
        let Some(raw) = raw else { continue };
        let Some(peer) = peer(&mut s, raw) else {
            continue;
        };
        if !seen.insert((peer.host.clone(), peer.port)) {
            s.refuse(
                "address",
                raw.address.as_ref(),
                "is in this pool twice",
                "use weight for a larger share",
            );
        }
        peers.push(peer);
    }
    if !peers.is_empty() && peers.iter().all(|peer| peer.backup) {
        s.warn(
            "peers",
            "all are backups, so there is nothing that they back up",
        );
    }
    peers
}

fn peer(s: &mut Section<'_>, raw: &RawPeer) -> Option<Peer> {
    if raw.address.is_none() {
        s.missing("address", "such as 10.0.0.11:8000");
    }
    let address = s.read("address", raw.address.as_ref(), address::peer);
    let weight = s.float(
        "weight",
        raw.weight.as_ref(),
        |weight| weight > 0.0,
        "must be greater than 0",
        1.0,
    );
    let max_requests = s.cap("max_requests", raw.max_requests.as_ref());
    let backup = s.boolean("backup", raw.backup.as_ref(), false);
    address.map(|(host, port)| Peer {
        host,
        port,
        weight,
        max_requests,
        backup,
    })
}

/// Hosted providers have no health path, so checks are off for them unless asked for.
fn health(mut s: Section<'_>, raw: Option<&OffOr<RawHealth>>, engine: Engine) -> Option<Health> {
    let default = RawHealth::default();
    let raw = match raw {
        Some(OffOr::Off) => return None,
        None if matches!(engine, Engine::OpenAi | Engine::Anthropic) => return None,
        None => &default,
        Some(OffOr::On(raw)) => raw,
    };
    let path = s.read("path", raw.path.as_ref(), super::route::url_path);
    let health = Health {
        path: path.unwrap_or_else(|| "/health".to_owned()),
        interval: s.duration(
            "interval",
            raw.interval.as_ref(),
            SOME_TIME,
            Duration::from_secs(5),
        ),
        timeout: s.duration(
            "timeout",
            raw.timeout.as_ref(),
            SOME_TIME,
            Duration::from_secs(2),
        ),
        unhealthy_after: s.integer("unhealthy_after", raw.unhealthy_after.as_ref(), 1..=1000, 3),
        healthy_after: s.integer("healthy_after", raw.healthy_after.as_ref(), 1..=1000, 2),
    };
    if health.timeout > health.interval {
        s.warn(
            "timeout",
            "is longer than `interval`, so checks of a slow peer come late",
        );
    }
    Some(health)
}

fn eject(mut s: Section<'_>, raw: Option<&OffOr<RawEject>>) -> Eject {
    let default = RawEject::default();
    let (raw, off) = match raw {
        Some(OffOr::On(raw)) => (raw, false),
        Some(OffOr::Off) => (&default, true),
        None => (&default, false),
    };
    let eject = Eject {
        after: s.integer(
            "after",
            raw.after.as_ref(),
            0..=1_000_000,
            if off { 0 } else { 3 },
        ),
        base: s.duration(
            "base",
            raw.base.as_ref(),
            SOME_TIME,
            Duration::from_secs(10),
        ),
        max: s.duration("max", raw.max.as_ref(), SOME_TIME, Duration::from_secs(300)),
    };
    if eject.base > eject.max {
        s.refuse(
            "base",
            raw.base.as_ref(),
            longer(eject.base, "max", eject.max),
            "",
        );
    }
    eject
}

fn timeouts(mut s: Section<'_>, raw: &RawTimeouts) -> Timeouts {
    let timeouts = Timeouts {
        connect: s.duration(
            "connect",
            raw.connect.as_ref(),
            SOME_TIME,
            Duration::from_secs(1),
        ),
        first_byte: s.duration(
            "first_byte",
            raw.first_byte.as_ref(),
            SOME_TIME,
            Duration::from_secs(120),
        ),
        between_chunks: s.duration(
            "between_chunks",
            raw.between_chunks.as_ref(),
            SOME_TIME,
            Duration::from_secs(60),
        ),
        total: s.duration(
            "total",
            raw.total.as_ref(),
            SOME_TIME,
            Duration::from_secs(15 * 60),
        ),
    };
    let parts = [
        ("connect", &raw.connect, timeouts.connect),
        ("first_byte", &raw.first_byte, timeouts.first_byte),
        (
            "between_chunks",
            &raw.between_chunks,
            timeouts.between_chunks,
        ),
    ];
    for (key, _, time) in parts
        .into_iter()
        .filter(|(_, raw, time)| raw.is_some() && *time > timeouts.total)
    {
        s.warn(key, longer(time, "total", timeouts.total));
    }
    timeouts
}

/// Names both times: either may be a default that the file does not show.
fn longer(time: Duration, other: &str, limit: Duration) -> String {
    let (time, limit) = (
        humantime::format_duration(time),
        humantime::format_duration(limit),
    );
    format!("{time} is longer than `{other}`, {limit}")
}

fn retry(mut s: Section<'_>, raw: &RawRetry) -> Retry {
    let retry = Retry {
        attempts: s.integer("attempts", raw.attempts.as_ref(), 1..=100, 3),
        statuses: raw
            .statuses
            .as_ref()
            .map_or_else(|| RETRIED.to_vec(), |raw| statuses(&mut s, raw)),
        base_backoff: s.duration(
            "base_backoff",
            raw.base_backoff.as_ref(),
            ANY_TIME,
            Duration::from_millis(25),
        ),
        max_backoff: s.duration(
            "max_backoff",
            raw.max_backoff.as_ref(),
            ANY_TIME,
            Duration::from_secs(1),
        ),
    };
    if retry.base_backoff > retry.max_backoff {
        let reason = longer(retry.base_backoff, "max_backoff", retry.max_backoff);
        s.refuse("base_backoff", raw.base_backoff.as_ref(), reason, "");
    }
    retry
}

fn statuses(s: &mut Section<'_>, raw: &List<Leaf>) -> Vec<u16> {
    let at = s.at.key("statuses");
    let mut statuses = Vec::with_capacity(raw.len());
    for (n, leaf) in raw.iter().enumerate() {
        statuses.extend(
            s.read_at(&at.index(n), leaf.as_ref(), |text| match text.parse() {
                Ok(status @ 400..=599) => Ok(status),
                _ => Err(Refusal::new(
                    "must be an error status, 400 to 599",
                    "such as 503",
                )),
            }),
        );
    }
    statuses.sort_unstable();
    statuses.dedup();
    statuses
}

fn queue(mut s: Section<'_>, raw: &RawQueue) -> Queue {
    let queue = Queue {
        max_requests: s.integer(
            "max_requests",
            raw.max_requests.as_ref(),
            0..=1_000_000,
            1000,
        ),
        max_bytes: s.size("max_bytes", raw.max_bytes.as_ref(), SOME_BYTES, 256 << 20),
        max_wait: s.duration(
            "max_wait",
            raw.max_wait.as_ref(),
            ANY_TIME,
            Duration::from_secs(30),
        ),
    };
    if queue.max_requests > 0 && queue.max_wait.is_zero() {
        s.refuse(
            "max_wait",
            raw.max_wait.as_ref(),
            "must be longer than 0",
            "write max_requests: 0 where nobody should wait",
        );
    }
    queue
}
