//! One function per happening. Nobody else touches a series.

use std::time::Duration;

use prometheus::{Histogram, IntCounter};

use super::labels::{self, Standing};
use super::memo::{self, Memo};
use super::names;

/// Counts one under the labels. The series is one of `names`, and remembered by the thread.
macro_rules! count {
    ($series:ident, [$($label:expr),+]) => {{
        thread_local!(static KNOWN: Memo<IntCounter, { [$(stringify!($label)),+].len() }> = const { Memo::new() });
        let labels = [$($label),+];
        memo::with(&KNOWN, labels, || names::$series.with_label_values(&labels), IntCounter::inc);
    }};
}

/// Observes a value under the labels, likewise.
macro_rules! observe {
    ($series:ident, [$($label:expr),+], $value:expr) => {{
        thread_local!(static KNOWN: Memo<Histogram, { [$(stringify!($label)),+].len() }> = const { Memo::new() });
        let labels = [$($label),+];
        let value = $value;
        memo::with(
            &KNOWN,
            labels,
            || names::$series.with_label_values(&labels),
            |series| series.observe(value),
        );
    }};
}

/// Where a client left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AbortStage {
    /// While its request was read.
    Request,
    /// While it waited for a peer.
    Queued,
    /// Before the first byte of the answer.
    BeforeFirstByte,
    /// In the middle of the answer.
    MidStream,
}

impl AbortStage {
    /// The word used in metrics and logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Queued => "queued",
            Self::BeforeFirstByte => "before_first_byte",
            Self::MidStream => "mid_stream",
        }
    }
}

/// Counts a request while it is handled.
#[derive(Debug)]
pub struct InFlight {
    finished: bool,
}

impl InFlight {
    /// A request arrived.
    pub fn begin() -> Self {
        names::INFLIGHT.inc();
        Self { finished: false }
    }

    /// The request is logged; without this call its end counts as unfinished.
    pub fn finish(&mut self) {
        self.finished = true;
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        names::INFLIGHT.dec();
        if !self.finished {
            names::UNFINISHED.inc();
        }
    }
}

/// A body was kept for when it comes again; sizes in bytes of it and of the one that made room.
pub fn familiar_bodies(kept: usize, dropped: usize) {
    names::CACHE_FAMILIAR
        .add(i64::try_from(kept).unwrap_or(0) - i64::try_from(dropped).unwrap_or(0));
}

/// Requests being handled now.
pub fn in_flight() -> i64 {
    names::INFLIGHT.get()
}

/// A request ended with `status` (0: nothing could be sent).
pub fn request_finished(route: &str, model: Option<&str>, status: u16, error_type: &str) {
    let standing = match status {
        200..300 => Standing::Served,
        _ => Standing::Claimed,
    };
    let mut digits = [0_u8; 5];
    let model = labels::model(model, standing);
    let status = decimal(status, &mut digits);
    count!(REQUESTS, [route, model, status, error_type]);
}

fn decimal(mut number: u16, digits: &mut [u8; 5]) -> &str {
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    std::str::from_utf8(&digits[at..]).unwrap_or("0")
}

/// A connection was closed unheard; `cap` is the bound that was reached.
pub fn connection_refused(cap: &str) {
    names::CONNECTIONS_REFUSED.with_label_values(&[cap]).inc();
}

/// A connection was closed because of what came instead of a request head.
pub fn head_refused(reason: &str) {
    names::HEADS_REFUSED.with_label_values(&[reason]).inc();
}

/// Tollgate itself took `time` of a request; `kind` is `proxied`, `hit`, `refused` or `answered` (by a route).
pub fn overhead(kind: &str, time: Duration) {
    observe!(OVERHEAD, [kind], time.as_secs_f64());
}

/// The first token of an answer came `time` after its request.
pub fn first_token(pool: &str, time: Duration) {
    observe!(TTFT, [pool], time.as_secs_f64());
}

