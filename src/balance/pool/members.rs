//! The list of peers: how it follows the configuration and the DNS.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use crate::balance::health::Joining;
use crate::balance::peer::{Peer, Settings};
use crate::config::model;

/// Peers of a pool; replaced as a whole.
#[derive(Debug, Default)]
pub(super) struct Members {
    /// Can be picked, in file order.
    pub(super) active: Vec<Arc<Peer>>,
    /// Removed, but perhaps not yet idle.
    pub(super) draining: Vec<Arc<Peer>>,
}

/// A peer configured by DNS name.
#[derive(Debug)]
pub(super) struct Name {
    pub(super) label: Arc<str>,
    settings: Settings,
}

/// What new addresses of a name changed.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// Addresses that can now be picked.
    pub added: Vec<SocketAddr>,
    /// Addresses that no longer can.
    pub removed: Vec<SocketAddr>,
}

impl Members {
    /// The list a configuration asks for, with as much of `old` in it as stays.
    pub(super) fn configured(
        config: &model::Pool,
        old: &Self,
        joining: Joining,
        now: Instant,
    ) -> (Vec<Name>, Self) {
        let mut former = Former::of(old);
        let mut names = Vec::new();
        let mut active = Vec::new();
        for peer in &config.peers {
            let label = label(peer);
            let settings = Settings::new(peer, config);
            if let Some(ip) = ip(&peer.host) {
                let addr = SocketAddr::new(ip, peer.port);
                active.push(former.take_or_new(&label, addr, settings, joining, now));
            } else {
                active.extend(former.take_resolved(&label, settings));
                names.push(Name { label, settings });
            }
        }
        (names, former.with_active(active))
    }

    /// The list after `name` has been resolved to `addrs`, and how it differs.
    pub(super) fn resolved(
        &self,
        name: &Name,
        addrs: &[SocketAddr],
        now: Instant,
    ) -> (Self, Resolved) {
        let is_named = |peer: &&Arc<Peer>| peer.label() == &name.label;
        let known: Vec<SocketAddr> = self
            .active
            .iter()
            .filter(is_named)
            .map(|peer| peer.addr())
            .collect();
        let mut wanted = addrs.to_vec();
        wanted.sort_unstable();
        wanted.dedup();
        let changes = Resolved {
            added: wanted
                .iter()
                .filter(|addr| !known.contains(addr))
                .copied()
                .collect(),
            removed: known
                .iter()
                .filter(|addr| !wanted.contains(addr))
                .copied()
                .collect(),
        };

        let joining = if self.active.is_empty() {
            Joining::AtStart
        } else {
            Joining::Later
        };
        let mut former = Former::of(self);
        let mut active = Vec::new();
        for peer in &self.active {
            if !is_named(&peer) {
                active.push(former.take_or_new(
                    peer.label(),
                    peer.addr(),
                    *peer.settings(),
                    joining,
                    now,
                ));
            }
        }
        for addr in wanted {
            active.push(former.take_or_new(&name.label, addr, name.settings, joining, now));
        }
        (former.with_active(active), changes)
    }

    /// Removed peers that still serve requests.
    pub(super) fn busy_draining(&self) -> impl Iterator<Item = &Arc<Peer>> {
        self.draining.iter().filter(|peer| peer.in_flight() > 0)
    }
}

/// Peers of an old list that nobody has claimed for the new one yet.
struct Former {
    active: Vec<Arc<Peer>>,
    draining: Vec<Arc<Peer>>,
}

impl Former {
    fn of(old: &Members) -> Self {
        Self {
            active: old.active.clone(),
            draining: old.draining.clone(),
        }
    }

    /// The peer at this label and address with its live state, also if it was on its way out; else a new one.
    fn take_or_new(
        &mut self,
        label: &Arc<str>,
        addr: SocketAddr,
        settings: Settings,
        joining: Joining,
        now: Instant,
    ) -> Arc<Peer> {
        let is_it = |peer: &Arc<Peer>| peer.label() == label && peer.addr() == addr;
        let known = take_first(&mut self.active, is_it)
            .or_else(|| take_first(&mut self.draining, is_it))
            .map(|peer| peer.with_settings(settings));
        Arc::new(
            known.unwrap_or_else(|| Peer::new(Arc::clone(label), addr, settings, joining, now)),
        )
    }

    /// All addresses in use of a name.
    fn take_resolved(&mut self, label: &Arc<str>, settings: Settings) -> Vec<Arc<Peer>> {
        let (named, others) = std::mem::take(&mut self.active)
            .into_iter()
            .partition(|peer| peer.label() == label);
        self.active = others;
        let named: Vec<Arc<Peer>> = named;
        named
            .iter()
            .map(|peer| Arc::new(peer.with_settings(settings)))
            .collect()
    }

    /// The new list. Who was active and is not claimed drains; who drained and is idle is forgotten.
    fn with_active(mut self, active: Vec<Arc<Peer>>) -> Members {
        self.draining.retain(|peer| peer.in_flight() > 0);
        self.draining.append(&mut self.active);
        Members {
            active,
            draining: self.draining,
        }
    }
}

fn take_first(peers: &mut Vec<Arc<Peer>>, is_it: impl Fn(&Arc<Peer>) -> bool) -> Option<Arc<Peer>> {
    let index = peers.iter().position(is_it)?;
    Some(peers.remove(index))
}

/// `host:port`, an IPv6 address in brackets.
fn label(peer: &model::Peer) -> Arc<str> {
    match ip(&peer.host) {
        Some(ip) => SocketAddr::new(ip, peer.port).to_string().into(),
        None => format!("{}:{}", peer.host, peer.port).into(),
    }
}

/// The host where it is an IP address, in brackets or not.
fn ip(host: &str) -> Option<IpAddr> {
    let bare = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    bare.unwrap_or(host).parse().ok()
}
