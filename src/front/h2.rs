//! One request of an HTTP/2 client: a stream of its `connection`.

pub(super) mod connection;

use std::future::poll_fn;
use std::pin::pin;
use std::time::{Instant, SystemTime};

use bytes::{Bytes, BytesMut};
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, DATE};
use http::{Method, Response, response};

use super::date::date;
use super::pace::Pace;
use super::session::{ClientError, Whole};
use super::{PIECE, Rules};
use crate::util::fields::Fields;
use crate::util::headers::Headers;
use crate::wire::{
    MOST_TRAILERS, Malformed, RequestHead, ResponseHead, keep_trailers, send_some, within,
};

/// One stream, and where its answer stands.
pub(super) struct H2 {
    receiving: RecvStream,
    respond: SendResponse<Bytes>,
    /// Where the body of the answer goes, once its head is sent.
    sending: Option<SendStream<Bytes>>,
    /// The head of the answer, until it is known whether a body follows.
    head: Option<ResponseHead>,
    /// The client asked for the head of the answer alone.
    head_only: bool,
    ended: bool,
    body_done: bool,
    body_read: u64,
    trailers: Option<Headers>,
    pace: Pace,
}

impl H2 {
    pub(super) fn new(
        head: &RequestHead,
        receiving: RecvStream,
        respond: SendResponse<Bytes>,
    ) -> Self {
        let length = head.headers.get(CONTENT_LENGTH);
        Self {
            body_done: receiving.is_end_stream()
                || length.is_some_and(|length| length.as_bytes() == b"0"),
            receiving,
            respond,
            sending: None,
            head: None,
            head_only: head.method == Method::HEAD,
            ended: false,
            body_read: 0,
            trailers: None,
            pace: Pace::default(),
        }
    }

    pub(super) async fn read_body(&mut self, rules: &Rules) -> Result<Option<Bytes>, ClientError> {
        if self.body_done {
            return Ok(None);
        }
        let began = Instant::now();
        let read = within(rules.client.body_timeout, pin!(self.next_part(rules))).await;
        self.pace.waited(began.elapsed());
        let part = read.map_err(|_| ClientError::TooSlow)??;
        match part.is_some() && self.pace.is_too_slow(self.body_read, rules) {
            true => Err(ClientError::TooSlow),
            false => Ok(part),
        }
    }

    /// The next part of the body; at its end its trailers, and `None`.
    async fn next_part(&mut self, rules: &Rules) -> Result<Option<Bytes>, ClientError> {
        let left = |_| ClientError::Left;
        if let Some(part) = self.receiving.data().await.transpose().map_err(left)? {
            // It is the peer's turn now: the client may send as much again.
            let _ = self.receiving.flow_control().release_capacity(part.len());
            self.body_read += part.len() as u64;
            self.body_done = self.receiving.is_end_stream();
            return Ok(Some(part));
        }
        if let Some(trailers) = self.receiving.trailers().await.map_err(left)? {
            let mut trailers = Headers::from(trailers);
            // The crate cuts off what goes beyond the limit of a head, and does not tell.
            if trailers.len() > MOST_TRAILERS || 2 * trailers.size() > rules.client.max_header_bytes
            {
                return Err(ClientError::Malformed(Malformed::HeadTooLarge));
            }
            keep_trailers(&mut trailers);
            self.trailers = Some(trailers);
        }
        self.body_done = true;
        Ok(None)
    }

    pub(super) async fn read_whole(
        &mut self,
        rules: &Rules,
        cap: u64,
    ) -> Result<Bytes, ClientError> {
        let mut first = Bytes::new();
        let mut whole = BytesMut::new();
        while let Some(part) = self.read_body(rules).await? {
            if self.body_read > cap {
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

    /// Trailers behind the request's body, once that is done.
    pub(super) fn take_trailers(&mut self) -> Option<Headers> {
        self.trailers.take()
    }

    /// Resolves when the client has given the stream up.
    pub(super) async fn gone(&mut self) {
        let Self {
            sending, respond, ..
        } = self;
        let _ = poll_fn(|context| match sending {
            Some(sending) => sending.poll_reset(context),
            None => respond.poll_reset(context),
        })
        .await;
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
        self.write(rules, answer.body, true).await
    }

    /// Sends the head, as the end of the stream if nothing can follow it.
    pub(super) fn flush(&mut self) -> Result<(), ClientError> {
        let Some(mut head) = self.head.take() else {
            return Ok(());
        };
        if !head.headers.contains_key(DATE)
            && let Some(date) = date(SystemTime::now())
        {
            head.headers.insert(DATE, date);
        }
        self.ended = self.head_only || matches!(head.status.as_u16(), 204 | 304);
        let head = Response::from_parts(response::Parts::from(head), ());
        let sending = self.respond.send_response(head, self.ended);
        self.sending = Some(sending.map_err(|_| ClientError::Left)?);
        Ok(())
    }

    /// Sends a part of the body, the last one if `last`, behind the head if that still waits.
    pub(super) async fn write(
        &mut self,
        rules: &Rules,
        mut part: Bytes,
        last: bool,
    ) -> Result<(), ClientError> {
        self.flush()?;
        let Some(sending) = self.sending.as_mut().filter(|_| !self.ended) else {
            return Ok(());
        };
        while !part.is_empty() {
            let mut piece = part.split_to(PIECE.min(part.len()));
            let ends = last && part.is_empty();
            let taken = pin!(async {
                while !piece.is_empty() {
                    send_some(sending, &mut piece, ends).await?;
                }
                Ok::<_, h2::Error>(())
            });
            let taken = within(rules.client.write_timeout, taken).await;
            taken
                .map_err(|_| ClientError::Left)?
                .map_err(|_| ClientError::Left)?;
            self.ended = ends;
        }
        match last {
            true => self.end(None),
            false => Ok(()),
        }
    }

    pub(super) fn end(&mut self, trailers: Option<Headers>) -> Result<(), ClientError> {
        self.flush()?;
        let Some(sending) = self.sending.as_mut().filter(|_| !self.ended) else {
            return Ok(());
        };
        self.ended = true;
        match trailers {
            Some(trailers) => sending.send_trailers(trailers.into()),
            None => sending.send_data(Bytes::new(), true),
        }
        .map_err(|_| ClientError::Left)
    }

    /// The request is over. A stream that did not come to its end is reset, so that it cannot look whole.
    pub(super) fn finish(mut self) {
        if !self.ended {
            self.respond.send_reset(Reason::INTERNAL_ERROR);
        }
    }

    pub(super) fn body_done(&self) -> bool {
        self.body_done
    }

    pub(super) fn body_read(&self) -> u64 {
        self.body_read
    }

    pub(super) fn ended(&self) -> bool {
        self.ended
    }
}
