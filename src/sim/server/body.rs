//! The body of an answer: whole, or events as the engine emits tokens; and the place where it breaks off on demand.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::Sleep;

use super::api::{Events, Form, Outcome};
use super::app::{Counts, Exchange};
use super::driver::Ticket;
use super::fault::{Break, How};
use super::wire::Knobs;

/// The connection is broken off on purpose.
#[derive(Debug)]
pub(super) struct Aborted;

impl std::fmt::Display for Aborted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("broken off on demand")
    }
}

impl std::error::Error for Aborted {}

/// What is sent before a break must reach the socket first: hyper drops what it has buffered when a body fails.
const FLUSH: Duration = Duration::from_millis(2);

pub(super) struct AnswerBody {
    source: Source,
    fault: Option<Break>,
    tail: Tail,
    exchange: Exchange,
    knobs: Arc<Knobs>,
}

enum Source {
    Whole(Bytes),
    Events(Box<Stream>),
}

enum Tail {
    Flowing,
    Flushing(Pin<Box<Sleep>>),
    Stalled,
    Ended,
}

impl AnswerBody {
    /// A body that is there already.
    pub(super) fn whole(
        bytes: Bytes,
        fault: Option<Break>,
        mut exchange: Exchange,
        knobs: Arc<Knobs>,
    ) -> Self {
        if fault.is_none() {
            exchange.answered();
        }
        Self {
            source: Source::Whole(bytes),
            fault,
            tail: Tail::Flowing,
            exchange,
            knobs,
        }
    }

    /// A body that comes event by event.
    pub(super) fn events(
        stream: Stream,
        fault: Option<Break>,
        exchange: Exchange,
        knobs: Arc<Knobs>,
    ) -> Self {
        Self {
            source: Source::Events(Box::new(stream)),
            fault,
            tail: Tail::Flowing,
            exchange,
            knobs,
        }
    }

    /// The next bytes of the source; `None` when it ends or must break off here.
    fn poll_source(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        match (&mut self.source, self.fault) {
            (Source::Whole(bytes), None) => {
                Poll::Ready(Some(std::mem::take(bytes)).filter(|b| !b.is_empty()))
            }
            (Source::Whole(bytes), Some(Break { after, .. })) => {
                let half = if after == 0 { 0 } else { bytes.len() / 2 };
                let sent = bytes.split_to(half);
                bytes.clear();
                Poll::Ready(Some(sent).filter(|b| !b.is_empty()))
            }
            (Source::Events(stream), _) => stream.poll(cx, &self.exchange.app.counts),
        }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = Aborted;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Aborted>>> {
        loop {
            match &mut self.tail {
                Tail::Ended => return Poll::Ready(None),
                Tail::Stalled => return Poll::Pending,
                Tail::Flushing(sleep) => {
                    ready!(sleep.as_mut().poll(cx));
                    self.tail = Tail::Ended;
                    self.exchange.answered();
                    if self.fault.is_some_and(|fault| fault.how == How::Garble) {
                        self.knobs.garble();
                        return Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"x")))));
                    }
                    return Poll::Ready(Some(Err(Aborted)));
                }
                Tail::Flowing => match ready!(self.poll_source(cx)) {
                    Some(bytes) => return Poll::Ready(Some(Ok(Frame::data(bytes)))),
                    None => {
                        self.tail = match self.fault {
                            Some(Break {
                                how: How::Stall, ..
                            }) => Tail::Stalled,
                            Some(_) => Tail::Flushing(Box::pin(tokio::time::sleep(FLUSH))),
                            None => Tail::Ended,
                        };
                        if self.fault.is_none() {
                            self.exchange.answered();
                        }
                    }
                },
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.tail, Tail::Ended)
            || matches!(&self.source, Source::Whole(bytes) if bytes.is_empty() && self.fault.is_none())
    }

    fn size_hint(&self) -> SizeHint {
        match (&self.source, self.fault) {
            // Broken framing needs framing: without a length the answer is chunked.
            (
                _,
                Some(Break {
                    how: How::Garble, ..
                }),
            )
            | (Source::Events(_), _) => SizeHint::default(),
            (Source::Whole(bytes), _) => SizeHint::with_exact(bytes.len() as u64),
        }
    }
}

/// Events of one sequence in the engine.
pub(super) struct Stream {
    pub(super) form: Box<dyn Form>,
    pub(super) ticket: Ticket,
    pub(super) text: String,
    pub(super) outcome: Outcome,
    pub(super) events: Events,
    pub(super) progress: Written,
}

/// How much of a stream is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Written {
    /// Nothing.
    Nothing,
    /// So many tokens.
    Tokens(u32),
    /// Everything.
    All,
}

impl Stream {
    fn poll(&mut self, cx: &mut Context<'_>, counts: &Counts) -> Poll<Option<Bytes>> {
        if self.progress == Written::All || self.events.exhausted() {
            return Poll::Ready(None);
        }
        let sent = if let Written::Tokens(sent) = self.progress {
            sent
        } else {
            0
        };
        let seen = ready!(self.ticket.poll(cx, sent));
        self.outcome.cached = seen.cached;
        if self.progress == Written::Nothing {
            self.form.begin(&mut self.events, &self.outcome);
        }
        for token in sent..seen.emitted {
            self.form
                .token(&mut self.events, super::token(&self.text, token));
        }
        self.progress = Written::Tokens(seen.emitted);
        if seen.finished {
            self.form.end(&mut self.events, &self.text, &self.outcome);
            self.progress = Written::All;
            counts.finished(self.outcome.finish);
        }
        Poll::Ready(self.events.take())
    }
}
