//! One request of a client, and the way back to it, whatever HTTP it speaks.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, COOKIE, HOST, TRANSFER_ENCODING};
use http::{HeaderValue, StatusCode};

use super::Rules;
use super::h1::H1;
use super::h2::H2;
use crate::util::fields::Fields;
use crate::util::headers::Headers;
use crate::wire::{Conn, Malformed, RequestHead, ResponseHead};

/// What a client did wrong, or that it is not there any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientError {
    /// It closed the connection, or takes nothing any more.
    Left,
    /// Its body comes too slowly, or not at all.
    TooSlow,
    /// Its body is larger than allowed.
    TooLarge,
    /// Its body cannot be understood.
    Malformed(Malformed),
}

impl From<io::Error> for ClientError {
    fn from(_: io::Error) -> Self {
        Self::Left
    }
}

/// A whole answer of our own.
pub struct Whole<'a> {
    /// Its status.
    pub status: StatusCode,
    /// What its body is.
    pub content_type: &'a str,
    /// Further fields.
    pub own: &'a Fields,
    /// Its body.
    pub body: Bytes,
}

/// One request, and the way back to its client.
pub struct Session {
    head: Box<RequestHead>,
    client: Option<SocketAddr>,
    client_text: Option<HeaderValue>,
    tls: bool,
    rules: Arc<Rules>,
    link: Link,
    status: u16,
    body_sent: u64,
    /// The process is on its way out: connections end with their answer.
    closing: Arc<AtomicBool>,
}

enum Link {
    /// In a box of its connection, as it goes from request to request.
    H1(Box<H1>),
    H2(Box<H2>),
    /// An upgraded connection, which is somebody else's now.
    Away,
}

impl Session {
    pub(super) fn over_h1(head: Box<RequestHead>, h1: Box<H1>, from: &Origin) -> Self {
        Self::new(head, Link::H1(h1), from)
    }

    pub(super) fn over_h2(mut head: Box<RequestHead>, h2: H2, from: &Origin) -> Self {
        if !head.headers.contains_key(HOST)
            && let Some(authority) = head.uri.authority()
        {
            // The rest of the way, and HTTP/1.1 peers, know it by its older name. It was parsed as an authority.
            let host = HeaderValue::from_str(authority.as_str());
            let _ = host.map(|host| head.headers.set(HOST, host));
        }
        if !h2.body_done() && !head.headers.contains_key(CONTENT_LENGTH) {
            // A body may come with any method, and HTTP/1 has no other way to say that one of unknown length does.
            let _ = head.headers.set(TRANSFER_ENCODING, "chunked");
        }
        Self::new(head, Link::H2(Box::new(h2)), from)
    }

    fn new(head: Box<RequestHead>, link: Link, from: &Origin) -> Self {
        Self {
            head,
            client: from.client,
            client_text: from.client_text.clone(),
            tls: from.tls,
            rules: Arc::clone(&from.rules),
            link,
            status: 0,
            body_sent: 0,
            closing: Arc::clone(&from.closing),
        }
    }

    /// The request's head.
    pub fn head(&self) -> &RequestHead {
        &self.head
    }

    /// Who is at the other end of the connection, or was said to be by a proxy in front.
    pub fn client(&self) -> Option<SocketAddr> {
        self.client
    }

    /// The address of `client`, as a header says it.
    pub fn client_text(&self) -> Option<&HeaderValue> {
        self.client_text.as_ref()
    }

    /// Whether the connection is encrypted.
    pub fn is_tls(&self) -> bool {
        self.tls
    }

    /// The next part of the request's body; `None` at its end. Invites a client that waits for `100 Continue`.
    ///
    /// May be dropped and called again.
    ///
    /// # Errors
    /// The client left, is too slow, or sends what cannot be understood.
    pub async fn read_body(&mut self) -> Result<Option<Bytes>, ClientError> {
        match &mut self.link {
            Link::H1(h1) => h1.read_body(&self.rules).await,
            Link::H2(h2) => h2.read_body(&self.rules).await,
            Link::Away => Ok(None),
        }
    }

