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
    addr_text: Arc<str>,
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
            addr_text: addr.to_string().into(),
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
            addr_text: Arc::clone(&self.addr_text),
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

    /// `addr` as text.
    pub fn addr_text(&self) -> &Arc<str> {
        &self.addr_text
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
}
