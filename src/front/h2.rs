//! One request of an HTTP/2 client: a stream of Pingora's HTTP/2 session.

use std::time::Instant;

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{Method, request, response};
use pingora::protocols::http::v2::server::HttpSession;
use pingora::time::timeout;

use super::Rules;
use super::pace::Pace;
use super::session::{ClientError, Whole};
use crate::util::fields::Fields;
use crate::util::headers::Headers;
use crate::wire::{RequestHead, ResponseHead};

/// Bytes of an answer that are given to a stream at once.
const PIECE: usize = 256 * 1024;

/// One stream, and where its answer stands.
pub(super) struct H2 {
    stream: Box<HttpSession>,
    /// The head of the answer, until it is known whether a body follows.
    head: Option<ResponseHead>,
    ended: bool,
    body_done: bool,
    pace: Pace,
}

impl H2 {
    pub(super) fn new(stream: HttpSession) -> Self {
        let body_done = stream.is_body_empty();
        Self {
            stream: Box::new(stream),
            head: None,
            ended: false,
            body_done,
            pace: Pace::default(),
        }
    }

    pub(super) fn head(&self) -> RequestHead {
        let parts: &request::Parts = self.stream.req_header();
        parts.into()
    }

    pub(super) async fn read_body(&mut self, rules: &Rules) -> Result<Option<Bytes>, ClientError> {
        if self.body_done {
            return Ok(None);
        }
        let began = Instant::now();
        let read = timeout(rules.client.body_timeout, self.stream.read_body_bytes()).await;
        self.pace.waited(began.elapsed());
        match read {
            Ok(Ok(Some(part))) => {
                self.body_done = self.stream.is_body_done();
                match self.pace.is_too_slow(self.body_read(), rules) {
                    true => Err(ClientError::TooSlow),
                    false => Ok(Some(part)),
                }
            }
            Ok(Ok(None)) => {
                self.body_done = true;
                Ok(None)
            }
            Ok(Err(_)) => Err(ClientError::Left),
            Err(_) => Err(ClientError::TooSlow),
        }
    }

    pub(super) async fn read_whole(
        &mut self,
        rules: &Rules,
        cap: u64,
    ) -> Result<Bytes, ClientError> {
        let mut first = Bytes::new();
        let mut whole = BytesMut::new();
        while let Some(part) = self.read_body(rules).await? {
            if self.body_read() > cap {
                return Err(ClientError::TooLarge);
            }
            if first.is_empty() && whole.is_empty() {
                first = part;
            } else {
                whole.extend_from_slice(&std::mem::take(&mut first));
                whole.extend_from_slice(&part);
            }
        }
        Ok(match whole.is_empty() {
            true => first,
            false => whole.freeze(),
        })
    }

    /// Resolves when the client has given the stream up.
    pub(super) async fn gone(&mut self) {
        let _ = self.stream.idle().await;
    }

    pub(super) fn begin(&mut self, mut head: ResponseHead, own: &Fields) {
        for (name, value) in own.iter() {
            // They were checked when they were set.
            let _ = head.headers.set(name, value);
        }
        self.head = Some(head);
    }

    pub(super) async fn answer(
        &mut self,
        rules: &Rules,
        answer: Whole<'_>,
    ) -> Result<(), ClientError> {
        let mut head = ResponseHead::new(answer.status);
        let _ = head.headers.set(CONTENT_TYPE, answer.content_type);
        head.headers
            .insert(CONTENT_LENGTH, answer.body.len().into());
        self.begin(head, answer.own);
        self.write_in_pieces(rules, answer.body, true).await
    }

    /// Writes a large part in pieces, so that a slow client has time for each.
    pub(super) async fn write_in_pieces(
        &mut self,
        rules: &Rules,
        mut part: Bytes,
        last: bool,
    ) -> Result<(), ClientError> {
        while part.len() > PIECE {
            let piece = part.split_to(PIECE);
            self.write(rules, piece, false).await?;
        }
        self.write(rules, part, last).await
    }

    /// Sends the head, as the end of the stream if nothing can follow it.
    pub(super) fn flush(&mut self) -> Result<(), ClientError> {
        let Some(head) = self.head.take() else {
            return Ok(());
        };
        let bodiless = self.stream.req_header().method == Method::HEAD
            || matches!(head.status.as_u16(), 204 | 304);
        self.ended = bodiless;
        self.stream
            .write_response_header(Box::new(response::Parts::from(head).into()), bodiless)
            .map_err(|_| ClientError::Left)
    }

    async fn write(&mut self, rules: &Rules, part: Bytes, last: bool) -> Result<(), ClientError> {
        self.flush()?;
        if self.ended || (part.is_empty() && !last) {
            return Ok(());
        }
        self.ended = last;
        self.stream
            .set_write_timeout(Some(rules.client.write_timeout));
        self.stream
            .write_body(part, last)
            .await
            .map_err(|_| ClientError::Left)
    }

    pub(super) fn end(&mut self, trailers: Option<Headers>) -> Result<(), ClientError> {
        self.flush()?;
        if std::mem::replace(&mut self.ended, true) {
            return Ok(());
        }
        match trailers {
            Some(trailers) => self.stream.write_trailers(trailers.into()),
            None => self.stream.finish(),
        }
        .map_err(|_| ClientError::Left)
    }

    /// The request is over. A stream that did not come to its end is reset, so that it cannot look whole.
    pub(super) fn finish(mut self) {
        if !self.ended {
            self.stream.shutdown();
        }
    }

    pub(super) fn body_done(&self) -> bool {
        self.body_done
    }

    pub(super) fn body_read(&self) -> u64 {
        self.stream.body_bytes_read() as u64
    }

    pub(super) fn ended(&self) -> bool {
        self.ended
    }
}
