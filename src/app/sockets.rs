//! The listening sockets: bound here or taken over, and given to Pingora.
//!
//! Pingora binds by itself too, but panics on a taken port without naming it. And a process that hands its sockets to the
//! next one has to hold them.

use std::collections::HashMap;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::IntoRawFd;

use async_trait::async_trait;
use parking_lot::Mutex;
use pingora::server::{ListenFds, ShutdownWatch};
use pingora::services::{ServiceReadyNotifier, ServiceWithDependents};

use super::Error;

/// Listening sockets by their address as Pingora names it. A copy of those that Pingora listens on: they are closed when
/// both are.
#[derive(Debug, Default)]
pub(super) struct Sockets(HashMap<String, TcpListener>);

impl Sockets {
    /// One for each address: from `inherited` where it is there, else bound. The rest of `inherited` is closed.
    pub(super) fn open(
        addresses: impl IntoIterator<Item = SocketAddr>,
        mut inherited: Self,
    ) -> Result<Self, Error> {
        let mut sockets = Self::default();
        for address in addresses {
            let name = address.to_string();
            let cannot = |error| Error::Start(format!("cannot listen on {address}: {error}"));
            let listener = match inherited.0.remove(&name) {
                Some(listener) => listener,
                None => TcpListener::bind(address).map_err(cannot)?,
            };
            // Pingora takes them as they are.
            listener.set_nonblocking(true).map_err(cannot)?;
            sockets.0.insert(name, listener);
        }
        Ok(sockets)
    }

    pub(super) fn add(&mut self, address: String, listener: TcpListener) {
        self.0.insert(address, listener);
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &TcpListener)> {
        self.0
            .iter()
            .map(|(address, listener)| (address.as_str(), listener))
    }

    /// A service that gives them to Pingora; the services that listen have to depend on it.
    pub(super) fn for_pingora(&self) -> Result<Giver, Error> {
        let copies = self
            .iter()
            .map(|(address, listener)| Ok((address.to_owned(), listener.try_clone()?)))
            .collect::<std::io::Result<_>>()
            .map_err(|error| Error::Start(format!("cannot start: {error}")))?;
        Ok(Giver(Mutex::new(copies)))
    }
}

/// See [`Sockets::for_pingora`].
pub(super) struct Giver(Mutex<Vec<(String, TcpListener)>>);

#[async_trait]
impl ServiceWithDependents for Giver {
    async fn start_service(
        &mut self,
        table: Option<ListenFds>,
        _shutdown: ShutdownWatch,
        _listeners_per_fd: usize,
        ready: ServiceReadyNotifier,
    ) {
        if let Some(table) = table {
            let mut table = table.lock();
            for (address, listener) in self.0.lock().drain(..) {
                table.add(address, listener.into_raw_fd());
            }
        }
        ready.notify_ready();
    }

    fn name(&self) -> &str {
        "sockets"
    }

    fn threads(&self) -> Option<usize> {
        Some(1)
    }

    fn listen_addresses(&self) -> Option<Vec<String>> {
        Some(Vec::new())
    }
}
