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
use std::time::{Duration, Instant};

use dashmap::DashMap;
use pingora::protocols::Stream;
use pingora::time::timeout;
use tokio::sync::Mutex;

use super::Failure;
use super::tls::Destination;
use crate::config::model::Timeouts;
use connection::Connection;

/// The connections to all peers that speak HTTP/2.
#[derive(Default)]
pub struct Connections(DashMap<Destination, Arc<Mutex<Vec<Connection>>>>);

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
    ) -> Result<Call, Failure>
    where
        F: Future<Output = Result<Stream, Failure>>,
    {
        let shared = Arc::clone(&self.0.entry(to).or_default());
        let opening = async {
            let mut connections = shared.lock().await;
            connections.retain(Connection::is_open);
            for connection in connections.iter() {
                if let Some(place) = connection.place().await {
                    return Ok(Call::new(place, true, to.tls.is_some(), timeouts, start));
                }
            }
            let connection = Connection::begin(connect().await?).await?;
            let place = connection.place().await.ok_or_else(|| {
                Failure::Connect("the peer closed the connection at once".to_owned())
            })?;
            connections.push(connection);
            Ok(Call::new(place, false, to.tls.is_some(), timeouts, start))
        };
        timeout(timeouts.connect, opening)
            .await
            .unwrap_or_else(|_| Err(Failure::Connect("not in time".to_owned())))
    }

    /// Closes connections that carried nothing since the last sweep, and forgets peers without any.
    pub fn sweep(&self) {
        self.0.retain(|_, shared| {
            // Somebody is opening one: not idle.
            let Ok(mut connections) = shared.try_lock() else {
                return true;
            };
            connections.retain(|connection| connection.is_open() && connection.was_used());
            // A caller may hold the list without having locked it yet.
            !connections.is_empty() || Arc::strong_count(shared) > 1
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
