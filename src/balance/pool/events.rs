//! What happened to requests and probes, and what it means for the peers.

use std::sync::Arc;
use std::time::Instant;

use super::Pool;
use super::pick::usable;
use crate::balance::health::{Change, Failure, Others, Probe};
use crate::balance::lease::Lease;
use crate::balance::pause::Pause;
use crate::balance::peer::Peer;

/// How a request at a peer went. A client that leaves and an answer 4xx are no outcome: drop the lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// A complete good answer.
    Succeeded,
    /// The peer's fault.
    Failed(Failure),
    /// The peer refused and asks to be left alone.
    Paused(Pause),
}

impl Pool {
    /// Takes in how a leased request went.
    pub fn report(&self, lease: &mut Lease, outcome: Outcome, now: Instant) -> Change {
        match outcome {
            Outcome::Succeeded => self.succeeded(lease, now),
            Outcome::Failed(failure) => self.failed(lease, failure, now),
            Outcome::Paused(pause) => self.paused(lease, pause, now),
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
        if trial.is_some() {
            return live.change_health(|health| {
                health.trial_failed(failure, &self.eject, others, jitter, now)
            });
        }
        // Keeping a peer that cannot be reached spares the others no work.
        let others = match failure {
            Failure::Connect => others,
            _ if self.too_many_out(peer) => Others::None,
            _ => others,
        };
        live.change_health(|health| health.eject(&self.eject, others, jitter, now))
    }

    /// A 429 is no failure of the peer: it works, and has enough to do. Neither is a 503 whose wish is granted.
    fn paused(&self, lease: &mut Lease, pause: Pause, now: Instant) -> Change {
        let Some(rules) = &self.cooldown else {
            return match pause.status {
                429 => Change::None,
                _ => self.failed(lease, Failure::Status, now),
            };
        };
        let peer = lease.peer();
        let _taking_out = self.shared.taking_out.lock();
        let others = self.others(peer, now);
        peer.live()
            .change_health(|health| health.cool_down(pause, rules, others, now))
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

    /// Whether ejecting `peer` would put more than `max_ejected` of its kind (primaries or backups) out.
    fn too_many_out(&self, peer: &Peer) -> bool {
        let members = self.members.load();
        let is_kin = |other: &&Arc<Peer>| other.settings().backup == peer.settings().backup;
        let (mut all, mut out) = (0_u32, 1_u32);
        for other in members.active.iter().filter(is_kin) {
            all += 1;
            let is_out = other.live().health().ejected_until().is_some();
            out += u32::from(is_out && !Arc::ptr_eq(other.live(), peer.live()));
        }
        // Rounded up, so that a small pool may lose one; less what floating point adds to a whole product.
        let most = (self.eject.max_ejected * f64::from(all) - 1e-9).ceil();
        f64::from(out) > most
    }

    /// Whether somebody else could serve while `peer` is out. A backup counts: to stand in is what it is for.
    fn others(&self, peer: &Peer, now: Instant) -> Others {
        let members = self.members.load();
        let any = usable(&members, now).any(|other| !Arc::ptr_eq(other.live(), peer.live()));
        if any { Others::Usable } else { Others::None }
    }
}
