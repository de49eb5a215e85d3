//! One request and its answer on a shared connection.

use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::client::ResponseFuture;
use h2::{RecvStream, SendStream};
use http::header::{CONTENT_LENGTH, HOST, TE};
use http::uri::PathAndQuery;
use http::{HeaderValue, Request, Uri, Version};
use pingora::time::timeout;

use super::connection::Place;
use crate::config::model::Timeouts;
use crate::exchange::deadline::Deadline;
use crate::exchange::{Failure, strip_hop_by_hop};
use crate::util::headers::Headers;
use crate::wire::{RequestHead, ResponseHead, keep_trailers, one_length, send_some};

/// How long a peer that stopped reading is listened to.
const LAST_WORDS: Duration = Duration::from_millis(100);

/// One request and its answer. Dropping it before its end resets it and leaves the connection to the others.
pub struct Call {
    // Streams before the place: there is room once the reset is on its way.
    sending: Option<SendStream<Bytes>>,
    answer: Option<ResponseFuture>,
    receiving: Option<RecvStream>,
    place: Place,
    scheme: &'static str,
    reused: bool,
    timeouts: Timeouts,
    deadline: Deadline,
    /// The answer has been read to its end.
    done: bool,
    trailers: Option<Headers>,
    /// The peer has not worked on the request, or the connection broke.
    unheard: bool,
}

impl Call {
    pub(super) fn new(
        place: Place,
        reused: bool,
        tls: bool,
        timeouts: Timeouts,
        start: Instant,
    ) -> Self {
        Self {
            sending: None,
            answer: None,
            receiving: None,
            place,
            scheme: if tls { "https" } else { "http" },
            reused,
            timeouts,
            deadline: Deadline::new(start + timeouts.total),
            done: false,
            trailers: None,
            unheard: false,
        }
    }

    /// Whether the connection had been there before.
    pub fn reused(&self) -> bool {
        self.reused
    }

    /// Whether the failure before the first byte may only mean that the peer had said goodbye meanwhile.
    pub fn is_stale(&self) -> bool {
        self.reused && self.unheard
    }

    /// Sends the request head; `last` when no body follows. What belongs to HTTP/1 connections only is left out.
    pub fn send_head(&mut self, head: &RequestHead, last: bool) -> Result<(), Failure> {
        let request = request(head, self.scheme)?;
        let (answer, sending) = self
            .place
            .requests
            .send_request(request, last)
            .map_err(|error| self.unanswered(&error))?;
        self.answer = Some(answer);
        self.sending = (!last).then_some(sending);
        Ok(())
    }

    /// Sends a part of the request body as fast as the peer takes it; `last` ends it.
    pub async fn send_body(&mut self, mut part: Bytes, last: bool) -> Result<(), Failure> {
        while !part.is_empty() {
            let limit = self.deadline.within(self.timeouts.first_byte)?;
            let sent = timeout(limit, send_some(self.sending()?, &mut part, last)).await;
            sent.map_err(|_| Failure::FirstByteTimeout)?
                .map_err(|error| self.unanswered(&error))?;
            if last && part.is_empty() {
                self.sending = None;
            }
        }
        if last && let Some(mut sending) = self.sending.take() {
            sending
                .send_data(Bytes::new(), true)
                .map_err(|error| self.unanswered(&error))?;
        }
        Ok(())
    }

    /// Ends the request body with trailers.
    pub fn send_trailers(&mut self, trailers: &Headers) -> Result<(), Failure> {
        let mut kept = trailers.clone();
        strip_hop_by_hop(&mut kept);
        match self.sending.take() {
            Some(mut sending) => sending
                .send_trailers(kept.into())
                .map_err(|error| self.unanswered(&error)),
            None => Ok(()),
        }
    }

    /// Sends a request whose body is held whole and reads the response head.
    pub async fn ask(&mut self, head: &RequestHead, body: Bytes) -> Result<ResponseHead, Failure> {
        self.send_head(head, body.is_empty())?;
        if !body.is_empty()
            && let Err(failure) = self.send_body(body, true).await
        {
            return self.last_words(failure).await;
        }
        self.head().await
    }

    /// After sending failed: a peer may refuse a large body without reading it and have said why before the reset.
    ///
    /// # Errors
    /// `failure`, when there is no such reason.
    pub async fn last_words(&mut self, failure: Failure) -> Result<ResponseHead, Failure> {
        match timeout(LAST_WORDS, self.head()).await {
            Ok(Ok(head)) => Ok(head),
            _ => Err(failure),
        }
    }

