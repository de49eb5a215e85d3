//! One exchange with a peer, tied to no client connection.
//!
//! `Client` owns the pool of upstream connections. An [`Exchange`] is one request on one of them: send, read the
//! head, read the body, then [`Exchange::release`] the connection. Dropping it earlier closes the connection, which
//! is how the peer learns that nobody wants the answer any more.
//!
//! Pingora's own proxy loop is not used for requests with an answer to meter: its replay buffer ends at 64 KiB, it
//! has one timeout for the first byte and all later ones, and each event crosses a channel. Its connector, framing
//! and connection pool are used as they are.

mod failure;
mod headers;

pub use failure::Failure;
pub use headers::{strip_hop_by_hop, upstream_head};

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use pingora::connectors::ConnectorOptions;
use pingora::connectors::http::Connector;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::protocols::TcpKeepalive;
use pingora::protocols::http::client::HttpSession;
use pingora::server::configuration::ServerConf;
use pingora::upstreams::peer::HttpPeer;
use tokio::time::timeout;

use crate::config::model::Timeouts;

/// Idle upstream connections are closed by us before a peer does: uvicorn's keep-alive, the shortest in the field,
/// is 5 s.
const IDLE_CONNECTION: Duration = Duration::from_secs(4);

/// How long a peer that stopped reading is listened to.
const LAST_WORDS: Duration = Duration::from_millis(100);

/// Opens exchanges and keeps the idle upstream connections.
pub struct Client {
    connector: Connector,
}

impl Client {
    /// A client whose connection pool follows the server's settings.
    pub fn new(conf: &ServerConf) -> Self {
        Self {
            connector: Connector::new(Some(ConnectorOptions::from_server_conf(conf))),
        }
    }

    /// Connects to `address`, or takes an idle connection to it. The total time of `timeouts` runs from `start`.
    pub async fn open(
        &self,
        address: SocketAddr,
        timeouts: Timeouts,
        start: Instant,
    ) -> Result<Exchange, Failure> {
        let peer = http_peer(address, &timeouts);
        let (session, reused) = self
            .connector
            .get_http_session(&peer)
            .await
            .map_err(|error| Failure::connecting(&error))?;
        Ok(Exchange {
            session,
            peer,
            reused,
            timeouts,
            deadline: start + timeouts.total,
            sent: false,
        })
    }
}

/// The address and connection settings of a peer, in Pingora's terms.
pub fn http_peer(address: SocketAddr, timeouts: &Timeouts) -> HttpPeer {
    let mut peer = HttpPeer::new(address, false, String::new());
    peer.options.connection_timeout = Some(timeouts.connect);
    peer.options.total_connection_timeout = Some(timeouts.connect);
    peer.options.read_timeout = Some(timeouts.first_byte.max(timeouts.between_chunks));
    peer.options.write_timeout = Some(timeouts.first_byte);
    peer.options.idle_timeout = Some(IDLE_CONNECTION);
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
    session: HttpSession,
    peer: HttpPeer,
    reused: bool,
    timeouts: Timeouts,
    deadline: Instant,
    /// The request was written to its end: without that the connection cannot carry another one.
    sent: bool,
}

impl Exchange {
    /// Whether the connection had carried an earlier request: a failure before the first byte may then only mean
    /// that the peer had closed it meanwhile.
    pub fn reused(&self) -> bool {
        self.reused
    }

    /// Sends the request head.
    pub async fn send_head(&mut self, head: Box<RequestHeader>) -> Result<(), Failure> {
        self.session
            .set_write_timeout(Some(self.within(self.timeouts.first_byte)?));
        self.session
            .write_request_header(head)
            .await
            .map_err(|error| Failure::before_first_byte(&error))
    }

    /// Sends a part of the request body; `last` ends it.
    pub async fn send_body(&mut self, part: Bytes, last: bool) -> Result<(), Failure> {
        self.session
            .set_write_timeout(Some(self.within(self.timeouts.first_byte)?));
        if !part.is_empty() {
            self.session
                .write_request_body(part, last)
                .await
                .map_err(|error| Failure::before_first_byte(&error))?;
        }
        if last {
            self.session
                .finish_request_body()
                .await
                .map_err(|error| Failure::before_first_byte(&error))?;
            self.sent = true;
        }
        Ok(())
    }

    /// Sends a request whose body is held whole and reads the response head.
    pub async fn ask(
        &mut self,
        head: Box<RequestHeader>,
        body: Bytes,
    ) -> Result<ResponseHeader, Failure> {
        self.send_head(head).await?;
        match self.send_body(body, true).await {
            Ok(()) => self.head().await,
            Err(failure) => self.last_words(failure).await,
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
        loop {
            let wait = self.within(self.timeouts.first_byte)?;
            self.session.set_read_timeout(Some(wait));
            self.session
                .read_response_header()
                .await
                .map_err(|error| Failure::before_first_byte(&error))?;
            match self.session.response_header() {
                // Nobody asks for one here: what follows would not be HTTP.
                Some(head) if head.status == 101 => {
                    return Err(Failure::Broken("switched protocols unasked".to_owned()));
                }
                Some(head) if head.status.is_informational() => {}
                Some(head) => return Ok(head.clone()),
                None => return Err(Failure::Broken("no response head".to_owned())),
            }
        }
    }

    /// Reads the next part of the response body as it comes; `None` at its proper end.
    ///
    /// May be dropped and called again.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Failure> {
        let wait = self.within(self.timeouts.between_chunks)?;
        self.session.set_read_timeout(Some(wait));
        self.session
            .read_response_body()
            .await
            .map_err(|error| Failure::in_body(&error))
    }

    /// Whether the answer has been read to its end, known without another read.
    pub fn is_done(&mut self) -> bool {
        self.session.response_done()
    }

    /// Gives the connection back to the pool if request and answer were carried to their ends.
    pub async fn release(mut self, client: &Client) {
        if !self.sent || !self.is_done() {
            return;
        }
        client
            .connector
            .release_http_session(self.session, &self.peer, Some(IDLE_CONNECTION))
            .await;
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
