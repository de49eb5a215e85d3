//! The numbers of a peer that change with every request, shared by all who hold it and kept over reloads.
//!
//! Counters are atomics; what a request takes of them it takes as a guard. Health is a [`Health`] behind a lock that
//! only changes of health take; what picking needs of it is published in atomics by whoever held the lock.

mod guards;

use std::sync::atomic::{
    AtomicBool, AtomicI64, AtomicU32, AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::health::{Health, Joining};
pub(super) use guards::{Charge, Seat, Trial};

/// Live state of one peer.
#[derive(Debug)]
pub(super) struct Live {
    born: Instant,
    in_flight: AtomicU32,
    queued_tokens: AtomicU64,
    requests: AtomicU64,
    failures: AtomicU64,
    last_byte: AtomicU64,
    turn: AtomicI64,
    trial: AtomicBool,
    gate: Gate,
    health: Mutex<Health>,
}

/// What picking reads of the health, in ticks since `born`; 0 = never.
#[derive(Debug, Default)]
struct Gate {
    unhealthy: AtomicBool,
    failing: AtomicBool,
    ejected_until: AtomicU64,
    cool_until: AtomicU64,
    ramp_from: AtomicU64,
}

/// Whether the peer may get a request now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Availability {
    /// Yes.
    Usable,
    /// Yes, the one that decides whether it comes back.
    Trial,
    /// Not before the running trial has passed.
    TrialRunning,
    /// Not for this long.
    Out(Duration),
    /// Not before probes pass.
    Unhealthy,
}

/// Where a peer is in an ejection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ejection {
    /// Not ejected.
    None,
    /// Out for this long.
    Running(Duration),
    /// The time is over; one request may try.
    TrialDue,
}

impl Live {
    pub(super) fn new(joining: Joining, now: Instant) -> Self {
        let live = Self {
            born: now,
            in_flight: AtomicU32::new(0),
            queued_tokens: AtomicU64::new(0),
            requests: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            last_byte: AtomicU64::new(0),
            turn: AtomicI64::new(0),
            trial: AtomicBool::new(false),
            gate: Gate::default(),
            health: Mutex::new(Health::new(joining, now)),
        };
        live.change_health(|_| ());
        live
    }

    pub(super) fn in_flight(&self) -> u32 {
        self.in_flight.load(Relaxed)
    }

    pub(super) fn queued_tokens(&self) -> u64 {
        self.queued_tokens.load(Relaxed)
    }

    pub(super) fn requests(&self) -> u64 {
        self.requests.load(Relaxed)
    }

    pub(super) fn failures(&self) -> u64 {
        self.failures.load(Relaxed)
    }

    pub(super) fn count_request(&self) {
        self.requests.fetch_add(1, Relaxed);
    }

    pub(super) fn count_failure(&self) {
        self.failures.fetch_add(1, Relaxed);
    }

    /// Standing in the smooth weighted round robin.
    pub(super) fn turn(&self) -> &AtomicI64 {
        &self.turn
    }

    pub(super) fn byte_seen(&self, now: Instant) {
        self.last_byte.store(self.tick(now), Relaxed);
    }

    pub(super) fn last_byte(&self) -> Option<Instant> {
        self.time(self.last_byte.load(Relaxed))
    }

    /// True when a good answer has something to reset.
    pub(super) fn failing(&self) -> bool {
        self.gate.failing.load(Relaxed)
    }

    /// Reads the health.
    pub(super) fn health(&self) -> Health {
        self.health.lock().clone()
    }

    /// Changes the health and publishes what picking needs of it.
    pub(super) fn change_health<R>(&self, change: impl FnOnce(&mut Health) -> R) -> R {
        let mut health = self.health.lock();
        let result = change(&mut health);
        let tick = |at: Option<Instant>| at.map_or(0, |at| self.tick(at));
        self.gate.unhealthy.store(health.unhealthy(), Relaxed);
        self.gate.failing.store(health.failures() > 0, Relaxed);
        self.gate
            .cool_until
            .store(tick(health.cool_until()), Relaxed);
        self.gate.ramp_from.store(tick(health.ramp_from()), Relaxed);
        self.gate
            .ejected_until
            .store(tick(health.ejected_until()), Release);
        result
    }

    /// Whether a request may go there; `probed` = probes have a say.
    pub(super) fn availability(&self, probed: bool, now: Instant) -> Availability {
        if probed && self.gate.unhealthy.load(Relaxed) {
            return Availability::Unhealthy;
        }
        let tick = self.tick(now);
        let cool = self.gate.cool_until.load(Relaxed);
        if cool > tick {
            return Availability::Out(Duration::from_nanos(cool - tick));
        }
        match self.ejection(now) {
            Ejection::None => Availability::Usable,
            Ejection::Running(left) => Availability::Out(left),
            Ejection::TrialDue if self.trial.load(Relaxed) => Availability::TrialRunning,
            Ejection::TrialDue => Availability::Trial,
        }
    }

    /// Where the peer is in an ejection.
    pub(super) fn ejection(&self, now: Instant) -> Ejection {
        let tick = self.tick(now);
        match self.gate.ejected_until.load(Acquire) {
            0 => Ejection::None,
            until if until > tick => Ejection::Running(Duration::from_nanos(until - tick)),
            _ => Ejection::TrialDue,
        }
    }

    /// Share of its weight that the peer gets: less than 1 during `slow_start`.
    pub(super) fn ramp(&self, slow_start: Duration, now: Instant) -> f64 {
        const LEAST_SHARE: f64 = 0.1;
        let from = self.gate.ramp_from.load(Relaxed);
        if from == 0 {
            return 1.0;
        }
        let gone = Duration::from_nanos(self.tick(now).saturating_sub(from));
        if gone >= slow_start {
            return 1.0;
        }
        (gone.as_secs_f64() / slow_start.as_secs_f64()).max(LEAST_SHARE)
    }

    /// Nanoseconds since `born`, at least 1.
    fn tick(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.born).as_nanos())
            .unwrap_or(u64::MAX - 1)
            .saturating_add(1)
    }

    fn time(&self, tick: u64) -> Option<Instant> {
        let since_born = Duration::from_nanos(tick.checked_sub(1)?);
        self.born.checked_add(since_born)
    }
}
