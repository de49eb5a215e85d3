//! One exchange with a peer, tied to no client connection.
//!
//! `Client` owns the pool of upstream connections. An [`Exchange`] is one request on one of them: send, read the
//! head, read the body, then [`Exchange::release`] the connection. Dropping it earlier closes the connection, which
//! is how the peer learns that nobody wants the answer any more.
//!
//! Pingora's own proxy loop is not used: its replay buffer ends at 64 KiB, it has one timeout for the first byte and
//! all later ones, and each event crosses a channel. Connections are made by its connector; HTTP/1 is spoken on them by
//! `h1`, idle ones are kept in `idle`, and a request whose body is held whole leaves in one write.

mod failure;
mod h1;
pub mod h2;
mod headers;
mod idle;
pub mod tls;

pub use failure::Failure;
pub use headers::{strip_hop_by_hop, upstream_head};

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::HeaderMap;
use pingora::connectors::{ConnectorOptions, TransportConnector};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::protocols::TcpKeepalive;
use pingora::server::configuration::ServerConf;
use pingora::time::timeout;
use pingora::upstreams::peer::HttpPeer;

use crate::config::model::Timeouts;
use crate::wire::Conn;
use h1::Http1;
use idle::IdlePool;

/// Idle upstream connections are closed by us before a peer does: uvicorn's keep-alive, the shortest in the field,
/// is 5 s.
const IDLE_CONNECTION: Duration = Duration::from_secs(4);

/// How long a peer that stopped reading is listened to.
const LAST_WORDS: Duration = Duration::from_millis(100);

/// Opens exchanges and keeps the idle upstream connections.
pub struct Client {
    connector: TransportConnector,
    idle: IdlePool,
}

impl Client {
    /// A client whose connection pool follows the server's settings.
    pub fn new(conf: &ServerConf) -> Self {
        Self {
            connector: TransportConnector::new(Some(ConnectorOptions::from_server_conf(conf))),
            idle: IdlePool::default(),
        }
    }

    /// Closes connections that nobody used for a while. Never returns.
    pub async fn sweep_forever(&self) {
        loop {
            tokio::time::sleep(IDLE_CONNECTION).await;
            self.idle.sweep(IDLE_CONNECTION, Instant::now());
        }
    }

    /// Connects to `address`, or takes an idle connection to it. The total time of `timeouts` runs from `start`.
    pub async fn open(
        &self,
        address: SocketAddr,
        timeouts: Timeouts,
        start: Instant,
    ) -> Result<Exchange, Failure> {
        let idle = self.idle.take(address, IDLE_CONNECTION, Instant::now());
        let reused = idle.is_some();
        let conn = match idle {
            Some(conn) => conn,
            None => {
                let peer = http_peer(address, &timeouts);
                // Connecting takes 8 KiB of state (TLS above all), which every request would otherwise carry along and
                // every stream keep.
                let stream = Box::pin(self.connector.new_stream(&peer)).await;
                Conn::new(stream.map_err(|error| Failure::connecting(&error))?)
            }
        };
        Ok(Exchange {
            link: Http1::new(conn),
            address,
            reused,
            timeouts,
            deadline: start + timeouts.total,
        })
    }
}

/// The address and connection settings of a peer, in Pingora's terms.
fn http_peer(address: SocketAddr, timeouts: &Timeouts) -> HttpPeer {
    let mut peer = HttpPeer::new(address, false, String::new());
    peer.options.connection_timeout = Some(timeouts.connect);
    peer.options.total_connection_timeout = Some(timeouts.connect);
    peer.options.tcp_keepalive = Some(TcpKeepalive {
        idle: Duration::from_secs(60),
        interval: Duration::from_secs(10),
        count: 3,
        #[cfg(target_os = "linux")]
        user_timeout: Duration::ZERO,
    });
    peer
}

/// One request and its answer on one upstream connection.
pub struct Exchange {
    link: Http1,
    address: SocketAddr,
    reused: bool,
    timeouts: Timeouts,
    deadline: Instant,
}

impl Exchange {
    /// Whether the connection had carried an earlier request: a failure before the first byte may then only mean
    /// that the peer had closed it meanwhile.
    pub fn reused(&self) -> bool {
        self.reused
    }

    /// Sends the request head.
    pub async fn send_head(&mut self, head: &RequestHeader) -> Result<(), Failure> {
        let limit = self.within(self.timeouts.first_byte)?;
        self.link.put_head(head);
        self.link.send(Bytes::new(), false, limit).await
    }

    /// Sends a part of the request body; `last` ends it.
    pub async fn send_body(&mut self, part: Bytes, last: bool) -> Result<(), Failure> {
        let limit = self.within(self.timeouts.first_byte)?;
        self.link.send(part, last, limit).await
    }

    /// Ends the request body with trailers.
    pub async fn send_trailers(&mut self, trailers: &HeaderMap) -> Result<(), Failure> {
        let limit = self.within(self.timeouts.first_byte)?;
        self.link.send_trailers(trailers, limit).await
    }

    /// Sends a request whose body is held whole and whose length its head says, and reads the response head.
    pub async fn ask(
        &mut self,
        head: &RequestHeader,
        body: Bytes,
    ) -> Result<ResponseHeader, Failure> {
        let limit = self.within(self.timeouts.first_byte)?;
        self.link.put_head(head);
        match self.link.send(body, true, limit).await {
            Ok(()) => self.head().await,
            Err(failure @ Failure::Reset(_)) => self.last_words(failure).await,
            Err(failure) => Err(failure),
        }
    }

    /// After sending failed: a peer may refuse a large body without reading it, and its reason may have arrived before
    /// the reset.
    ///
    /// # Errors
    /// `failure`, when there is no such reason.
    pub async fn last_words(&mut self, failure: Failure) -> Result<ResponseHeader, Failure> {
        match timeout(LAST_WORDS, self.head()).await {
            Ok(Ok(head)) => Ok(head),
            _ => Err(failure),
        }
    }

    /// Reads the final response head. Informational heads (1xx) are passed over.
    ///
    /// May be dropped and called again.
    pub async fn head(&mut self) -> Result<ResponseHeader, Failure> {
        let limit = self.within(self.timeouts.first_byte)?;
        self.link.head(limit).await
    }

    /// Reads the next part of the response body as it comes; `None` at its proper end.
    ///
    /// May be dropped and called again.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Failure> {
        let limit = self.within(self.timeouts.between_chunks)?;
        self.link.chunk(limit).await
    }

    /// Whether the answer has been read to its end, known without another read.
    pub fn is_done(&self) -> bool {
        self.link.is_done()
    }

    /// Trailers behind the answer's body, once that is done.
    pub fn take_trailers(&mut self) -> Option<HeaderMap> {
        self.link.take_trailers()
    }

    /// The connection itself, for a protocol that was agreed upon.
    pub fn into_connection(self) -> Conn {
        self.link.conn
    }

    /// Gives the connection back to the pool if request and answer were carried to their ends.
    pub fn release(self, client: &Client) {
        if let Some(conn) = self.link.reusable() {
            client.idle.put(self.address, conn, Instant::now());
        }
    }

    /// `limit`, or what is left of the total time if that is less.
    fn within(&self, limit: Duration) -> Result<Duration, Failure> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            Err(Failure::TotalTimeout)
        } else {
            Ok(limit.min(left))
        }
    }
}
