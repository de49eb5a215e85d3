//! Whether a peer may be used: a pure state machine, fed by probes and by what happened to real requests.
//!
//! Three things take a peer out, each on its own: active probes that keep failing (until probes pass again), an
//! ejection after failed requests in a row (for a time that doubles), and a cool-down the peer itself asked for. The
//! last two always carry the time at which they end. After an ejection one single request is let through as a trial:
//! its first byte brings the peer back, with slow start; its failure ejects the peer again.

mod event;

use std::time::{Duration, Instant};

use super::pause::Pause;
use crate::config::model::{Cooldown, Eject, Health as Rules};
pub use event::{Change, Failure, Probe};

/// What the probes say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Active {
    Unknown,
    Healthy,
    Unhealthy,
}

/// Whether others can do the work while a peer is out, and it may be ejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Others {
    /// Yes.
    Usable,
    /// This is the last one, or too many are out already.
    None,
}

/// The health of one peer.
#[derive(Debug, Clone)]
pub(super) struct Health {
    active: Active,
    passes: u32,
    misses: u32,
    failures: u32,
    last_failure: Option<Failure>,
    ejection: Option<Ejection>,
    back: Option<Back>,
    cool_until: Option<Instant>,
    cooled_at: Option<Instant>,
    cool_status: u16,
    ramp_from: Option<Instant>,
    changed: Instant,
}

/// A running ejection; after `until` the peer is half open.
#[derive(Debug, Clone, Copy)]
struct Ejection {
    until: Instant,
    length: Duration,
    in_a_row: u32,
}

/// The ejection that a trial ended, remembered to tell a relapse from a new failure.
#[derive(Debug, Clone, Copy)]
struct Back {
    at: Instant,
    length: Duration,
    in_a_row: u32,
}

/// When a peer joins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Joining {
    /// With the pool: full share at once.
    AtStart,
    /// A pool that already runs: slow start.
    Later,
}

impl Health {
    /// Nothing known yet, which is usable.
    pub(super) fn new(joining: Joining, now: Instant) -> Self {
        Self {
            active: Active::Unknown,
            passes: 0,
            misses: 0,
            failures: 0,
            last_failure: None,
            ejection: None,
            back: None,
            cool_until: None,
            cooled_at: None,
            cool_status: 0,
            ramp_from: (joining == Joining::Later).then_some(now),
            changed: now,
        }
    }

    /// Takes in a probe. A failed one does not count when response bytes came since the previous probe began: a busy
    /// engine may be too busy for its health page.
    pub(super) fn probed(
        &mut self,
        probe: Probe,
        rules: &Rules,
        last_byte: Option<Instant>,
        now: Instant,
    ) -> Change {
        match probe {
            Probe::Passed => {
                self.misses = 0;
                self.passes = self.passes.saturating_add(1);
                match self.active {
                    Active::Healthy => Change::None,
                    Active::Unknown => {
                        self.active = Active::Healthy;
                        Change::None
                    }
                    Active::Unhealthy if self.passes >= rules.healthy_after => {
                        self.active = Active::Healthy;
                        self.ramp_from = Some(now);
                        self.changed = now;
                        Change::ProbedUp
                    }
                    Active::Unhealthy => Change::None,
                }
            }
            Probe::Failed => {
                self.passes = 0;
                let window = rules.interval.saturating_add(rules.timeout);
                if last_byte.is_some_and(|at| now.saturating_duration_since(at) <= window) {
                    self.misses = 0;
                    return Change::None;
                }
                self.misses = self.misses.saturating_add(1);
                if self.active != Active::Unhealthy && self.misses >= rules.unhealthy_after {
                    self.active = Active::Unhealthy;
                    self.changed = now;
                    return Change::ProbedDown;
                }
                Change::None
            }
        }
    }

    /// A request that was no trial ended well.
    pub(super) fn succeeded(&mut self) {
        self.failures = 0;
    }

    /// A request that was no trial failed. True when that was one too many, and [`Health::eject`] is due.
    pub(super) fn failed(&mut self, failure: Failure, rules: &Eject) -> bool {
        self.last_failure = Some(failure);
        if self.ejection.is_some() {
            return false;
        }
        self.failures = self.failures.saturating_add(1);
        rules.after > 0 && self.failures >= rules.after
    }

    /// Takes the peer out after failures in a row. `jitter`, in [0, 1), moves the time by up to 10 % either way so
    /// that peers which fell together do not return together.
    pub(super) fn eject(
        &mut self,
        rules: &Eject,
        others: Others,
        jitter: f64,
        now: Instant,
    ) -> Change {
        if self.ejection.is_some() {
            return Change::None;
        }
        if others == Others::None {
            return Change::Spared;
        }
        let relapse = self
            .back
            .filter(|back| now.saturating_duration_since(back.at) < back.length);
        let in_a_row = relapse.map_or(0, |back| back.in_a_row).saturating_add(1);
        self.put_out(rules, in_a_row, jitter, now)
    }

