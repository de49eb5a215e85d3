//! A peer: what is configured about it, and the live state it shares with its former and later selves.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::health::Joining;
use super::live::{Availability, Live};
use crate::config::model;
use crate::util::hash;

/// One address that serves requests, under one configuration.
#[derive(Debug)]
pub struct Peer {
    label: Arc<str>,
    addr: SocketAddr,
    id: u64,
    settings: Settings,
    live: Arc<Live>,
}

/// What the configuration says about a peer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Settings {
    pub(super) weight: f64,
    pub(super) max_requests: Option<u32>,
    pub(super) backup: bool,
    pub(super) probed: bool,
    pub(super) slow_start: Duration,
}

impl Settings {
    pub(super) fn new(peer: &model::Peer, pool: &model::Pool) -> Self {
        Self {
            weight: peer.weight,
            max_requests: peer.max_requests,
            backup: peer.backup,
            probed: pool.health.is_some(),
            slow_start: pool.slow_start,
        }
    }
}

/// How a peer stands, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PeerState {
    /// In use; no probe has confirmed it yet.
    Unknown,
    /// In use, confirmed by probes.
    Healthy,
    /// In use with a share that grows.
    SlowStart,
    /// Out: probes fail.
    Unhealthy,
    /// Out for a while: requests failed.
    Ejected,
    /// The next request decides whether it comes back.
    HalfOpen,
    /// Out for a while: it asked for that.
    CoolingDown,
}

impl PeerState {
    /// The word used in status and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Healthy => "healthy",
            Self::SlowStart => "slow_start",
            Self::Unhealthy => "unhealthy",
            Self::Ejected => "ejected",
            Self::HalfOpen => "half_open",
            Self::CoolingDown => "cooling_down",
        }
    }

    /// Whether requests other than a trial go there.
    pub fn usable(self) -> bool {
        matches!(self, Self::Unknown | Self::Healthy | Self::SlowStart)
    }
}

/// A peer at one instant, for status and metrics.
#[derive(Debug, Clone)]
pub struct PeerView {
    /// `host:port` as configured.
    pub label: Arc<str>,
    /// Address behind the label.
    pub addr: SocketAddr,
    /// Configured share.
    pub weight: f64,
    /// Most requests in flight; `None` = no cap.
    pub max_requests: Option<u32>,
    /// Used only while no other peer is usable.
    pub backup: bool,
    /// No longer configured; listed until its last request ends.
    pub draining: bool,
    /// Requests in flight.
    pub in_flight: u32,
    /// Tokens charged and not yet drawn down.
    pub queued_tokens: u64,
    /// How it stands.
    pub state: PeerState,
    /// For how long it has stood so.
    pub state_for: Duration,
    /// Time until an ejection or cool-down ends.
    pub out_for: Option<Duration>,
    /// Failed requests in a row.
    pub consecutive_failures: u32,
    /// Requests dispatched since it was first known.
    pub requests: u64,
    /// Requests of these that failed.
    pub failures: u64,
    /// Time since the last response byte; `None` = none yet.
    pub last_byte_ago: Option<Duration>,
}

impl Peer {
    pub(super) fn new(
        label: Arc<str>,
        addr: SocketAddr,
        settings: Settings,
        joining: Joining,
        now: Instant,
    ) -> Self {
        let live = Arc::new(Live::new(joining, now));
        let id = hash::stable(format!("{label} {addr}").as_bytes());
        Self {
            label,
            addr,
            id,
            settings,
            live,
        }
    }

    /// The same peer under other settings, with the same live state.
    pub(super) fn with_settings(&self, settings: Settings) -> Self {
        Self {
            label: Arc::clone(&self.label),
            addr: self.addr,
            id: self.id,
            settings,
            live: Arc::clone(&self.live),
        }
    }

    /// `host:port` as configured.
    pub fn label(&self) -> &Arc<str> {
        &self.label
    }

    /// Where to connect.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Requests in flight.
    pub fn in_flight(&self) -> u32 {
        self.live.in_flight()
    }

    /// Tokens charged and not yet drawn down.
    pub fn queued_tokens(&self) -> u64 {
        self.live.queued_tokens()
    }

    /// The same in every process.
    pub(super) fn id(&self) -> u64 {
        self.id
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.settings
    }

    pub(super) fn live(&self) -> &Arc<Live> {
        &self.live
    }

    pub(super) fn availability(&self, now: Instant) -> Availability {
        self.live.availability(self.settings.probed, now)
    }

    /// Weight with slow start applied.
    pub(super) fn effective_weight(&self, now: Instant) -> f64 {
        self.settings.weight * self.live.ramp(self.settings.slow_start, now)
    }

    /// The peer as it stands at `now`.
    pub fn view(&self, now: Instant) -> PeerView {
        let health = self.live.health();
        let (state, since) = self.state(now);
        let left = |until: Option<Instant>| {
            until
                .map(|until| until.saturating_duration_since(now))
                .filter(|left| !left.is_zero())
        };
        PeerView {
            label: Arc::clone(&self.label),
            addr: self.addr,
            weight: self.settings.weight,
            max_requests: self.settings.max_requests,
            backup: self.settings.backup,
            draining: false,
            in_flight: self.live.in_flight(),
            queued_tokens: self.live.queued_tokens(),
            state,
            state_for: now.saturating_duration_since(since),
            out_for: left(health.ejected_until()).max(left(health.cool_until())),
            consecutive_failures: health.failures(),
            requests: self.live.requests(),
            failures: self.live.failures(),
            last_byte_ago: self
                .live
                .last_byte()
                .map(|at| now.saturating_duration_since(at)),
        }
    }

    /// State and its begin.
    fn state(&self, now: Instant) -> (PeerState, Instant) {
        let health = self.live.health();
        if self.settings.probed && health.unhealthy() {
            return (PeerState::Unhealthy, health.changed());
        }
        match health.ejected_until() {
            Some(until) if until > now => return (PeerState::Ejected, health.changed()),
            Some(until) => return (PeerState::HalfOpen, until),
            None => {}
        }
        let mut since = health.changed();
        if let (Some(from), Some(until)) = (health.cooled_at(), health.cool_until()) {
            if until > now {
                return (PeerState::CoolingDown, from);
            }
            since = since.max(until);
        }
        if let Some(from) = health.ramp_from() {
            match from.checked_add(self.settings.slow_start) {
                Some(end) if end <= now => since = since.max(end),
                _ => return (PeerState::SlowStart, since.max(from)),
            }
        }
        if self.settings.probed && health.confirmed() {
            (PeerState::Healthy, since)
        } else {
            (PeerState::Unknown, since)
        }
    }
}
