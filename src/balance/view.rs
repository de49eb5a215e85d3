//! A peer as others see it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::health::{Failure, Health};
use super::peer::Peer;

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
    /// How the last request that failed did so.
    pub last_failure: Option<Failure>,
    /// Requests dispatched since it was first known.
    pub requests: u64,
    /// Requests of these that failed.
    pub failures: u64,
    /// Time since the last response byte; `None` = none yet.
    pub last_byte_ago: Option<Duration>,
}

impl Peer {
    /// The peer as it stands at `now`.
    pub fn view(&self, now: Instant) -> PeerView {
        let health = self.live().health();
        let (state, since) = self.state(&health, now);
        let left = |until: Option<Instant>| {
            until
                .map(|until| until.saturating_duration_since(now))
                .filter(|left| !left.is_zero())
        };
        PeerView {
            label: Arc::clone(self.label()),
            addr: self.addr(),
            weight: self.settings().weight,
            max_requests: self.settings().max_requests,
            backup: self.settings().backup,
            draining: false,
            in_flight: self.live().in_flight(),
            queued_tokens: self.live().queued_tokens(),
            state,
            state_for: now.saturating_duration_since(since),
            out_for: left(health.ejected_until()).max(left(health.cool_until())),
            consecutive_failures: health.failures(),
            last_failure: health.last_failure(),
            requests: self.live().requests(),
            failures: self.live().failures(),
            last_byte_ago: self
                .live()
                .last_byte()
                .map(|at| now.saturating_duration_since(at)),
        }
    }

    /// State and its begin.
    fn state(&self, health: &Health, now: Instant) -> (PeerState, Instant) {
        if self.settings().probed && health.unhealthy() {
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
            match from.checked_add(self.settings().slow_start) {
                Some(end) if end <= now => since = since.max(end),
                _ => return (PeerState::SlowStart, since.max(from)),
            }
        }
        if self.settings().probed && health.confirmed() {
            (PeerState::Healthy, since)
        } else {
            (PeerState::Unknown, since)
        }
    }
}
