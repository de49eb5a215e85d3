//! What one member of a dimension has used under one limit.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::config::model::{Limit, Rate};

use super::bucket::Bucket;
use super::denied::What;
use super::headers::RateHeaders;

/// A member and its use. Reservations hold it, so it outlives its place in the map while any is open.
pub(super) struct Member {
    pub(super) name: Arc<str>,
    pub(super) usage: Mutex<Usage>,
}

/// Buckets are made when a limit first asks for them, and take the rate of the limit that asked last: across a reload
/// the old and the new limiter share members.
#[derive(Default)]
pub(super) struct Usage {
    requests: Option<Bucket>,
    tokens: Option<Bucket>,
    live: u32,
    mean_hold: Option<Duration>,
}

/// Why a request may not pass.
pub(super) struct Refusal {
    pub(super) what: What,
    pub(super) limit: u64,
    pub(super) period: Option<Duration>,
    pub(super) wait: Duration,
}

impl Member {
    pub(super) fn new(name: Arc<str>) -> Self {
        let usage = Mutex::default();
        Self { name, usage }
    }
}

impl Usage {
    /// Makes the buckets those of `limit`, then says what refuses a request of `tokens` for longest, if anything does.
    pub(super) fn refusal(&mut self, limit: &Limit, tokens: u64, now: Instant) -> Option<Refusal> {
        let requests = refused(What::Requests, &mut self.requests, limit.requests, 1, now);
        let tokens = refused(What::Tokens, &mut self.tokens, limit.tokens, tokens, now);
        let concurrency = self.too_many(limit.concurrency);
        [requests, tokens, concurrency]
            .into_iter()
            .flatten()
            .max_by_key(|refusal| refusal.wait)
    }

    /// Takes what [`Usage::refusal`] did not refuse.
    pub(super) fn take(&mut self, limit: &Limit, tokens: u64, now: Instant) {
        if limit.requests.is_some() {
            self.charge_requests(1, now);
        }
        if limit.tokens.is_some() {
            self.charge_tokens(tokens, now);
        }
        self.live += 1;
    }

    pub(super) fn charge_tokens(&mut self, tokens: u64, now: Instant) {
        if let Some(bucket) = &mut self.tokens {
            bucket.charge(tokens, now);
        }
    }

    pub(super) fn refund_tokens(&mut self, tokens: u64) {
        if let Some(bucket) = &mut self.tokens {
            bucket.refund(tokens);
        }
    }

    pub(super) fn refund_request(&mut self) {
        if let Some(bucket) = &mut self.requests {
            bucket.refund(1);
        }
    }

    /// Ends one live request that ran for `hold`.
    pub(super) fn end(&mut self, hold: Duration) {
        self.live = self.live.saturating_sub(1);
        if hold.is_zero() {
            return;
        }
        self.mean_hold = Some(match self.mean_hold {
            Some(mean) => mean * 7 / 8 + hold / 8,
            None => hold,
        });
    }

    /// Adds where the buckets of `limit` stand.
    pub(super) fn report(
        &mut self,
        requests: bool,
        tokens: bool,
        now: Instant,
        into: &mut RateHeaders,
    ) {
        if let (true, Some(bucket)) = (requests, &mut self.requests) {
            into.add_requests(bucket.standing(now));
        }
        if let (true, Some(bucket)) = (tokens, &mut self.tokens) {
            into.add_tokens(bucket.standing(now));
        }
    }

    /// Nothing is lost by forgetting this member.
    pub(super) fn is_blank(&mut self, now: Instant) -> bool {
        let full =
            |bucket: &mut Option<Bucket>| bucket.as_mut().is_none_or(|bucket| bucket.is_full(now));
        self.live == 0 && full(&mut self.requests) && full(&mut self.tokens)
    }

    #[cfg(test)]
    pub(super) fn live(&self) -> u32 {
        self.live
    }

    fn charge_requests(&mut self, requests: u64, now: Instant) {
        if let Some(bucket) = &mut self.requests {
            bucket.charge(requests, now);
        }
    }

    fn too_many(&self, concurrency: Option<u32>) -> Option<Refusal> {
        let limit = concurrency?;
        if self.live < limit {
            return None;
        }
        // With `live` running for `mean_hold` each, one ends every `mean_hold / live`. Before the first has ended
        // nothing is known, and a second is what clients try by themselves.
        let wait = match self.mean_hold {
            Some(mean) => mean / self.live.max(1),
            None => Duration::from_secs(1),
        };
        Some(Refusal {
            what: What::Concurrency,
            limit: u64::from(limit),
            period: None,
            wait: wait.max(Duration::from_millis(1)),
        })
    }
}

fn refused(
    what: What,
    bucket: &mut Option<Bucket>,
    rate: Option<Rate>,
    pieces: u64,
    now: Instant,
) -> Option<Refusal> {
    let rate = rate?;
    let bucket = bucket.get_or_insert_with(|| Bucket::full(rate, now));
    bucket.fit(rate, now);
    let wait = bucket.wait(pieces, now);
    (!wait.is_zero()).then_some(Refusal {
        what,
        limit: rate.amount,
        period: Some(rate.period),
        wait,
    })
}
