//! One HTTP/1 request and its answer on one upstream connection.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use http::header::TRANSFER_ENCODING;
use http::{Method, StatusCode, Version};

use super::Failure;
use crate::util::headers::Headers;
use crate::wire::{
    Conn, Decoded, Decoder, Framing, HeadLimits, RequestHead, ResponseHead, chunk_start,
    connection_says, last_chunk, one_length, parse_response, request_head, response_framing,
};

/// Largest head of an answer, in bytes.
const HEAD: HeadLimits = HeadLimits { bytes: 64 * 1024 };

/// One exchange on one connection.
#[derive(Debug)]
pub(super) struct Http1 {
    pub(super) conn: Conn,
    seen: usize,
    method: Method,
    /// The request's body goes in chunks.
    chunked: bool,
    /// The request asked to switch protocols.
    switching: bool,
    /// The request was written to its end: without that the connection cannot carry another one.
    sent: bool,
    decoder: Option<Decoder>,
    /// The peer keeps the connection open after its answer.
    keep: bool,
}

impl Http1 {
    pub(super) fn new(conn: Conn) -> Self {
        Self {
            conn,
            seen: 0,
            method: Method::GET,
            chunked: false,
            switching: false,
            sent: false,
            decoder: None,
            keep: false,
        }
    }

    /// Writes the head into what leaves next, with room for `body` bytes behind it.
    pub(super) fn put_head(&mut self, head: &RequestHead, body: usize) {
        self.method = head.method.clone();
        self.chunked = head.headers.contains_key(TRANSFER_ENCODING);
        self.switching = head.headers.contains_key(http::header::UPGRADE);
        request_head(head, Conn::copied(body), &mut self.conn.outbox);
    }

    /// Sends what waits, and a part of the body behind it; `last` ends the request.
    pub(super) async fn send(
        &mut self,
        part: Bytes,
        last: bool,
        limit: Duration,
    ) -> Result<(), Failure> {
        let mut tail: &[u8] = b"";
        if self.chunked {
            if !part.is_empty() {
                chunk_start(part.len(), &mut self.conn.outbox);
                tail = if last { b"\r\n0\r\n\r\n" } else { b"\r\n" };
            } else if last {
                last_chunk(None, &mut self.conn.outbox);
            }
        }
        self.conn
            .send(part, tail, limit)
            .await
            .map_err(|error| sending(&error))?;
        self.sent |= last;
        Ok(())
    }

    /// Ends a chunked body with trailers.
    pub(super) async fn send_trailers(
        &mut self,
        trailers: &Headers,
        limit: Duration,
    ) -> Result<(), Failure> {
        if self.chunked {
            last_chunk(Some(trailers), &mut self.conn.outbox);
        }
        self.chunked = false;
        self.send(Bytes::new(), true, limit).await
    }

    /// Reads the final head of the answer; informational ones are passed over. May be dropped and called again.
    pub(super) async fn head(&mut self) -> Result<ResponseHead, Failure> {
        loop {
            let parsed = parse_response(&mut self.conn.inbox, &mut self.seen, HEAD)
                .map_err(|why| Failure::Broken(why.to_string()))?;
            let Some(mut head) = parsed else {
                match self.conn.fill().await {
                    Ok(1..) => continue,
                    Ok(_) if self.conn.inbox.is_empty() => {
                        return Err(Failure::Reset("the peer closed the connection".to_owned()));
                    }
                    Ok(_) => return Err(Failure::Broken("the head broke off".to_owned())),
                    Err(error) => return Err(Failure::Reset(error.to_string())),
                }
            };
            match head.status {
                StatusCode::SWITCHING_PROTOCOLS if !self.switching => {
                    // What follows would not be HTTP.
                    return Err(Failure::Broken("switched protocols unasked".to_owned()));
                }
                StatusCode::SWITCHING_PROTOCOLS => {}
                status if status.is_informational() => continue,
                _ => {}
            }
            let framing = response_framing(&self.method, &head)
                .map_err(|why| Failure::Broken(why.to_string()))?;
            self.keep = keeps_open(&head) && framing != Framing::UntilClose;
            self.decoder = Some(Decoder::new(framing));
            one_length(&mut head);
            return Ok(head);
        }
    }

    /// Reads the next part of the body; `None` at its end. May be dropped and called again.
    pub(super) async fn chunk(&mut self) -> Result<Option<Bytes>, Failure> {
        let broken = |why: &dyn std::fmt::Display| Failure::Broken(why.to_string());
        let Some(decoder) = &mut self.decoder else {
            return Err(Failure::Broken("no head was read".to_owned()));
        };
        loop {
            match decoder
                .next(&mut self.conn.inbox)
                .map_err(|why| broken(&why))?
            {
                Decoded::Part(part) => return Ok(Some(part)),
                Decoded::Done => return Ok(None),
                Decoded::More => match self.conn.fill().await {
                    Ok(1..) => {}
                    Ok(_) => decoder.closed().map_err(|why| broken(&why))?,
                    Err(error) => return Err(broken(&error)),
                },
            }
        }
    }

    pub(super) fn is_done(&self) -> bool {
        self.decoder.as_ref().is_some_and(Decoder::is_done)
    }

    pub(super) fn take_trailers(&mut self) -> Option<Headers> {
        self.decoder.as_mut()?.take_trailers()
    }

    /// The connection, if it can carry another request.
    pub(super) fn reusable(mut self) -> Option<Conn> {
        let clean = self.sent && self.keep && self.is_done() && self.conn.inbox.is_empty();
        self.conn.rest();
        clean.then_some(self.conn)
    }
}

fn sending(error: &io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::TimedOut => Failure::FirstByteTimeout,
        _ => Failure::Reset(error.to_string()),
    }
}

/// Whether the peer takes another request on this connection.
fn keeps_open(head: &ResponseHead) -> bool {
    match head.version {
        Version::HTTP_11 => !connection_says(&head.headers, "close"),
        _ => connection_says(&head.headers, "keep-alive"),
    }
}
