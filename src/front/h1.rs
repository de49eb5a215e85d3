//! One HTTP/1 connection of a client, request by request.

use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, DATE, EXPECT};
use http::{HeaderMap, Method, Version};
use pingora::http::{RequestHeader, ResponseHeader};

use super::date::date;
use super::pace::Pace;
use super::session::{ClientError, Whole};
use super::{Refusal, Rules};
use crate::util::fields::Fields;
use crate::wire::{
    Alarm, Conn, Decoded, Decoder, FIELD, Framing, HeadLimits, Malformed, chunk_start,
    connection_says, field, last_chunk, parse_request, request_framing, response_head, status_line,
    within,
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
/// Bytes of an answer that are written at once, so that a slow client has time for each piece.
const PIECE: usize = 256 * 1024;
/// What a head takes beside its fields, and those that are always added, in bytes.
const HEAD: usize = 192;

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
    ) -> Result<Option<Box<RequestHeader>>, Refusal> {
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

    fn begin_request(&mut self, head: &RequestHeader) -> Result<(), Refusal> {
        Refusal::of_method(&head.method)?;
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
        self.keep = small
            && !self.waits
            && within(DISCARD_LIMIT, self.read_away(rules, MOST_DISCARDED))
                .await
                .unwrap_or(false);
    }

    /// True when the body came to its end within `most` bytes.
    async fn read_away(&mut self, rules: &Rules, most: u64) -> bool {
        let limit = self.body_read.saturating_add(most);
        loop {
            match self.read_body(rules).await {
                Ok(Some(_)) if self.body_read <= limit => {}
                Ok(None) => return true,
                _ => return false,
            }
        }
    }

    /// Whether the answer begins while the client still waits to be invited: it may send its body now or never, so that
    /// nobody knows what comes next. Too late to invite it.
    fn uninvited(&mut self) -> bool {
        std::mem::take(&mut self.waits) && !self.decoder.is_done()
    }

    /// Puts the head of the answer, with fields of our own, before whatever is written next.
    pub(super) fn begin(&mut self, head: &ResponseHeader, own: &Fields, closing: bool) {
        let switching = head.status == http::StatusCode::SWITCHING_PROTOCOLS;
        self.keep &= !self.uninvited();
        if closing || switching {
            self.keep = false;
        }
        let bodiless =
            self.method == Method::HEAD || switching || matches!(head.status.as_u16(), 204 | 304);
        let length = head
            .headers
            .get(CONTENT_LENGTH)
            .and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
        self.writing = match length {
            _ if bodiless => Writing::Ended,
            Some(length) => Writing::Length(length),
            None if self.version == Version::HTTP_11 => Writing::Chunked,
            None => {
                self.keep = false;
                Writing::UntilClose
            }
        };
        let chunked = self.writing == Writing::Chunked;
        let out = &mut self.conn.outbox;
        let follows = length.map_or(0, |length| usize::try_from(length).unwrap_or(usize::MAX));
        out.reserve(HEAD + FIELD * head.headers.len() + own.size() + Conn::copied(follows));
        response_head(head, |name| !own.has(name.as_str()), out);
        for (name, value) in own.iter() {
            field(name, value.as_bytes(), out);
        }
        if chunked {
            field("transfer-encoding", b"chunked", out);
        }
        if !switching {
            self.end_head(head.headers.contains_key(DATE));
        } else {
            out.extend_from_slice(b"\r\n");
        }
    }

    /// Writes a whole answer of our own.
    pub(super) async fn answer(
        &mut self,
        rules: &Rules,
        answer: Whole<'_>,
        closing: bool,
    ) -> Result<(), ClientError> {
        self.keep &= !self.uninvited() && !closing;
        self.writing = match self.method {
            Method::HEAD => Writing::Ended,
            _ => Writing::Length(answer.body.len() as u64),
        };
        let out = &mut self.conn.outbox;
        out.reserve(HEAD + answer.own.size() + Conn::copied(answer.body.len()));
        let reason = answer.status.canonical_reason().unwrap_or_default();
        status_line(answer.status.as_str(), reason, out);
        field("content-type", answer.content_type.as_bytes(), out);
        for (name, value) in answer.own.iter() {
            field(name, value.as_bytes(), out);
        }
        field(
            "content-length",
            answer.body.len().to_string().as_bytes(),
            out,
        );
        self.end_head(false);
        self.write(rules, answer.body, true).await
    }

    /// The fields of the connection, and the end of the head.
    fn end_head(&mut self, dated: bool) {
        let out = &mut self.conn.outbox;
        match (self.keep, self.version) {
            (true, Version::HTTP_11) => {}
            (true, _) => field("connection", b"keep-alive", out),
            (false, _) => field("connection", b"close", out),
        }
        if !dated && let Some(date) = date(SystemTime::now()) {
            field("date", date.as_bytes(), out);
        }
        out.extend_from_slice(b"\r\n");
    }

    /// Writes a part of the answer's body, the last one if `last`, behind all that waits to be written.
    pub(super) async fn write(
        &mut self,
        rules: &Rules,
        mut part: Bytes,
        last: bool,
    ) -> Result<(), ClientError> {
        let limit = rules.client.write_timeout;
        if let Writing::Length(left) = &mut self.writing {
            // A peer that sends more than it announced must not reach into the next answer.
            let fits = usize::try_from(*left).unwrap_or(usize::MAX);
            part.truncate(fits);
            *left -= part.len() as u64;
        }
        match self.writing {
            Writing::NotBegun | Writing::Ended => return self.flush(rules).await,
            Writing::Chunked => {
                let mut tail = 0;
                if !part.is_empty() {
                    chunk_start(part.len(), &mut self.conn.outbox);
                    tail = 2;
                }
                let both: &[u8; 7] = b"\r\n0\r\n\r\n";
                let tail = match last {
                    true => {
                        self.writing = Writing::Ended;
                        &both[2 - tail..]
                    }
                    false => &both[..tail],
                };
                self.conn.send(part, tail, limit).await?;
            }
            Writing::Length(_) | Writing::UntilClose => {
                while part.len() > PIECE {
                    let piece = part.split_to(PIECE);
                    self.conn.send(piece, b"", limit).await?;
                }
                self.conn.send(part, b"", limit).await?;
                if last {
                    self.end_plain();
                }
            }
        }
        Ok(())
    }

    /// Ends the answer.
    pub(super) async fn end(
        &mut self,
        rules: &Rules,
        trailers: Option<&HeaderMap>,
    ) -> Result<(), ClientError> {
        if self.writing == Writing::Chunked {
            last_chunk(trailers, &mut self.conn.outbox);
            self.writing = Writing::Ended;
        } else {
            self.end_plain();
        }
        self.flush(rules).await
    }

    fn end_plain(&mut self) {
        if let Writing::Length(1..) = self.writing {
            // Less came than was announced: only the end of the connection can say so.
            self.keep = false;
        }
        self.writing = Writing::Ended;
    }

    pub(super) async fn flush(&mut self, rules: &Rules) -> Result<(), ClientError> {
        if self.conn.outbox.is_empty() {
            return Ok(());
        }
        Ok(self.conn.flush(rules.client.write_timeout).await?)
    }

    /// Answers a head that is no request, and is done with the connection.
    pub(super) async fn refuse(mut self, rules: &Rules, refusal: Refusal) {
        self.method = Method::GET;
        let own = Fields::default();
        if self.answer(rules, refusal.answer(&own), true).await.is_ok() {
            self.linger().await;
        }
    }

    /// The request is over. The connection, if it can carry another one.
    pub(super) async fn finish(mut self, rules: &Rules) -> Option<Self> {
        if self.writing != Writing::Ended || self.flush(rules).await.is_err() {
            // What was cut off must not look whole: the connection ends without the end of the answer.
            return None;
        }
        if self.keep && self.decoder.is_done() {
            return Some(self);
        }
        self.linger().await;
        None
    }

    /// Ends the connection so that the client can still read its answer.
    async fn linger(mut self) {
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

    pub(super) fn body_read(&self) -> u64 {
        self.body_read
    }

    pub(super) fn ended(&self) -> bool {
        self.writing == Writing::Ended
    }

    pub(super) fn close_after(&mut self) {
        self.keep = false;
    }

    pub(super) fn take_trailers(&mut self) -> Option<HeaderMap> {
        self.decoder.take_trailers()
    }
}

#[cfg(test)]
mod tests;