    /// The trial request failed: out again, for longer. While no other peer can serve the time is not doubled.
    pub(super) fn trial_failed(
        &mut self,
        failure: Failure,
        rules: &Eject,
        others: Others,
        jitter: f64,
        now: Instant,
    ) -> Change {
        self.last_failure = Some(failure);
        let Some(ejection) = self.ejection.filter(|ejection| ejection.until <= now) else {
            return Change::None;
        };
        let in_a_row = match others {
            Others::Usable => ejection.in_a_row.saturating_add(1),
            Others::None => 1,
        };
        self.put_out(rules, in_a_row, jitter, now)
    }

    /// The trial request got its first byte: back, with slow start.
    pub(super) fn trial_passed(&mut self, now: Instant) -> Change {
        let Some(ejection) = self.ejection.take() else {
            return Change::None;
        };
        self.back = Some(Back {
            at: now,
            length: ejection.length,
            in_a_row: ejection.in_a_row,
        });
        self.ramp_from = Some(now);
        self.changed = now;
        Change::Returned
    }

    /// Ends the waiting of an ejection, so that a trial may go at once: nobody else is left.
    pub(super) fn try_now(&mut self, now: Instant) {
        if let Some(ejection) = &mut self.ejection {
            ejection.until = ejection.until.min(now);
        }
    }

    /// Leaves the peer alone for `time`, as its refusal of this status asked for. It is its own wish, so the last usable
    /// peer gets it too if it named the time itself; where we only guess one, that peer goes on, and its refusals tell
    /// clients more than ours would.
    pub(super) fn cool_down(
        &mut self,
        pause: Pause,
        rules: &Cooldown,
        others: Others,
        now: Instant,
    ) -> Change {
        let time = pause.time.unwrap_or(rules.default).min(rules.max);
        if pause.time.is_none() && others == Others::None {
            return Change::None;
        }
        let until = after(now, time);
        if until <= now || self.cool_until.is_some_and(|already| already >= until) {
            return Change::None;
        }
        if self.cool_until.is_none_or(|already| already <= now) {
            self.cooled_at = Some(now);
        }
        self.cool_until = Some(until);
        self.cool_status = pause.status;
        Change::CoolingDown(time)
    }

    fn put_out(&mut self, rules: &Eject, in_a_row: u32, jitter: f64, now: Instant) -> Change {
        let length = ejection_time(rules, in_a_row, jitter);
        self.failures = 0;
        self.changed = now;
        self.ejection = Some(Ejection {
            until: after(now, length),
            length,
            in_a_row,
        });
        Change::Ejected(length)
    }

    /// Probes say no.
    pub(super) fn unhealthy(&self) -> bool {
        self.active == Active::Unhealthy
    }

    /// Probes have said yes.
    pub(super) fn confirmed(&self) -> bool {
        self.active == Active::Healthy
    }

    /// Failed requests in a row.
    pub(super) fn failures(&self) -> u32 {
        self.failures
    }

    /// How the last request that failed did so.
    pub(super) fn last_failure(&self) -> Option<Failure> {
        self.last_failure
    }

    /// End of the ejection; past = half open; `None` = not ejected.
    pub(super) fn ejected_until(&self) -> Option<Instant> {
        self.ejection.map(|ejection| ejection.until)
    }

    /// End of the last cool-down.
    pub(super) fn cool_until(&self) -> Option<Instant> {
        self.cool_until
    }

    /// The status of the refusal behind a cool-down that runs.
    pub(super) fn cooling(&self, now: Instant) -> Option<u16> {
        self.cool_until
            .is_some_and(|until| until > now)
            .then_some(self.cool_status)
    }

    /// Begin of the last cool-down.
    pub(super) fn cooled_at(&self) -> Option<Instant> {
        self.cooled_at
    }

    /// Begin of the last slow start.
    pub(super) fn ramp_from(&self) -> Option<Instant> {
        self.ramp_from
    }

    /// When probes, an ejection or a return last changed something.
    pub(super) fn changed(&self) -> Instant {
        self.changed
    }
}

/// `base` doubled for each ejection in a row, at most `max`, moved by up to 10 %.
fn ejection_time(rules: &Eject, in_a_row: u32, jitter: f64) -> Duration {
    let doublings = in_a_row.saturating_sub(1).min(31);
    let time = rules.base.saturating_mul(1 << doublings).min(rules.max);
    let tenth = time / 10;
    (time - tenth).saturating_add((tenth * 2).mul_f64(jitter.clamp(0.0, 1.0)))
}

/// `now + pause`; a pause that no clock can hold ends at once rather than never.
fn after(now: Instant, pause: Duration) -> Instant {
    now.checked_add(pause).unwrap_or(now)
}

#[cfg(test)]
mod tests;
