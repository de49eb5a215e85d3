//! What limits promise, as a caller sees it.

mod members;
mod properties;
mod reload;
mod reservation;
mod reserve;
mod threads;

use std::time::{Duration, Instant};

use super::*;
use crate::config::model::Rate;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

const WEB: Subject<'_> = who("web", "acme");
const JOBS: Subject<'_> = who("jobs", "acme");

const fn who<'a>(key: &'a str, tenant: &'a str) -> Subject<'a> {
    Subject {
        key,
        tenant,
        tier: None,
    }
}

const fn need(input: u64, output: u64) -> Need {
    Need { input, output }
}

fn per(dimension: Dimension) -> Limit {
    Limit {
        per: dimension,
        tier: None,
        requests: None,
        tokens: None,
        concurrency: None,
    }
}

fn a_minute(amount: u64) -> Option<Rate> {
    let period = MINUTE;
    Some(Rate { amount, period })
}

fn requests(dimension: Dimension, amount: u64) -> Limit {
    Limit {
        requests: a_minute(amount),
        ..per(dimension)
    }
}

fn tokens(amount: u64) -> Limit {
    Limit {
        tokens: a_minute(amount),
        ..per(Dimension::Key)
    }
}

fn at_once(concurrency: u32) -> Limit {
    Limit {
        concurrency: Some(concurrency),
        ..per(Dimension::Key)
    }
}

/// Requests and tokens that `who` has left, as the headers tell; from a request that is taken back.
fn left(limiter: &Limiter, who: &Subject<'_>, now: Instant) -> (Option<u64>, Option<u64>) {
    let remaining = |standing: Option<Standing>| standing.map(|standing| standing.remaining);
    let rates = match limiter.reserve(who, Need::default(), now) {
        Ok(mut probe) => {
            probe.refund_all();
            probe.headers(now)
        }
        Err(denied) => denied.rates,
    };
    (remaining(rates.requests), remaining(rates.tokens))
}

/// A request that gets in and ends at once, its input used.
fn pass(limiter: &Limiter, who: &Subject<'_>, need: Need, now: Instant) {
    drop(limiter.reserve(who, need, now).unwrap());
}

fn denial(result: Result<Reservation, Box<Denied>>) -> Denied {
    match result {
        Ok(_) => panic!("admitted"),
        Err(denied) => *denied,
    }
}

/// Live requests as the members count them, which must agree with `in_use`.
fn live(limiter: &Limiter) -> u32 {
    let rules = limiter.rules.iter();
    rules.map(|rule| rule.members.live()).sum()
}
