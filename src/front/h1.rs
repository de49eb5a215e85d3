//! One HTTP/1 connection of a client, request by request: what it sends here, and what it gets in `answer`.

mod answer;

use std::pin::pin;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::EXPECT;
use http::{Method, Version};

use super::pace::Pace;
use super::session::ClientError;
use super::{Refusal, Rules};
use crate::util::headers::Headers;
use crate::wire::{
    Alarm, Conn, Decoded, Decoder, Framing, HeadLimits, Malformed, RequestHead, connection_says,
    parse_request, request_framing, within,
};

/// What a client may send ahead of its answer before reading pauses, in bytes.
const MOST_AHEAD: usize = 64 * 1024;
/// A body that nobody wants is read away up to this size, in bytes, if it comes within `DISCARD_LIMIT`: then the
/// connection can carry the next request.
const MOST_DISCARDED: u64 = 64 * 1024;
const DISCARD_LIMIT: Duration = Duration::from_secs(1);
/// A client that goes on sending after its answer is listened to for this long: closing at once would reset the
/// connection, and the reset can overtake the answer.
const LINGER: Duration = Duration::from_secs(5);

/// One connection, and where its current request stands.
#[derive(Debug)]
pub(super) struct H1 {
    pub(super) conn: Conn,
    alarm: Alarm,
    /// Bytes of the next head that were looked at.
    seen: usize,
    decoder: Decoder,
    writing: Writing,
    /// The connection may carry another request.
    keep: bool,
    version: Version,
    method: Method,
    /// The client waits for `100 Continue` before it sends its body.
    waits: bool,
    pace: Pace,
    body_read: u64,
}

/// Where the answer stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Writing {
    NotBegun,
    Length(u64),
    Chunked,
    UntilClose,
    Ended,
}

impl H1 {
    pub(super) fn new(conn: Conn) -> Self {
        Self {
            conn,
            alarm: Alarm::default(),
            seen: 0,
            decoder: Decoder::new(Framing::Length(0)),
            writing: Writing::NotBegun,
            keep: true,
            version: Version::HTTP_11,
            method: Method::GET,
            waits: false,
            pace: Pace::default(),
            body_read: 0,
        }
    }

    /// The head of the next request; `None` when the client has left or is idle for too long. `fresh` is the first
    /// request of a connection, for which nobody waits long.
    pub(super) async fn next_head(
        &mut self,
        rules: &Rules,
        fresh: bool,
    ) -> Result<Option<Box<RequestHead>>, Refusal> {
        if self.conn.inbox.is_empty() {
            self.conn.rest();
            let limit = match fresh {
                true => rules.client.header_timeout,
                false => rules.client.idle_timeout,
            };
            match self.alarm.within(limit, self.conn.fill()).await {
                Ok(Ok(1..)) => {}
                _ => return Ok(None),
            }
        }
        let limits = HeadLimits {
            bytes: rules.client.max_header_bytes,
        };
        let mut deadline = None;
        loop {
            let parsed = parse_request(&mut self.conn.inbox, &mut self.seen, limits)
                .map_err(Refusal::Malformed)?;
            if let Some(head) = parsed {
                self.begin_request(&head)?;
                return Ok(Some(head));
            }
            let now = Instant::now();
            let deadline = *deadline.get_or_insert(now + rules.client.header_timeout);
            let left = deadline.saturating_duration_since(now);
            match self.alarm.within(left, self.conn.fill()).await {
                Ok(Ok(1..)) => {}
                Ok(_) => return Ok(None),
                // A connection that was opened in advance and never used gets no answer.
                Err(_) if self.conn.inbox.is_empty() => return Ok(None),
                Err(_) => return Err(Refusal::TooSlow),
            }
        }
    }

    fn begin_request(&mut self, head: &RequestHead) -> Result<(), Refusal> {
        Refusal::of(head)?;
        let framing = request_framing(head).map_err(Refusal::Malformed)?;
        self.decoder = Decoder::new(framing);
        self.writing = Writing::NotBegun;
        self.version = head.version;
        self.method = head.method.clone();
        self.keep = match head.version {
            Version::HTTP_11 => !connection_says(&head.headers, "close"),
            _ => {
                connection_says(&head.headers, "keep-alive")
                    && !connection_says(&head.headers, "close")
            }
        };
        self.waits = head.version == Version::HTTP_11
            && !self.decoder.is_done()
            && head
                .headers
                .get(EXPECT)
                .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"));
        self.pace = Pace::default();
        self.body_read = 0;
        Ok(())
    }

    pub(super) async fn read_body(&mut self, rules: &Rules) -> Result<Option<Bytes>, ClientError> {
        loop {
            match self.decoder.next(&mut self.conn.inbox) {
                Ok(Decoded::Part(part)) => {
                    self.waits = false;
                    self.body_read += part.len() as u64;
                    return Ok(Some(part));
                }
                Ok(Decoded::Done) => return Ok(None),
                Ok(Decoded::More) => self.more_body(rules).await?,
                Err(why) => return Err(self.spoilt(why)),
            }
        }
    }

    /// Bytes of a body that cannot be understood: nothing behind them can.
    fn spoilt(&mut self, why: Malformed) -> ClientError {
        self.keep = false;
        ClientError::Malformed(why)
    }

