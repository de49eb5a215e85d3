//! What one admitted request has taken from its limits, and how it gives back.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use super::headers::RateHeaders;
use super::member::Member;

/// The share of one request in its limits, until it is settled or dropped.
///
/// Open -> closed, once: by [`settle`](Self::settle), [`answered_from_cache`](Self::answered_from_cache),
/// [`refund_all`](Self::refund_all), or by Drop, which keeps what is known to be used (the input, and the output that
/// [`progress`](Self::progress) saw) and gives back the rest. Each way gives back the concurrency. A call on a closed
/// reservation does nothing, so the first to know the truth wins.
#[derive(Debug)]
#[must_use = "a dropped reservation gives its concurrency back at once"]
pub struct Reservation {
    seats: Vec<Seat>,
    input: u64,
    spent: u64,
    charged: u64,
    lent: u64,
    since: Instant,
    seen: Instant,
    state: State,
    live: Arc<AtomicUsize>,
}

/// One limit's member, and which of its buckets were charged.
pub(super) struct Seat {
    pub(super) member: Arc<Member>,
    pub(super) requests: bool,
    pub(super) tokens: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum State {
    Open,
    Closed,
}

enum Request {
    Counts,
    GivenBack,
}

impl Reservation {
    pub(super) fn new(
        seats: Vec<Seat>,
        input: u64,
        charged: u64,
        now: Instant,
        live: Arc<AtomicUsize>,
    ) -> Self {
        live.fetch_add(1, Ordering::Relaxed);
        Self {
            seats,
            input,
            spent: input,
            charged,
            lent: 0,
            since: now,
            seen: now,
            state: State::Open,
            live,
        }
    }

    /// Says how many output tokens have come so far. What goes beyond the reserve is charged at once, so that a long
    /// stream is seen while it runs.
    pub fn progress(&mut self, output_tokens: u64, now: Instant) {
        if self.state == State::Closed {
            return;
        }
        self.seen = self.seen.max(now);
        self.spent = self.spent.max(self.input.saturating_add(output_tokens));
        if self.spent > self.charged {
            self.charge_to(self.spent);
        }
    }

    /// Closes with the tokens that were really used, input and output: charges what is missing, also below zero, or
    /// refunds what is too much.
    pub fn settle(&mut self, actual_tokens: u64, now: Instant) {
        self.seen = self.seen.max(now);
        self.close(actual_tokens, Request::Counts);
    }

    /// Closes an answer from the cache: it counts as a request, for it was one, and as no tokens.
    pub fn answered_from_cache(&mut self) {
        self.close(0, Request::Counts);
    }

    /// Gives the tokens back and keeps the rest: somebody else's answer is awaited.
    pub fn lend_tokens(&mut self) {
        if self.state == State::Closed {
            return;
        }
        for seat in self.seats.iter().filter(|seat| seat.tokens) {
            seat.member.usage.lock().refund_tokens(self.charged);
        }
        self.lent += std::mem::take(&mut self.charged);
        self.spent = 0;
    }

    /// Takes back what was lent, also below zero: the request has to be sent after all.
    pub fn take_back(&mut self, now: Instant) {
        if self.state == State::Closed {
            return;
        }
        self.seen = self.seen.max(now);
        self.spent = self.input;
        let lent = std::mem::take(&mut self.lent);
        self.charge_to(self.charged.saturating_add(lent));
    }

    /// Closes a request that was never sent to a peer (queue full, no peer, client gone while waiting): it counts as
    /// nothing.
    pub fn refund_all(&mut self) {
        self.close(0, Request::GivenBack);
    }

    /// Where the tightest buckets stand now, with this request counted as far as it is charged.
    #[must_use]
    pub fn headers(&self, now: Instant) -> RateHeaders {
        let mut headers = RateHeaders::default();
        for seat in &self.seats {
            let mut usage = seat.member.usage.lock();
            usage.report(seat.requests, seat.tokens, now, &mut headers);
        }
        headers
    }

    fn charge_to(&mut self, tokens: u64) {
        let excess = tokens.saturating_sub(self.charged);
        for seat in self.seats.iter().filter(|seat| seat.tokens) {
            let mut usage = seat.member.usage.lock();
            usage.charge_tokens(excess, self.seen);
        }
        self.charged = tokens;
    }

    fn close(&mut self, actual: u64, request: Request) {
        if self.state == State::Closed {
            return;
        }
        self.state = State::Closed;
        let hold = self.seen.saturating_duration_since(self.since);
        for seat in &self.seats {
            let mut usage = seat.member.usage.lock();
            if seat.tokens && actual > self.charged {
                usage.charge_tokens(actual - self.charged, self.seen);
            } else if seat.tokens {
                usage.refund_tokens(self.charged - actual);
            }
            if let (true, Request::GivenBack) = (seat.requests, &request) {
                usage.refund_request();
            }
            usage.end(hold);
        }
        self.charged = actual;
        self.live.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.close(self.spent, Request::Counts);
    }
}

impl std::fmt::Debug for Seat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Seat").field(&self.member.name).finish()
    }
}