    /// Reads the final response head, as one of HTTP/1.1, so that nobody has to ask how it came.
    ///
    /// May be dropped and called again.
    pub async fn head(&mut self) -> Result<ResponseHead, Failure> {
        let wait = self.deadline.within(self.timeouts.first_byte)?;
        let answer = self
            .answer
            .as_mut()
            .ok_or_else(|| Failure::Broken("no answer is awaited".to_owned()))?;
        let (mut head, receiving) = timeout(wait, answer)
            .await
            .map_err(|_| self.deadline.late(Failure::FirstByteTimeout))?
            .map_err(|error| self.unanswered(&error))?
            .into_parts();
        self.answer = None;
        self.done = receiving.is_end_stream();
        self.receiving = Some(receiving);
        head.version = Version::HTTP_11;
        let mut head = ResponseHead::from(head);
        one_length(&mut head);
        Ok(head)
    }

    /// Reads the next part of the response body as it comes; `None` at its proper end.
    ///
    /// May be dropped and called again.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Failure> {
        loop {
            let wait = self.deadline.within(self.timeouts.between_chunks)?;
            let Some(receiving) = self.receiving.as_mut() else {
                return Err(Failure::Broken("no answer has begun".to_owned()));
            };
            let read = timeout(wait, receiving.data())
                .await
                .map_err(|_| Failure::BetweenChunksTimeout);
            let Some(data) = read.map_err(|failure| self.deadline.late(failure))? else {
                self.read_trailers().await?;
                self.done = true;
                return Ok(None);
            };
            let data = data.map_err(in_body)?;
            if let Some(receiving) = self.receiving.as_mut() {
                // It is the client's turn now: the peer may send as much again.
                let _ = receiving.flow_control().release_capacity(data.len());
            }
            if !data.is_empty() {
                return Ok(Some(data));
            }
        }
    }

    async fn read_trailers(&mut self) -> Result<(), Failure> {
        let wait = self.deadline.within(self.timeouts.between_chunks)?;
        let Some(receiving) = self.receiving.as_mut() else {
            return Ok(());
        };
        let read = timeout(wait, receiving.trailers()).await;
        let read = read.map_err(|_| self.deadline.late(Failure::BetweenChunksTimeout))?;
        if let Some(trailers) = read.map_err(in_body)? {
            let mut trailers = Headers::from(trailers);
            keep_trailers(&mut trailers);
            self.trailers = Some(trailers);
        }
        Ok(())
    }

    /// Trailers behind the answer's body, once that is done.
    pub fn take_trailers(&mut self) -> Option<Headers> {
        self.trailers.take()
    }

    /// Whether the answer has been read to its end, known without another read.
    pub fn is_done(&self) -> bool {
        self.done
            || self
                .receiving
                .as_ref()
                .is_some_and(RecvStream::is_end_stream)
    }

    fn sending(&mut self) -> Result<&mut SendStream<Bytes>, Failure> {
        self.sending
            .as_mut()
            .ok_or_else(|| Failure::Broken("the request has ended".to_owned()))
    }

    fn unanswered(&mut self, error: &h2::Error) -> Failure {
        self.unheard = is_unheard(error);
        Failure::Reset(error.to_string())
    }
}

/// The head as HTTP/2 has it (RFC 9113, 8.3): the host as authority, nothing that belongs to one connection.
fn request(head: &RequestHead, scheme: &str) -> Result<Request<()>, Failure> {
    let unfit = |why: &dyn std::fmt::Display| {
        Failure::Unfit(format!("the request head cannot be said in HTTP/2: {why}"))
    };
    let authority = match (head.headers.get(HOST), head.uri.authority()) {
        (Some(host), _) => host.as_bytes(),
        (None, Some(authority)) => authority.as_str().as_bytes(),
        (None, None) => return Err(unfit(&"it has no host")),
    };
    let target = head.uri.path_and_query();
    let uri = Uri::builder()
        .scheme(scheme)
        .authority(authority)
        .path_and_query(target.map_or("/", PathAndQuery::as_str))
        .build()
        .map_err(|error| unfit(&error))?;
    let mut headers = head.headers.clone();
    strip_hop_by_hop(&mut headers);
    headers.remove(HOST);
    // They are passed on; gRPC servers refuse whoever does not say so.
    headers.insert(TE, HeaderValue::from_static("trailers"));
    let mut request = Request::new(());
    *request.method_mut() = head.method.clone();
    *request.uri_mut() = uri;
    *request.version_mut() = Version::HTTP_2;
    *request.headers_mut() = headers.into();
    debug_assert!(
        request.headers().get_all(CONTENT_LENGTH).iter().count() <= 1,
        "one length at most"
    );
    Ok(request)
}

/// Whether the peer says that it did not begin (RFC 9113, 8.7), or there is nobody to say so.
fn is_unheard(error: &h2::Error) -> bool {
    let reason = error.reason();
    error.is_io()
        || (error.is_remote() && error.is_go_away() && reason == Some(h2::Reason::NO_ERROR))
        || (error.is_remote() && reason == Some(h2::Reason::REFUSED_STREAM))
}

fn in_body(error: h2::Error) -> Failure {
    Failure::Broken(error.to_string())
}
