//! One exchange with a peer, tied to no client connection.
//!
//! [`Client`] owns the upstream connections, and a pool's [`Reach`] says how its peers are spoken to. An [`Exchange`] is
//! one request on one connection: send, read the head, read the body, then [`Exchange::release`] the connection. Dropping
//! it earlier closes the connection, or with HTTP/2 resets the request, which is how the peer learns that nobody wants
//! the answer any more.
//!
//! Pingora's own proxy loop is not used: its replay buffer ends at 64 KiB, it has one timeout for the first byte and
//! all later ones, and each event crosses a channel. Connections are made by its connector, TLS is added by `tls`; HTTP/1
//! is spoken on them by `h1`, idle ones are kept in `idle`, and a request whose body is held whole leaves in one write, with the
//! others that are ready then (`turn`); HTTP/2 is spoken by `h2`.

mod client;
mod deadline;
mod failure;
mod h1;
pub mod h2;
mod headers;
mod idle;
mod reach;
pub mod tls;
mod turn;

pub use client::Client;
use deadline::Deadline;
pub use failure::Failure;
pub use headers::{strip_hop_by_hop, upstream_head};
pub use reach::{Reach, Way};

use std::pin::pin;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::config::model::Timeouts;
use crate::util::headers::Headers;
use crate::wire::{Alarm, Conn, RequestHead, ResponseHead, within};
use h1::Http1;
use h2::Call;
use turn::turn;

/// How long a peer that stopped reading is listened to.
const LAST_WORDS: Duration = Duration::from_millis(100);

/// One request and its answer on one upstream connection.
pub struct Exchange {
    link: Link,
    way: Way,
    first_byte: Duration,
    between_chunks: Duration,
    deadline: Deadline,
    /// Of the connection, which keeps it from request to request.
    alarm: Alarm,
}

/// What is spoken.
#[expect(
    clippy::large_enum_variant,
    reason = "the usual one is to cost no allocation"
)]
enum Link {
    Http1 { http1: Http1, reused: bool },
    Http2(Box<Call>),
}

impl Exchange {
    fn http1(
        mut conn: Conn,
        way: Way,
        reused: bool,
        timeouts: Timeouts,
        deadline: Deadline,
    ) -> Self {
        let alarm = std::mem::take(&mut conn.alarm);
        let http1 = Http1::new(conn);
        let exchange = Self::on(Link::Http1 { http1, reused }, way, timeouts, deadline);
        Self { alarm, ..exchange }
    }

    fn http2(call: Box<Call>, way: Way, timeouts: Timeouts, deadline: Deadline) -> Self {
        Self::on(Link::Http2(call), way, timeouts, deadline)
    }

    fn on(link: Link, way: Way, timeouts: Timeouts, deadline: Deadline) -> Self {
        Self {
            link,
            way,
            first_byte: timeouts.first_byte,
            between_chunks: timeouts.between_chunks,
            deadline,
            alarm: Alarm::default(),
        }
    }

    /// Whether `failure` may only mean that the peer had let go of the connection meanwhile: it had carried an earlier
    /// request, and no answer to this one had begun.
    pub fn is_stale(&self, failure: &Failure) -> bool {
        matches!(failure, Failure::Reset(_))
            && match &self.link {
                Link::Http1 { reused, .. } => *reused,
                Link::Http2(call) => call.is_stale(),
            }
    }

    /// Begins the request. Over HTTP/1 its head leaves with what is sent next.
    pub fn put_head(&mut self, head: &RequestHead) -> Result<(), Failure> {
        match &mut self.link {
            Link::Http1 { http1, .. } => {
                http1.put_head(head, 0);
                Ok(())
            }
            Link::Http2(call) => call.send_head(head, !headers::announces_body(head)),
        }
    }

    /// Sends the request head.
    pub async fn send_head(&mut self, head: &RequestHead) -> Result<(), Failure> {
        self.put_head(head)?;
        match &self.link {
            Link::Http1 { .. } => self.send_body(Bytes::new(), false).await,
            Link::Http2(_) => Ok(()),
        }
    }