    /// Waits for more of the body.
    async fn more_body(&mut self, rules: &Rules) -> Result<(), ClientError> {
        if self.waits {
            self.waits = false;
            self.conn
                .outbox
                .extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
            self.flush(rules).await?;
        }
        let began = Instant::now();
        let came = self
            .alarm
            .within(rules.client.body_timeout, self.conn.fill())
            .await;
        self.pace.waited(began.elapsed());
        match came {
            Ok(Ok(1..)) => {}
            Ok(_) => return Err(ClientError::Left),
            Err(_) => {
                self.keep = false;
                return Err(ClientError::TooSlow);
            }
        }
        if self
            .pace
            .is_too_slow(self.body_read + self.conn.inbox.len() as u64, rules)
        {
            self.keep = false;
            return Err(ClientError::TooSlow);
        }
        Ok(())
    }

    /// The whole body, of `cap` bytes at most. One of known length is read into place and never copied.
    pub(super) async fn read_whole(
        &mut self,
        rules: &Rules,
        cap: u64,
    ) -> Result<Bytes, ClientError> {
        match self.decoder.known_rest() {
            Some(0) => return Ok(Bytes::new()),
            Some(length) if length > cap => {
                // The rest of the body is not worth reading, so the connection cannot carry another request.
                self.keep = false;
                return Err(ClientError::TooLarge);
            }
            Some(length) => {
                while (self.conn.inbox.len() as u64) < length {
                    self.conn.expect(length - self.conn.inbox.len() as u64);
                    self.more_body(rules).await?;
                }
                return Ok(self.read_body(rules).await?.unwrap_or_default());
            }
            None => {}
        }
        let mut whole: Option<Vec<u8>> = None;
        let mut first = Bytes::new();
        while let Some(part) = self.read_body(rules).await? {
            if self.body_read > cap {
                self.keep = false;
                return Err(ClientError::TooLarge);
            }
            match &mut whole {
                Some(whole) => whole.extend_from_slice(&part),
                None if first.is_empty() => first = part,
                None => {
                    let mut all = Vec::with_capacity(2 * (first.len() + part.len()));
                    all.extend_from_slice(&first);
                    all.extend_from_slice(&part);
                    whole = Some(all);
                }
            }
        }
        Ok(whole.map_or(first, Bytes::from))
    }

    /// Resolves when the client has left. What it sends meanwhile is its next request.
    pub(super) async fn gone(&mut self) {
        while self.conn.inbox.len() < MOST_AHEAD {
            match self.conn.fill().await {
                Ok(1..) => {}
                _ => return,
            }
        }
        std::future::pending().await
    }

    /// Reads a body away that nobody wants, if it is small and there; otherwise the connection will be closed.
    pub(super) async fn discard_body(&mut self, rules: &Rules) {
        if self.decoder.is_done() || !self.keep {
            return;
        }
        let small = self
            .decoder
            .known_rest()
            .is_none_or(|rest| rest <= MOST_DISCARDED);
        self.keep =
            small && !self.waits && self.read_away(rules, MOST_DISCARDED, DISCARD_LIMIT).await;
    }

    /// True when the body came to its end within `most` bytes and this time.
    async fn read_away(&mut self, rules: &Rules, most: u64, time: Duration) -> bool {
        let last = self.body_read.saturating_add(most);
        let reading = pin!(async {
            loop {
                match self.read_body(rules).await {
                    Ok(Some(_)) if self.body_read <= last => {}
                    Ok(None) => return true,
                    _ => return false,
                }
            }
        });
        within(time, reading).await.unwrap_or(false)
    }

    /// The request is over. The connection, if it can carry another one.
    pub(super) async fn finish(mut self: Box<Self>, rules: &Rules) -> Option<Box<Self>> {
        if self.writing != Writing::Ended || self.flush(rules).await.is_err() {
            // What was cut off must not look whole: the connection ends without the end of the answer.
            return None;
        }
        // A peer answered before it had the whole body. Nothing told the client of an end, so what still comes of the body is
        // read away for as long as a connection that ends is listened to.
        if self.keep && !self.decoder.is_done() {
            self.keep = self.read_away(rules, u64::MAX, LINGER).await;
        }
        if self.keep {
            return Some(self);
        }
        self.linger().await;
        None
    }

    /// Ends the connection so that the client can still read its answer.
    async fn linger(mut self: Box<Self>) {
        self.conn.finish().await;
        let heard_out = async {
            loop {
                self.conn.inbox.clear();
                match self.conn.fill().await {
                    Ok(1..) => {}
                    _ => return,
                }
            }
        };
        let _ = within(LINGER, heard_out).await;
    }

    pub(super) fn body_done(&self) -> bool {
        self.decoder.is_done()
    }

    pub(super) fn body_is_here(&self) -> bool {
        let here = self.conn.inbox.len() as u64;
        self.decoder.known_rest().is_some_and(|rest| rest <= here)
    }

    pub(super) fn body_read(&self) -> u64 {
        self.body_read
    }

    pub(super) fn ended(&self) -> bool {
        self.writing == Writing::Ended
    }

    /// Whether all of the answer's body that was announced is written, be its end said or not.
    pub(super) fn all_written(&self) -> bool {
        matches!(self.writing, Writing::Length(0) | Writing::Ended)
    }

    pub(super) fn close_after(&mut self) {
        self.keep = false;
    }

    pub(super) fn take_trailers(&mut self) -> Option<Headers> {
        self.decoder.take_trailers()
    }
}

#[cfg(test)]
mod tests;
