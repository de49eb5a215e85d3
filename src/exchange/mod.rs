//! One exchange with a peer, tied to no client connection.
//!
//! `Client` owns the pool of upstream connections. An [`Exchange`] is one request on one of them: send, read the
//! head, read the body, then [`Exchange::release`] the connection. Dropping it earlier closes the connection, which
//! is how the peer learns that nobody wants the answer any more.
//!
//! Pingora's own proxy loop is not used for requests with an answer to meter: its replay buffer ends at 64 KiB, it
//! has one timeout for the first byte and all later ones, and each event crosses a channel. Its connector and its
//! framing are used as they are; idle connections are kept in `idle`, and a request whose body is held whole leaves in
//! one write.

mod failure;
pub mod h2;
mod headers;
mod idle;
pub mod tls;

pub use failure::Failure;
pub use headers::{strip_hop_by_hop, upstream_head};

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use pingora::connectors::{ConnectorOptions, TransportConnector};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::protocols::http::v1::client::{HttpSession, http_req_header_to_wire};
use pingora::protocols::{Stream, TcpKeepalive};
use pingora::server::configuration::ServerConf;
use pingora::time::timeout;
use pingora::upstreams::peer::HttpPeer;
use tokio::io::AsyncWriteExt;

use crate::config::model::Timeouts;
use idle::IdlePool;

/// Idle upstream connections are closed by us before a peer does: uvicorn's keep-alive, the shortest in the field,
/// is 5 s.
const IDLE_CONNECTION: Duration = Duration::from_secs(4);

/// How long a peer that stopped reading is listened to.
const LAST_WORDS: Duration = Duration::from_millis(100);

/// Longest body that is copied behind its head so that both leave in one system call, in bytes.
const ONE_WRITE: usize = 32 * 1024;

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
        let stream = match idle {
            Some(stream) => stream,
            None => {
                let peer = http_peer(address, &timeouts);
                // Connecting takes 8 KiB of state (TLS above all), which every request would otherwise carry along and
                // every stream keep.
                Box::pin(self.connector.new_stream(&peer))
                    .await
                    .map_err(|error| Failure::connecting(&error))?
            }
        };
        Ok(Exchange {
            link: Link::Connected(stream),
            address,
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
    link: Link,
    address: SocketAddr,
    reused: bool,
    timeouts: Timeouts,
    deadline: Instant,
    /// The request was written to its end: without that the connection cannot carry another one.
    sent: bool,
}

/// A connection, before and after HTTP is spoken on it.
enum Link {
    Connected(Stream),
    Talking(Box<HttpSession>),
    /// Only while it changes from one to the other, or a request was given up in between.
    Lost,
}

impl Link {
    /// The session on this connection, begun if need be.
    fn session(&mut self) -> Result<&mut HttpSession, Failure> {
        if let Self::Connected(_) = self
            && let Self::Connected(stream) = std::mem::replace(self, Self::Lost)
        {
            *self = Self::Talking(Box::new(HttpSession::new(stream)));
        }
        match self {
            Self::Talking(session) => Ok(session),
            _ => Err(Failure::Broken("the connection was given up".to_owned())),
        }
    }
}

impl Exchange {
    /// Whether the connection had carried an earlier request: a failure before the first byte may then only mean
    /// that the peer had closed it meanwhile.
    pub fn reused(&self) -> bool {
        self.reused
    }

    /// Sends the request head.
    pub async fn send_head(&mut self, head: Box<RequestHeader>) -> Result<(), Failure> {
        let limit = self.within(self.timeouts.first_byte)?;
        let session = self.link.session()?;
        session.write_timeout = Some(limit);
        session
            .write_request_header(head)
            .await
            .map(drop)
            .map_err(|error| Failure::before_first_byte(&error))
    }

    /// Sends a part of the request body; `last` ends it.
    pub async fn send_body(&mut self, part: Bytes, last: bool) -> Result<(), Failure> {
        let limit = self.within(self.timeouts.first_byte)?;
        let session = self.link.session()?;
        session.write_timeout = Some(limit);
        if !part.is_empty() {
            session
                .write_body(&part)
                .await
                .map_err(|error| Failure::before_first_byte(&error))?;
        }
        if last {
            session
                .finish_body()
                .await
                .map_err(|error| Failure::before_first_byte(&error))?;
            self.sent = true;
        }
        Ok(())
    }

    /// Sends a request whose body is held whole and whose length its head says, and reads the response head. Not for
    /// `HEAD`, whose answer has another framing.
    pub async fn ask(
        &mut self,
        head: &RequestHeader,
        body: Bytes,
    ) -> Result<ResponseHeader, Failure> {
        let mut wire = http_req_header_to_wire(head)
            .ok_or_else(|| Failure::Broken("the request head cannot be written".to_owned()))?;
        let limit = self.within(self.timeouts.first_byte)?;
        let Link::Connected(mut stream) = std::mem::replace(&mut self.link, Link::Lost) else {
            return Err(Failure::Broken("the connection is in use".to_owned()));
        };
        let rest = if body.len() <= ONE_WRITE {
            wire.extend_from_slice(&body);
            Bytes::new()
        } else {
            body
        };
        let written = timeout(limit, async {
            stream.write_all(&wire).await?;
            stream.write_all(&rest).await?;
            stream.flush().await
        })
        .await;
        self.link = Link::Connected(stream);
        match written {
            Ok(Ok(())) => {
                self.sent = true;
                self.head().await
            }
            Ok(Err(error)) => self.last_words(Failure::Reset(error.to_string())).await,
            Err(_) => Err(Failure::FirstByteTimeout),
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
            let session = self.link.session()?;
            session.read_timeout = Some(wait);
            session
                .read_response()
                .await
                .map_err(|error| Failure::before_first_byte(&error))?;
            match session.resp_header() {
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
        let session = self.link.session()?;
        session.read_timeout = Some(wait);
        session
            .read_body_bytes()
            .await
            .map_err(|error| Failure::in_body(&error))
    }

    /// Whether the answer has been read to its end, known without another read.
    pub fn is_done(&mut self) -> bool {
        match &mut self.link {
            Link::Talking(session) => session.is_body_done(),
            Link::Connected(_) | Link::Lost => false,
        }
    }

    /// Gives the connection back to the pool if request and answer were carried to their ends.
    pub async fn release(mut self, client: &Client) {
        if !self.sent || !self.is_done() {
            return;
        }
        if let Link::Talking(mut session) = self.link {
            session.respect_keepalive();
            if let Some(stream) = session.reuse().await {
                client.idle.put(self.address, stream, Instant::now());
            }
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
