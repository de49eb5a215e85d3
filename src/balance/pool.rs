//! A pool: the peers of one configuration, how one is picked, and what is learnt about them.

mod events;
mod members;
mod pick;
mod shared;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use parking_lot::Mutex;

use super::budget::{BudgetSpent, RetryGrant};
use super::estimate::Estimator;
use super::health::Joining;
use super::lease::Lease;
use super::peer::Peer;
use super::policy::{self, Policy};
use super::view::PeerView;
use crate::config::model;

pub use events::Outcome;
pub use members::Resolved;
use members::{Members, Name};
pub use shared::ReleaseHook;
pub(super) use shared::Shared;

/// What a request asks of a peer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Demand {
    /// Estimated prompt, tokens.
    pub prompt_tokens: u64,
    /// Expected output, tokens.
    pub output_tokens: u64,
    /// The same for the same client, for `ip_hash`.
    pub client_hash: u64,
}

/// What came of looking for a peer.
#[derive(Debug)]
#[must_use]
pub enum Pick {
    /// This one.
    Lease(Lease),
    /// Usable peers exist, all at their `max_requests`; or the trial of an ejected one will tell. Wait for the release
    /// hook.
    Busy,
    /// Usable peers exist, but all of them are excluded.
    Exhausted,
    /// No peer is usable.
    Down {
        /// When it may be worth asking again, at least a second.
        retry_after: Duration,
        /// The peer that may be back first is there, but asked to be left alone with a refusal of this status.
        refused: Option<u16>,
    },
}

/// Load of a pool, draining peers included.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Requests in flight.
    pub in_flight: u64,
    /// Tokens charged and not yet drawn down.
    pub queued_tokens: u64,
}

/// The peers of one configuration.
#[derive(Debug)]
pub struct Pool {
    policy: Box<dyn Policy>,
    health: Option<model::Health>,
    eject: model::Eject,
    cooldown: Option<model::Cooldown>,
    retry_budget: Option<model::RetryBudget>,
    resolve_every: Duration,
    /// Peers configured by name, whose addresses come from [`Pool::set_resolved`].
    names: Vec<Name>,
    members: ArcSwap<Members>,
    /// Held by whoever replaces `members`.
    changing: Mutex<()>,
    shared: Arc<Shared>,
}

impl Pool {
    /// A pool that starts from nothing. Peers given by IP address can be picked at once, those given by DNS name after
    /// [`Pool::set_resolved`].
    ///
    /// `release_hook` is called whenever a waiting request should look again: when a lease is dropped, when a peer comes
    /// back, is added, or goes out (the answer may then be [`Pick::Down`]). It runs on the caller's thread, also inside
    /// `drop`, and must neither block nor panic.
    pub fn new(config: &model::Pool, release_hook: ReleaseHook, now: Instant) -> Self {
        let shared = Arc::new(Shared::new(release_hook, now));
        Self::build(config, shared, &Members::default(), Joining::AtStart, now)
    }

    /// The pool of a new configuration, made out of the one before. Peers that stay (same label and address) keep
    /// counters, health and what was learnt, whatever else changes about them; resolved addresses of names that stay
    /// are kept; new peers get a slow start; removed ones are listed as draining until their last lease is dropped.
    ///
    /// `old` is left as it is, and requests that still hold it go on under its settings, so a configuration can be
    /// given up after this call. Only a new `release_hook` takes effect at once: it replaces the old one for all leases.
    pub fn reconfigured(
        old: &Self,
        config: &model::Pool,
        release_hook: Option<ReleaseHook>,
        now: Instant,
    ) -> Self {
        if let Some(hook) = release_hook {
            old.shared.set_hook(hook);
        }
        let members = old.members.load();
        Self::build(
            config,
            Arc::clone(&old.shared),
            &members,
            Joining::Later,
            now,
        )
    }

    fn build(
        config: &model::Pool,
        shared: Arc<Shared>,
        old: &Members,
        joining: Joining,
        now: Instant,
    ) -> Self {
        let (names, members) = Members::configured(config, old, joining, now);
        Self {
            policy: policy::of(config.balance),
            health: config.health.clone(),
            eject: config.eject.clone(),
            cooldown: config.cooldown.clone(),
            retry_budget: config.retry.budget.clone(),
            resolve_every: config.resolve_every,
            names,
            members: ArcSwap::from_pointee(members),
            changing: Mutex::new(()),
            shared,
        }
    }

    /// Labels (`host:port`) of the peers configured by name, each to be resolved and handed to
    /// [`Pool::set_resolved`].
    pub fn names(&self) -> impl Iterator<Item = &Arc<str>> {
        self.names.iter().map(|name| &name.label)
    }

    /// Takes in the addresses of a name. None at all (a failed lookup) leaves the old ones in use, as does a label
    /// that is not configured.
    pub fn set_resolved(&self, label: &str, addrs: &[SocketAddr], now: Instant) -> Resolved {
        let Some(name) = self.names.iter().find(|name| &*name.label == label) else {
            return Resolved::default();
        };
        if addrs.is_empty() {
            return Resolved::default();
        }
        let _changing = self.changing.lock();
        let (members, resolved) = self.members.load().resolved(name, addrs, now);
        if resolved != Resolved::default() {
            self.members.store(Arc::new(members));
            self.shared.wake();
        }
        resolved
    }

    /// The configured peers, for probing.
    pub fn peers(&self) -> Vec<Arc<Peer>> {
        self.members.load().active.clone()
    }

    /// All peers as they stand, removed ones that still serve requests last.
    pub fn views(&self, now: Instant) -> Vec<PeerView> {
        let members = self.members.load();
        let active = members.active.iter().map(|peer| peer.view(now));
        let draining = members
            .busy_draining()
            .map(|peer| peer.view(now))
            .map(|view| PeerView {
                draining: true,
                ..view
            });
        active.chain(draining).collect()
    }

    /// Load of all peers together.
    pub fn totals(&self) -> Totals {
        let members = self.members.load();
        let peers = members.active.iter().chain(&members.draining);
        peers.fold(Totals::default(), |sum, peer| Totals {
            in_flight: sum.in_flight + u64::from(peer.in_flight()),
            queued_tokens: sum.queued_tokens + peer.queued_tokens(),
        })
    }

    /// A request came, on its first attempt: retries may be a share of these.
    pub fn request_came(&self, now: Instant) {
        self.shared.budget().request(now);
    }

    /// The right to try a request once more.
    ///
    /// # Errors
    /// The budget for retries is spent.
    pub fn may_retry(&self, now: Instant) -> Result<RetryGrant, BudgetSpent> {
        match &self.retry_budget {
            Some(rules) => RetryGrant::withdrawn(&self.shared, rules, now),
            None => Ok(RetryGrant::free()),
        }
    }

    /// What was learnt about prompts and outputs; the same object over reloads.
    pub fn estimator(&self) -> &Estimator {
        &self.shared.estimator
    }
}

#[cfg(test)]
mod tests;
