//! How the peers of a pool are reached: prepared once, when the configuration is read.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use super::tls::{Destination, PeerTls};
use crate::config::model;
use crate::tls::{Client, Peers, Problem, client};

/// How the peers of a pool are reached.
pub struct Reach {
    tls: Option<Secured>,
    http2: bool,
}

/// TLS as a pool's requests need it.
struct Secured {
    /// Offers what the pool speaks.
    usual: Named,
    /// Offers HTTP/1.1 alone, for what must have a connection to itself.
    http1: Named,
}

/// The settings for each peer, which differ in the name that its certificate is for.
#[derive(Clone)]
struct Named {
    settings: Client,
    sni: Option<String>,
    by_host: HashMap<String, Arc<PeerTls>>,
}

/// The way to one peer.
#[derive(Clone)]
pub struct Way {
    pub(super) address: SocketAddr,
    pub(super) tls: Option<Arc<PeerTls>>,
    pub(super) http2: bool,
}

impl Reach {
    /// Reads the authorities that the pool's peers are believed by.
    ///
    /// # Errors
    /// The file that cannot be used, and why.
    pub fn new(pool: &model::Pool) -> Result<Self, Problem> {
        let secured = |tls: &model::PeerTls| {
            let http1 = Named::new(tls, pool, false)?;
            let usual = match pool.http2 {
                true => Named::new(tls, pool, true)?,
                false => http1.clone(),
            };
            Ok(Secured { usual, http1 })
        };
        Ok(Self {
            tls: pool.tls.as_ref().map(secured).transpose()?,
            http2: pool.http2,
        })
    }

    /// The way to the peer at `address` that is configured as `label` (`host:port`).
    pub fn way(&self, label: &str, address: SocketAddr) -> Way {
        Way {
            address,
            tls: self.tls.as_ref().map(|tls| tls.usual.of(label)),
            http2: self.http2,
        }
    }

    /// The same over HTTP/1.1, for protocols that take a whole connection over. `None` where peers without TLS are spoken
    /// to in HTTP/2: they would not understand it.
    pub fn http1(&self, label: &str, address: SocketAddr) -> Option<Way> {
        if self.http2 && self.tls.is_none() {
            return None;
        }
        Some(Way {
            address,
            tls: self.tls.as_ref().map(|tls| tls.http1.of(label)),
            http2: false,
        })
    }
}

impl Named {
    fn new(tls: &model::PeerTls, pool: &model::Pool, http2: bool) -> Result<Self, Problem> {
        let believed = match (tls.verify, &tls.ca) {
            (false, _) => Peers::Any,
            (true, Some(file)) => Peers::Of(file),
            (true, None) => Peers::System,
        };
        let mut named = Self {
            settings: client(believed, http2)?,
            sni: tls.sni.clone(),
            by_host: HashMap::new(),
        };
        for peer in &pool.peers {
            let host = bare(&peer.host);
            let settings = named.for_host(host);
            named.by_host.insert(host.to_owned(), settings);
        }
        Ok(named)
    }

    fn of(&self, label: &str) -> Arc<PeerTls> {
        let host = host(label);
        let known = self.by_host.get(host);
        known.map_or_else(|| self.for_host(host), Arc::clone)
    }

    fn for_host(&self, host: &str) -> Arc<PeerTls> {
        let name = self.sni.as_deref().unwrap_or(host);
        Arc::new(PeerTls::new(&self.settings, name))
    }
}

impl Way {
    pub(super) fn destination(&self) -> Destination {
        Destination {
            address: self.address,
            tls: self.tls.as_ref().map(|tls| tls.identity()),
        }
    }
}

fn host(label: &str) -> &str {
    bare(label.rsplit_once(':').map_or(label, |(host, _)| host))
}

/// An IPv6 address without its brackets.
fn bare(host: &str) -> &str {
    let inside = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    inside.unwrap_or(host)
}

#[cfg(test)]
mod tests;