/// A peer's answer was complete; token counts are of this request.
pub fn answered(pool: &str, time: Duration, input_tokens: u64, output_tokens: u64) {
    observe!(DURATION_SECONDS, [pool], time.as_secs_f64());
    observe!(TOKEN_USAGE, ["input"], input_tokens as f64);
    observe!(TOKEN_USAGE, ["output"], output_tokens as f64);
}

/// A request left the queue after `time`.
pub fn queue_wait(priority: &str, time: Duration) {
    observe!(QUEUE_WAIT, [priority], time.as_secs_f64());
}

/// A request is tried on another peer because of `cause`.
pub fn retried(pool: &str, cause: &str) {
    count!(RETRIES, [pool, cause]);
}

/// A request was not tried again, for the pool's budget was spent.
pub fn retry_refused(pool: &str) {
    names::RETRIES_REFUSED.with_label_values(&[pool]).inc();
}

/// An answer broke off after its first byte.
pub fn answer_broke(pool: &str, cause: &str) {
    count!(BROKEN, [pool, cause]);
}

/// A client left.
pub fn client_left(stage: AbortStage) {
    count!(ABORTS, [stage.name()]);
}

/// A fresh answer was to be fetched in place of an old one: `answered`, `failed`, or `skipped` where no peer was free.
pub fn refreshed(result: &str) {
    count!(CACHE_REFRESHES, [result]);
}

/// A client got something in place of a peer's answer; `kind` is `static`.
pub fn fell_back(kind: &str) {
    count!(FALLBACKS, [kind]);
}

/// A request followed another's call: `answered`, `broken` with it, `promoted` to ask for all, `alone` or `late` and so on its
/// own, or its client `left`.
pub fn followed(outcome: &str) {
    count!(SINGLEFLIGHT_WAITERS, [outcome]);
}

/// A cache was asked; `tier` is `exact`, `semantic` or `coalesced`.
pub fn cache_lookup(tier: &str, result: &str) {
    count!(CACHE_LOOKUPS, [tier, result]);
}

/// A request for embeddings was looked up input by input.
pub fn inputs_looked_up(known: usize, unknown: usize) {
    for (result, inputs) in [("hit", known), ("miss", unknown)] {
        names::CACHE_INPUTS
            .with_label_values(&[result])
            .inc_by(inputs as u64);
    }
}

/// The semantic index answered after `time`.
pub fn index_searched(time: Duration) {
    names::SEARCH_SECONDS.observe(time.as_secs_f64());
}

/// A lookup by meaning took `time`.
pub fn semantic_lookup(time: Duration) {
    names::SEMANTIC_SECONDS.observe(time.as_secs_f64());
}

/// A text's vector was asked for: `computed`, `shared` with another who asked, `remembered`, or why there was none; `time` is
/// that until it was there.
pub fn embedded(result: &str, time: Option<Duration>) {
    count!(EMBEDDINGS, [result]);
    if let Some(time) = time {
        names::EMBED_SECONDS.observe(time.as_secs_f64());
    }
}

/// A sentence model ran once, for so many texts.
pub fn embedding_ran(texts: usize, time: Duration) {
    names::EMBED_RUN_TEXTS.observe(texts as f64);
    names::EMBED_RUN_SECONDS.observe(time.as_secs_f64());
}

/// Two questions were looked at a second time: `accepted`, `rejected`, or why that could not be.
pub fn reranked(result: &str, time: Duration) {
    count!(RERANKS, [result]);
    names::RERANK_SECONDS.observe(time.as_secs_f64());
}

/// An answer came from a cache and saved the computing of `tokens`.
pub fn cache_saved(tokens: u64) {
    names::CACHE_SAVED.inc_by(tokens);
}

/// What it would have cost in USD.
pub fn cost_saved(usd: f64) {
    names::CACHE_SAVED_COST.inc_by(usd);
}

