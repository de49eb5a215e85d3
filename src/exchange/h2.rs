//! HTTP/2 to peers: few connections, many requests on each.
//!
//! [`Connections`] keeps them, [`Call`] is one request and its answer on one of them, with the operations of an exchange
//! over HTTP/1. A call that is dropped before its end is reset (`CANCEL`), which is how the peer learns that nobody wants
//! the answer any more; the connection goes on.

mod call;
mod connection;

pub use call::Call;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use dashmap::DashMap;
use pingora::protocols::Stream;
use pingora::time::timeout;
use tokio::sync::Mutex;

use super::Failure;
use super::tls::{Destination, Spoken};
use crate::config::model::Timeouts;
use connection::Connection;

/// The connections to all peers that speak HTTP/2.
#[derive(Default)]
pub struct Connections(DashMap<Destination, Arc<Peer>>);

#[derive(Default)]
struct Peer {
    connections: Mutex<Vec<Connection>>,
    /// It was offered HTTP/2 and chose HTTP/1.1: nobody has to wait for another's connection then.
    old: AtomicBool,
}

/// What there is to speak on.
pub enum Opened {
    /// A place on an HTTP/2 connection.
    Call(Call),
    /// A new connection, on which the peer wants HTTP/1.1.
    Http1(Stream),
}

impl Connections {
    /// Takes a place on a connection to `to`, or on a new one over what `connect` opens. Whoever comes while it is being
    /// opened waits for it. The total time of `timeouts` runs from `start`.
    ///
    /// # Errors
    /// `Failure::Connect`, at the latest after `timeouts.connect`.
    pub async fn open<F>(
        &self,
        to: Destination,
        timeouts: Timeouts,
        start: Instant,
        connect: impl FnOnce() -> F,
    ) -> Result<Opened, Failure>
    where
        F: Future<Output = Result<(Stream, Spoken), Failure>>,
    {
        let peer = Arc::clone(&self.0.entry(to).or_default());
        let tls = to.tls.is_some();
        let opening = async {
            let mut connections = peer.connections.lock().await;
            connections.retain(Connection::is_open);
            for connection in connections.iter() {
                if let Some(place) = connection.place().await {
                    return Ok(Opened::Call(Call::new(place, true, tls, timeouts, start)));
                }
            }
            let (stream, spoken) = if peer.old.load(Ordering::Relaxed) {
                drop(connections);
                let connected = connect().await?;
                connections = peer.connections.lock().await;
                connected
            } else {
                connect().await?
            };
            peer.old.store(spoken == Spoken::Http1, Ordering::Relaxed);
            if spoken == Spoken::Http1 {
                return Ok(Opened::Http1(stream));
            }
            let connection = Connection::begin(stream).await?;
            let place = connection.place().await.ok_or_else(|| {
                Failure::Connect("the peer closed the connection at once".to_owned())
            })?;
            connections.push(connection);
            Ok(Opened::Call(Call::new(place, false, tls, timeouts, start)))
        };
        timeout(timeouts.connect, opening)
            .await
            .unwrap_or_else(|_| Err(Failure::Connect("not in time".to_owned())))
    }

    /// Closes connections that carried nothing since the last sweep, and forgets peers without any.
    pub fn sweep(&self) {
        self.0.retain(|_, peer| {
            // Somebody is opening one: not idle.
            let Ok(mut connections) = peer.connections.try_lock() else {
                return true;
            };
            connections.retain(|connection| connection.is_open() && connection.was_used());
            // A caller may hold the peer without having locked its list yet.
            !connections.is_empty() || Arc::strong_count(peer) > 1
        });
    }

    /// Sweeps every so often. Never returns.
    pub async fn sweep_forever(&self, every: Duration) {
        loop {
            tokio::time::sleep(every).await;
            self.sweep();
        }
    }
}

#[cfg(test)]
mod tests;