    /// The whole body.
    ///
    /// # Errors
    /// As `read_body`, or it is larger than `cap` bytes.
    pub async fn read_whole(&mut self, cap: u64) -> Result<Bytes, ClientError> {
        match &mut self.link {
            Link::H1(h1) => h1.read_whole(&self.rules, cap).await,
            Link::H2(h2) => h2.read_whole(&self.rules, cap).await,
            Link::Away => Ok(Bytes::new()),
        }
    }

    /// Whether the request's body has been read to its end.
    pub fn body_done(&self) -> bool {
        match &self.link {
            Link::H1(h1) => h1.body_done(),
            Link::H2(h2) => h2.body_done(),
            Link::Away => true,
        }
    }

    /// Whether all of the request's body has come, so that nobody has to wait for it.
    pub fn body_is_here(&self) -> bool {
        match &self.link {
            Link::H1(h1) => h1.body_is_here(),
            Link::H2(_) => false,
            Link::Away => true,
        }
    }

    /// Trailers behind the request's body, once that is done.
    pub fn take_trailers(&mut self) -> Option<Headers> {
        match &mut self.link {
            Link::H1(h1) => h1.take_trailers(),
            Link::H2(h2) => h2.take_trailers(),
            Link::Away => None,
        }
    }

    /// Sends what waits to be written. Then the next part of the body or, once that is done, nothing until the client has
    /// left.
    ///
    /// May be dropped and called again.
    ///
    /// # Errors
    /// As `read_body`.
    pub async fn body_or_gone(&mut self) -> Result<Option<Bytes>, ClientError> {
        self.flush().await?;
        if self.body_done() {
            self.gone().await;
            return Err(ClientError::Left);
        }
        self.read_body().await
    }

    /// Resolves when the client has left. Only for when its body is done.
    ///
    /// May be dropped and called again.
    pub async fn gone(&mut self) {
        match &mut self.link {
            Link::H1(h1) => h1.gone().await,
            Link::H2(h2) => h2.gone().await,
            Link::Away => std::future::pending().await,
        }
    }

    /// Reads a body away that nobody wants, so that the connection can go on, if that is quickly done.
    pub async fn discard_body(&mut self) {
        if let Link::H1(h1) = &mut self.link {
            h1.discard_body(&self.rules).await;
        }
    }

    /// The connection carries no further request. HTTP/2 connections, which carry those of others, go on.
    pub fn close_after(&mut self) {
        if let Link::H1(h1) = &mut self.link {
            h1.close_after();
        }
    }

    /// Begins the answer. Its head leaves with the first part of its body, or with `flush`.
    ///
    /// `own` are fields of ours, which overrule those of `head`.
    pub fn begin(&mut self, head: ResponseHead, own: &Fields) {
        self.status = head.status.as_u16();
        match &mut self.link {
            Link::H1(h1) => h1.begin(&head, own, self.closing.load(Ordering::Acquire)),
            Link::H2(h2) => h2.begin(head, own),
            Link::Away => {}
        }
    }

    /// Sends a whole answer of our own.
    ///
    /// # Errors
    /// The client left, or takes nothing.
    pub async fn answer(&mut self, answer: Whole<'_>) -> Result<(), ClientError> {
        self.status = answer.status.as_u16();
        self.body_sent += answer.body.len() as u64;
        let closing = self.closing.load(Ordering::Acquire);
        match &mut self.link {
            Link::H1(h1) => h1.answer(&self.rules, answer, closing).await,
            Link::H2(h2) => h2.answer(&self.rules, answer).await,
            Link::Away => Ok(()),
        }
    }

    /// Sends what waits.
    ///
    /// May be dropped and called again.
    ///
    /// # Errors
    /// The client left, or takes nothing.
    pub async fn flush(&mut self) -> Result<(), ClientError> {
        match &mut self.link {
            Link::H1(h1) => h1.flush(&self.rules).await,
            Link::H2(h2) => h2.flush(),
            Link::Away => Ok(()),
        }
    }