/// No price is configured for the model of an answer.
pub fn unpriced() {
    names::UNPRICED.inc();
}

/// An answer of this age came from a cache.
pub fn cache_entry_age(age: Duration) {
    names::CACHE_AGE.observe(age.as_secs_f64());
}

/// A request of a route with a cache ended; `kind` says where its answer came from.
pub fn cache_request(cache: &str, route: &str, tenant: Option<&str>, kind: &str) {
    let tenant = labels::tenant(tenant);
    count!(CACHE_REQUESTS, [cache, route, tenant, kind]);
}

/// An entry left a cache: there was no `room`, or it had `expired`.
pub fn cache_evicted(cache: &str, reason: &str) {
    count!(CACHE_EVICTIONS, [cache, reason]);
}

/// A hit by meaning was asked upstream all the same: `answered`, `failed`, or `skipped` where there was no room for it.
pub fn cache_explored(route: &str, result: &str) {
    count!(CACHE_EXPLORED, [route, result]);
}

/// A fresh answer was compared with the one that could have been served: `right`, `wrong` or `unknown`.
pub fn cache_compared(result: &str) {
    count!(CACHE_COMPARED, [result]);
}

/// A judge was to compare two answers: `same`, `different`, `unknown` where it said anything else, `skipped` where it was not
/// asked, or `failed`.
pub fn cache_judged(cache: &str, result: &str) {
    names::CACHE_JUDGED
        .with_label_values(&[cache, result])
        .inc();
}

/// Tokens that a judge read and wrote.
pub fn judge_tokens(cache: &str, input: u64, output: u64) {
    for (kind, tokens) in [("input", input), ("output", output)] {
        names::CACHE_JUDGE_TOKENS
            .with_label_values(&[cache, kind])
            .inc_by(tokens);
    }
}

/// An answer was not stored.
pub fn cache_write_skipped(reason: &str) {
    count!(CACHE_SKIPPED, [reason]);
}

/// The limits decided; `dimension` is the binding one, `none` for admissions.
pub fn limit_decision(dimension: &str, decision: &str) {
    count!(LIMIT_DECISIONS, [dimension, decision]);
}

/// A copy of a request came to its end: `answered`, `failed`, or `skipped` where there was no room or no peer for it.
pub fn mirrored(route: &str, result: &str) {
    names::MIRRORED.with_label_values(&[route, result]).inc();
}

/// Counts a copy of a request while it is out.
#[derive(Debug)]
pub struct Mirroring(());

impl Mirroring {
    /// A copy leaves.
    pub fn begin() -> Self {
        names::MIRROR_INFLIGHT.inc();
        Self(())
    }
}

impl Drop for Mirroring {
    fn drop(&mut self) {
        names::MIRROR_INFLIGHT.dec();
    }
}

/// A configuration was read: `accepted` or `refused`.
pub fn config_read(result: &str) {
    count!(RELOADS, [result]);
}

/// Configuration number `generation` is live.
pub fn config_live(generation: u64) {
    names::GENERATION.set(i64::try_from(generation).unwrap_or(i64::MAX));
}

/// So many access log lines were lost.
pub fn log_lines_dropped(lines: u64) {
    names::LOG_DROPPED.inc_by(lines);
}

/// So many error log lines were lost.
pub fn error_lines_dropped(lines: u64) {
    names::ERROR_LOG_DROPPED.inc_by(lines);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_in_flight_until_its_guard_is_dropped() {
        let before = in_flight();
        let mut guard = InFlight::begin();
        guard.finish();
        drop(guard);
        assert_eq!(in_flight(), before);
    }

    #[test]
    fn statuses_are_written_in_decimal() {
        let mut digits = [0; 5];
        assert_eq!(decimal(0, &mut digits), "0");
        assert_eq!(decimal(429, &mut digits), "429");
        assert_eq!(decimal(65535, &mut digits), "65535");
    }
}
