//! `pools`: peers, and how they are watched, asked and waited for.

use std::time::Duration;

use super::accept::check_name;
use super::exchange::{longer, queue, retry, timeouts};
use super::peer::peers;
use super::peer_tls::peer_tls;
use super::section::{ANY_TIME, SOME_TIME, Section};
use crate::config::model::{Balance, Cooldown, Eject, Engine, Health, Pool};
use crate::config::raw::{Named, OffOr};
use crate::config::raw::{
    RawCooldown, RawEject, RawHealth, RawPool, RawQueue, RawRetry, RawTimeouts,
};

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
        tls: peer_tls(s.key("tls"), raw.tls.as_ref()),
        http2: s.switch("http2", raw.http2.as_ref(), false),
        peers: peers(&mut s, raw.peers.as_ref()),
        health: health(s.key("health"), raw.health.as_ref(), engine),
        eject: eject(s.key("eject"), raw.eject.as_ref()),
        cooldown: cooldown(s.key("cooldown"), raw.cooldown.as_ref()),
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
        max_ejected: s.float(
            "max_ejected",
            raw.max_ejected.as_ref(),
            |share| (0.0..=1.0).contains(&share),
            "must be a share from 0 to 1",
            0.5,
        ),
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

fn cooldown(mut s: Section<'_>, raw: Option<&OffOr<RawCooldown>>) -> Option<Cooldown> {
    let default = RawCooldown::default();
    let raw = match raw {
        Some(OffOr::Off) => return None,
        Some(OffOr::On(raw)) => raw,
        None => &default,
    };
    let cooldown = Cooldown {
        default: s.duration(
            "default",
            raw.default.as_ref(),
            ANY_TIME,
            Duration::from_secs(1),
        ),
        max: s.duration("max", raw.max.as_ref(), SOME_TIME, Duration::from_secs(60)),
    };
    if cooldown.default > cooldown.max {
        let reason = longer(cooldown.default, "max", cooldown.max);
        s.refuse("default", raw.default.as_ref(), reason, "");
    }
    Some(cooldown)
}