    /// Sends a part of the request body; `last` ends it.
    pub async fn send_body(&mut self, part: Bytes, last: bool) -> Result<(), Failure> {
        match &mut self.link {
            Link::Http1 { http1, .. } => {
                let sending = pin!(http1.send(part, last, self.first_byte));
                self.deadline.in_all(sending).await
            }
            Link::Http2(call) => call.send_body(part, last).await,
        }
    }

    /// Ends the request body with trailers.
    pub async fn send_trailers(&mut self, trailers: &Headers) -> Result<(), Failure> {
        match &mut self.link {
            Link::Http1 { http1, .. } => {
                let sending = pin!(http1.send_trailers(trailers, self.first_byte));
                self.deadline.in_all(sending).await
            }
            Link::Http2(call) => call.send_trailers(trailers),
        }
    }

    /// Sends a request whose body is held whole and whose length its head says, and reads the response head.
    pub async fn ask(&mut self, head: &RequestHead, body: Bytes) -> Result<ResponseHead, Failure> {
        match &mut self.link {
            Link::Http1 { http1, .. } => {
                http1.put_head(head, body.len());
                turn().await;
                let sent = {
                    let sending = pin!(http1.send(body, true, self.first_byte));
                    self.deadline.in_all(sending).await
                };
                match sent {
                    Ok(()) => self.head().await,
                    Err(failure @ Failure::Reset(_)) => self.last_words(failure).await,
                    Err(failure) => Err(failure),
                }
            }
            Link::Http2(call) => call.ask(head, body).await,
        }
    }

    /// After sending failed: a peer may refuse a large body without reading it, and its reason may have arrived before
    /// the reset.
    ///
    /// # Errors
    /// `failure`, when there is no such reason.
    pub async fn last_words(&mut self, failure: Failure) -> Result<ResponseHead, Failure> {
        match within(LAST_WORDS, pin!(self.head())).await {
            Ok(Ok(head)) => Ok(head),
            _ => Err(failure),
        }
    }

    /// Reads the final response head. Informational heads (1xx) are passed over.
    ///
    /// May be dropped and called again.
    pub async fn head(&mut self) -> Result<ResponseHead, Failure> {
        let end = self.deadline.end_of(self.first_byte);
        match &mut self.link {
            Link::Http1 { http1, .. } => match self.alarm.until(end, pin!(http1.head())).await {
                Ok(answered) => answered,
                Err(_) => Err(self.deadline.late(Failure::FirstByteTimeout)),
            },
            Link::Http2(call) => call.head().await,
        }
    }

    /// Reads the next part of the response body as it comes; `None` at its proper end.
    ///
    /// May be dropped and called again.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Failure> {
        let end = self.deadline.end_of(self.between_chunks);
        match &mut self.link {
            Link::Http1 { http1, .. } => match self.alarm.until(end, pin!(http1.chunk())).await {
                Ok(read) => read,
                Err(_) => Err(self.deadline.late(Failure::BetweenChunksTimeout)),
            },
            Link::Http2(call) => call.chunk().await,
        }
    }

    /// Whether the answer has been read to its end, trailers included, known without another read.
    pub fn is_done(&self) -> bool {
        match &self.link {
            Link::Http1 { http1, .. } => http1.is_done(),
            Link::Http2(call) => call.is_done(),
        }
    }

    /// Trailers behind the answer's body, once that is done.
    pub fn take_trailers(&mut self) -> Option<Headers> {
        match &mut self.link {
            Link::Http1 { http1, .. } => http1.take_trailers(),
            Link::Http2(call) => call.take_trailers(),
        }
    }

    /// The connection itself, for a protocol that was agreed upon; `None` where others share it.
    pub fn into_connection(self) -> Option<Conn> {
        match self.link {
            Link::Http1 { http1, .. } => Some(http1.conn),
            Link::Http2(_) => None,
        }
    }

    /// Gives the connection back to the pool, idle since `now`, if request and answer were carried to their ends.
    pub fn release(self, client: &Client, now: Instant) {
        if let Link::Http1 { http1, .. } = self.link
            && let Some(mut conn) = http1.reusable()
        {
            conn.alarm = self.alarm;
            client.keep(&self.way, conn, now);
        }
    }
}

#[cfg(test)]
mod tests;
