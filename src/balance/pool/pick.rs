//! Finding a peer for a request.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::members::Members;
use super::{Demand, Pick, Pool};
use crate::balance::lease::{Lease, Refused};
use crate::balance::live::{Availability, Ejection};
use crate::balance::peer::Peer;
use crate::balance::policy::{Candidate, FILLER};
use crate::util::stack_vec::StackVec;

/// Pools up to this size are picked from without allocation.
const INLINE: usize = 32;

/// What came of looking among the primaries, or among the backups.
enum Found {
    Lease(Lease),
    /// Usable ones, all at their cap.
    Full,
    /// None that is usable, but a trial may change that.
    TrialRunning,
    /// None that is usable.
    Nobody,
}

impl Pool {
    /// Finds a peer and leases it. `excluded` are addresses that this request has already tried.
    ///
    /// Backups are used only while no primary can take the request, because it is out or full, as in nginx. When
    /// nobody at all is usable, ejected peers need not wait for their time and get their trial now.
    pub fn pick(&self, demand: &Demand, excluded: &[SocketAddr], now: Instant) -> Pick {
        let members = self.members.load();
        match self.find(&members, demand, excluded, now) {
            Pick::Down { .. } if end_ejections(&members, excluded, now) => {
                self.find(&members, demand, excluded, now)
            }
            found => found,
        }
    }

    fn find(
        &self,
        members: &Members,
        demand: &Demand,
        excluded: &[SocketAddr],
        now: Instant,
    ) -> Pick {
        let (mut full, mut trial_running) = (false, false);
        for backup in [false, true] {
            match self.pick_among(members, backup, demand, excluded, now) {
                Found::Lease(lease) => return Pick::Lease(lease),
                Found::Full => full = true,
                Found::TrialRunning => trial_running = true,
                Found::Nobody => {}
            }
        }
        if full {
            return Pick::Busy;
        }
        if usable(members, now).any(|peer| excluded.contains(&peer.addr())) {
            return Pick::Exhausted;
        }
        if trial_running {
            return Pick::Busy;
        }
        self.down(members, now)
    }

    fn pick_among(
        &self,
        members: &Members,
        backup: bool,
        demand: &Demand,
        excluded: &[SocketAddr],
        now: Instant,
    ) -> Found {
        let mut candidates: StackVec<Candidate<'_>, INLINE> = StackVec::new(FILLER);
        let (mut full, mut trial_running) = (false, false);
        for (member, peer) in members.active.iter().enumerate() {
            let settings = peer.settings();
            if settings.backup != backup || excluded.contains(&peer.addr()) {
                continue;
            }
            match peer.availability(now) {
                Availability::Usable | Availability::Trial => {}
                Availability::TrialRunning => {
                    trial_running = true;
                    continue;
                }
                Availability::Out(_) | Availability::Unhealthy => continue,
            }
            let live = peer.live();
            let in_flight = live.in_flight();
            if settings.max_requests.is_some_and(|max| in_flight >= max) {
                full = true;
                continue;
            }
            candidates.push(Candidate {
                id: peer.id(),
                weight: peer.effective_weight(now),
                in_flight,
                queued_tokens: live.queued_tokens(),
                turn: live.turn(),
                member,
            });
        }
        // Others pick at the same time: a candidate may be full or out by the time it is chosen.
        while let Some(chosen) = self.policy.pick(candidates.as_slice(), demand) {
            let peer = &members.active[candidates.as_slice()[chosen].member];
            match Lease::take(peer, demand, &self.shared, now) {
                Ok(lease) => return Found::Lease(lease),
                Err(Refused::Full) => full = true,
                Err(Refused::Out) => trial_running = true,
            }
            candidates.remove(chosen);
        }
        match (full, trial_running) {
            (true, _) => Found::Full,
            (false, true) => Found::TrialRunning,
            (false, false) => Found::Nobody,
        }
    }

    /// Time until the next ejection or cool-down ends. No release hook tells of that, so whoever waits should look again
    /// then; `None` when no peer is out for a time.
    pub fn next_return(&self, now: Instant) -> Option<Duration> {
        let members = self.members.load();
        let left = |peer: &Arc<Peer>| match peer.availability(now) {
            Availability::Out(left) => Some(left),
            _ => None,
        };
        members.active.iter().filter_map(left).min()
    }

    /// Nobody: when the first peer may be back, and whether it is out by its own wish.
    fn down(&self, members: &Members, now: Instant) -> Pick {
        const LEAST: Duration = Duration::from_secs(1);
        let probed_back = self.health.as_ref().map_or(LEAST, |rules| {
            rules.interval.saturating_mul(rules.healthy_after)
        });
        let back = |peer: &Arc<Peer>| match peer.availability(now) {
            Availability::Usable | Availability::Trial | Availability::TrialRunning => LEAST,
            Availability::Out(left) => left,
            Availability::Unhealthy => probed_back,
        };
        let soonest = members.active.iter().min_by_key(|peer| back(peer));
        Pick::Down {
            retry_after: soonest.map_or(self.resolve_every, back).max(LEAST),
            refused: soonest.and_then(|peer| peer.live().health().cooling(now)),
        }
    }
}

/// Peers that get requests now.
pub(super) fn usable(members: &Members, now: Instant) -> impl Iterator<Item = &Arc<Peer>> {
    members
        .active
        .iter()
        .filter(move |peer| peer.availability(now) == Availability::Usable)
}

/// Ends what is left of the ejections of peers that this request may use; false when there was none to end.
fn end_ejections(members: &Members, excluded: &[SocketAddr], now: Instant) -> bool {
    let mut any = false;
    for peer in &members.active {
        let ejected = matches!(peer.live().ejection(now), Ejection::Running(_));
        if ejected
            && !excluded.contains(&peer.addr())
            && peer.availability(now) != Availability::Unhealthy
        {
            peer.live().change_health(|health| health.try_now(now));
            any = true;
        }
    }
    any
}
