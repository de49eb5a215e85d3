//! What happened to requests and probes, and what it means for the peers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Pool;
use super::pick::usable;
use crate::balance::health::{Change, Failure, Others, Probe};
use crate::balance::lease::Lease;
use crate::balance::peer::Peer;

/// How a request at a peer went. A client that leaves and an answer 4xx are no outcome: drop the lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// A complete good answer.
    Succeeded,
    /// The peer's fault.
    Failed(Failure),
    /// The peer answered 429 and wants this pause.
    CoolDown(Duration),
}

impl Pool {
    /// Takes in how a leased request went.
    pub fn report(&self, lease: &mut Lease, outcome: Outcome, now: Instant) -> Change {
        match outcome {
            Outcome::Succeeded => self.succeeded(lease, now),
            Outcome::Failed(failure) => self.failed(lease, failure, now),
            Outcome::CoolDown(pause) => self.cool_down(lease.peer(), pause, now),
        }
    }

    fn succeeded(&self, lease: &mut Lease, now: Instant) -> Change {
        if lease.is_trial() {
            return lease.pass_trial(now);
        }
        let live = lease.peer().live();
        if live.failing() {
            live.change_health(|health| health.succeeded());
        }
        Change::None
    }

    fn failed(&self, lease: &mut Lease, failure: Failure, now: Instant) -> Change {
        let trial = lease.take_trial();
        let peer = lease.peer();
        let live = peer.live();
        live.count_failure();
        if trial.is_none() && !live.change_health(|health| health.failed(failure, &self.eject)) {
            return Change::None;
        }
        let _taking_out = self.shared.taking_out.lock();
        let others = self.others(peer, now);
        let jitter = fastrand::f64();
        live.change_health(|health| {
            if trial.is_some() {
                health.trial_failed(failure, &self.eject, others, jitter, now)
            } else {
                health.eject(&self.eject, others, jitter, now)
            }
        })
    }

    fn cool_down(&self, peer: &Peer, pause: Duration, now: Instant) -> Change {
        let _taking_out = self.shared.taking_out.lock();
        let others = self.others(peer, now);
        peer.live()
            .change_health(|health| health.cool_down(pause, others, now))
    }

    /// Takes in an active probe of one of [`Pool::peers`]. Without health checks in the configuration it is ignored.
    pub fn probed(&self, peer: &Peer, probe: Probe, now: Instant) -> Change {
        let Some(rules) = &self.health else {
            return Change::None;
        };
        let live = peer.live();
        let last_byte = live.last_byte();
        let change = live.change_health(|health| health.probed(probe, rules, last_byte, now));
        if change != Change::None {
            self.shared.wake();
        }
        change
    }

    /// Whether somebody else could serve while `peer` is out: for a primary another primary, for a backup anybody.
    fn others(&self, peer: &Peer, now: Instant) -> Others {
        let members = self.members.load();
        let any = usable(&members, now).any(|other| {
            !Arc::ptr_eq(other.live(), peer.live())
                && (!other.settings().backup || peer.settings().backup)
        });
        if any { Others::Usable } else { Others::None }
    }
}