    /// Sends a part of the answer's body; `last` ends the answer.
    ///
    /// # Errors
    /// The client left, or takes nothing.
    pub async fn write(&mut self, part: Bytes, last: bool) -> Result<(), ClientError> {
        self.body_sent += part.len() as u64;
        match &mut self.link {
            Link::H1(h1) => h1.write(&self.rules, part, last).await,
            Link::H2(h2) => h2.write(&self.rules, part, last).await,
            Link::Away => Ok(()),
        }
    }

    /// Ends the answer, unless its last part did.
    ///
    /// # Errors
    /// The client left, or takes nothing.
    pub async fn end(&mut self, trailers: Option<Headers>) -> Result<(), ClientError> {
        match &mut self.link {
            Link::H1(h1) if h1.ended() => h1.flush(&self.rules).await,
            Link::H1(h1) => h1.end(&self.rules, trailers.as_ref()).await,
            Link::H2(h2) => h2.end(trailers),
            Link::Away => Ok(()),
        }
    }

    /// Whether the answer was sent to its end.
    pub fn ended(&self) -> bool {
        match &self.link {
            Link::H1(h1) => h1.ended(),
            Link::H2(h2) => h2.ended(),
            Link::Away => true,
        }
    }

    /// Whether the client can know that it has the whole answer: it may leave then.
    pub fn all_written(&self) -> bool {
        match &self.link {
            Link::H1(h1) => h1.all_written(),
            Link::H2(h2) => h2.ended(),
            Link::Away => true,
        }
    }

    /// The status that was sent; 0 for none.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// Bytes of the request's body that were read.
    pub fn body_read(&self) -> u64 {
        match &self.link {
            Link::H1(h1) => h1.body_read(),
            Link::H2(h2) => h2.body_read(),
            Link::Away => 0,
        }
    }

    /// Bytes of the answer's body that were sent.
    pub fn body_sent(&self) -> u64 {
        self.body_sent
    }

    /// Counts bytes that went to the client outside the answer's body: those of an upgraded connection.
    pub fn count_sent(&mut self, bytes: u64) {
        self.body_sent += bytes;
    }

    /// The connection itself, for a protocol that was agreed upon. `None` over HTTP/2.
    pub fn take_connection(&mut self) -> Option<Conn> {
        match std::mem::replace(&mut self.link, Link::Away) {
            Link::H1(h1) => Some(h1.conn),
            link => {
                self.link = link;
                None
            }
        }
    }

    /// The request is over. The connection, if it is HTTP/1 and can carry another one.
    pub(super) async fn finish(self) -> Option<Box<H1>> {
        match self.link {
            Link::H1(h1) => h1.finish(&self.rules).await,
            Link::H2(h2) => {
                h2.finish();
                None
            }
            Link::Away => None,
        }
    }
}

/// An address without its port, as a header says it.
pub(super) fn address_text(client: Option<SocketAddr>) -> Option<HeaderValue> {
    let text = client?.ip().to_canonical().to_string();
    HeaderValue::try_from(text).ok()
}

/// HTTP/2 clients may cut the field to pieces; all others know it as one (RFC 9113, 8.2.3).
pub(super) fn join_cookies(head: &mut RequestHead) {
    let crumbs: Vec<&[u8]> = head
        .headers
        .get_all(COOKIE)
        .map(HeaderValue::as_bytes)
        .collect();
    if crumbs.len() < 2 {
        return;
    }
    // Of values and a separator that are valid.
    if let Ok(whole) = HeaderValue::from_maybe_shared(Bytes::from(crumbs.join(&b"; "[..]))) {
        let _ = head.headers.set(COOKIE, whole);
    }
}

/// Where a request came from.
pub(super) struct Origin {
    pub(super) client: Option<SocketAddr>,
    /// The same as a header says it, made once a connection.
    pub(super) client_text: Option<HeaderValue>,
    pub(super) tls: bool,
    pub(super) rules: Arc<Rules>,
    pub(super) closing: Arc<AtomicBool>,
}
