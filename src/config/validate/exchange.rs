//! `timeouts`, `retry` and `queue` of a pool: how long and how often a request is tried, and where it waits.

use std::time::Duration;

use super::section::{ANY_TIME, SOME_BYTES, SOME_TIME, Section};
use crate::config::model::{Queue, Retry, RetryBudget, Timeouts};
use crate::config::raw::{Leaf, List, RawQueue, RawRetry, RawTimeouts};
use crate::config::units::{self, Refusal};

/// Answers that another peer may well not give.
const RETRIED: &[u16] = &[429, 500, 502, 503, 504];

pub(super) fn timeouts(mut s: Section<'_>, raw: &RawTimeouts) -> Timeouts {
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

pub(super) fn retry(mut s: Section<'_>, raw: &RawRetry) -> Retry {
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
        budget: budget(&mut s, raw),
    };
    if retry.base_backoff > retry.max_backoff {
        let reason = longer(retry.base_backoff, "max_backoff", retry.max_backoff);
        s.refuse("base_backoff", raw.base_backoff.as_ref(), reason, "");
    }
    retry
}

/// Finagle's and linkerd's defaults.
fn budget(s: &mut Section<'_>, raw: &RawRetry) -> Option<RetryBudget> {
    let most = s.read("budget", raw.budget.as_ref(), |text| {
        if matches!(text, "off" | "false") {
            return Ok(None);
        }
        match units::float(text) {
            Ok(share) if (0.0..=100.0).contains(&share) => Ok(Some(share)),
            _ => Err(Refusal::new(
                "must be `off` or a share of the requests, 0 to 100",
                "such as 0.2 for a fifth",
            )),
        }
    });
    let min_per_second = s.float(
        "budget_min_per_second",
        raw.budget_min_per_second.as_ref(),
        |rate| (0.0..=1e6).contains(&rate),
        "must be from 0 to 1000000",
        10.0,
    );
    most.unwrap_or(Some(0.2)).map(|share| RetryBudget {
        share,
        min_per_second,
    })
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

pub(super) fn queue(mut s: Section<'_>, raw: &RawQueue) -> Queue {
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

/// Names both times: either may be a default that the file does not show.
pub(super) fn longer(time: Duration, other: &str, limit: Duration) -> String {
    let (time, limit) = (
        humantime::format_duration(time),
        humantime::format_duration(limit),
    );
    format!("{time} is longer than `{other}`, {limit}")
}
