//! Opens exchanges, on connections that are there or on new ones.

use std::time::{Duration, Instant};

use pingora::connectors::{ConnectorOptions, TransportConnector};
use pingora::server::configuration::ServerConf;

use super::deadline::Deadline;
use super::h2::{Connections, Opened};
use super::idle::IdlePool;
use super::reach::Way;
use super::tls::{Spoken, connect};
use super::{Exchange, Failure};
use crate::config::model::Timeouts;
use crate::wire::{Conn, Io};

/// Idle upstream connections are closed by us before a peer does: uvicorn's keep-alive, the shortest in the field,
/// is 5 s.
const IDLE_CONNECTION: Duration = Duration::from_secs(4);
/// HTTP/2 connections say goodbye before they close, so that they may wait longer.
const IDLE_HTTP2: Duration = Duration::from_secs(30);

/// Opens exchanges and keeps the upstream connections between them.
pub struct Client {
    connector: TransportConnector,
    idle: IdlePool,
    http2: Connections,
}

impl Client {
    /// A client whose connections follow the server's settings.
    pub fn new(conf: &ServerConf) -> Self {
        Self {
            connector: TransportConnector::new(Some(ConnectorOptions::from_server_conf(conf))),
            idle: IdlePool::default(),
            http2: Connections::default(),
        }
    }

    /// Closes connections that nobody used for a while. Never returns.
    pub async fn sweep_forever(&self) {
        let idle = async {
            loop {
                tokio::time::sleep(IDLE_CONNECTION).await;
                self.idle.sweep(IDLE_CONNECTION, Instant::now());
            }
        };
        tokio::join!(idle, self.http2.sweep_forever(IDLE_HTTP2));
    }

    /// Connects, or takes what is idle at `now` or a place on a shared connection. The total time of `timeouts` runs from
    /// `start`.
    ///
    /// # Errors
    /// `Failure::Connect`.
    pub async fn open(
        &self,
        way: Way,
        timeouts: Timeouts,
        start: Instant,
        now: Instant,
    ) -> Result<Exchange, Failure> {
        let deadline = Deadline::new(start + timeouts.total);
        // With HTTP/2 these are connections to peers that preferred HTTP/1.1.
        if let Some(conn) = self.take_idle(&way, now) {
            return Ok(Exchange::http1(conn, way, true, timeouts, deadline));
        }
        // Connecting takes 8 KiB of state (TLS above all), which every request would otherwise carry along and every
        // stream keep.
        if way.http2 {
            return Box::pin(self.share(&self.http2, way, timeouts, start)).await;
        }
        let (stream, _) = Box::pin(self.connect(&way, &timeouts)).await?;
        let conn = Conn::new(stream);
        Ok(Exchange::http1(conn, way, false, timeouts, deadline))
    }

    /// Connects anew, whatever is there.
    ///
    /// # Errors
    /// `Failure::Connect`.
    pub async fn open_anew(
        &self,
        way: Way,
        timeouts: Timeouts,
        start: Instant,
    ) -> Result<Exchange, Failure> {
        let own = Connections::default();
        Box::pin(self.share(&own, way, timeouts, start)).await
    }

    async fn share(
        &self,
        connections: &Connections,
        way: Way,
        timeouts: Timeouts,
        start: Instant,
    ) -> Result<Exchange, Failure> {
        let connect = || self.connect(&way, &timeouts);
        let opened = connections.open(way.destination(), timeouts, start, connect);
        let deadline = Deadline::new(start + timeouts.total);
        Ok(match opened.await? {
            Opened::Call(call) => Exchange::http2(call, way, timeouts, deadline),
            Opened::Http1(stream) => {
                Exchange::http1(Conn::new(stream), way, false, timeouts, deadline)
            }
        })
    }

    async fn connect(&self, way: &Way, timeouts: &Timeouts) -> Result<(Io, Spoken), Failure> {
        let tls = way.tls.as_deref();
        connect(&self.connector, way.address, tls, way.http2, timeouts).await
    }

    fn take_idle(&self, way: &Way, now: Instant) -> Option<Conn> {
        if way.http2 && way.tls.is_none() {
            return None;
        }
        self.idle.take(&way.destination(), IDLE_CONNECTION, now)
    }

    pub(super) fn keep(&self, way: &Way, conn: Conn, now: Instant) {
        self.idle.put(way.destination(), conn, now);
    }
}
