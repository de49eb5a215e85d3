//! The answer, on its way to the client.

use std::time::SystemTime;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, DATE};
use http::{Method, Version};

use super::{H1, Writing};
use crate::front::date::date;
use crate::front::session::{ClientError, Whole};
use crate::front::{PIECE, Refusal, Rules};
use crate::util::fields::Fields;
use crate::util::headers::Headers;
use crate::wire::{
    Conn, FIELD, ResponseHead, chunk_start, field, last_chunk, response_head, status_line,
};

/// What a head takes beside its fields, and those that are always added, in bytes.
const HEAD: usize = 192;

impl H1 {
    /// Whether the answer begins while the client still waits to be invited: it may send its body now or never, so that
    /// nobody knows what comes next. Too late to invite it.
    fn uninvited(&mut self) -> bool {
        std::mem::take(&mut self.waits) && !self.decoder.is_done()
    }

    /// Puts the head of the answer, with fields of our own, before whatever is written next.
    pub(in crate::front) fn begin(&mut self, head: &ResponseHead, own: &Fields, closing: bool) {
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
    pub(in crate::front) async fn answer(
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
    pub(in crate::front) async fn write(
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
    pub(in crate::front) async fn end(
        &mut self,
        rules: &Rules,
        trailers: Option<&Headers>,
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

    pub(in crate::front) async fn flush(&mut self, rules: &Rules) -> Result<(), ClientError> {
        if self.conn.outbox.is_empty() {
            return Ok(());
        }
        Ok(self.conn.flush(rules.client.write_timeout).await?)
    }

    /// Answers a head that is no request, and is done with the connection.
    pub(in crate::front) async fn refuse(mut self: Box<Self>, rules: &Rules, refusal: Refusal) {
        self.method = Method::GET;
        let own = Fields::default();
        if self.answer(rules, refusal.answer(&own), true).await.is_ok() {
            self.linger().await;
        }
    }
}
