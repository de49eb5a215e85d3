//! One attempt on one peer: connect, send, read the head of the answer.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Instant;

use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, EXPECT};

use super::Proxy;
use super::ctx::Ctx;
use super::dispatch::{Answer, Outgoing, Upload, watching};
use super::intake::{trouble, within_cap};
use super::introduce::introduce;
use super::stop::Stop;
use crate::balance::Lease;
use crate::exchange::{Exchange, Failure, upstream_head};
use crate::front::Session;
use crate::metrics::events::AbortStage;
use crate::wire::{RequestHead, ResponseHead};

/// What became of one attempt.
pub(super) enum Attempt {
    Answered(Box<Answer>),
    Failed {
        failure: Failure,
        /// The connection had been idle, and the peer had most likely closed it.
        stale: bool,
        spent: bool,
        lease: Lease,
    },
}

/// What became of sending a request.
struct Sent {
    answered: Result<ResponseHead, Failure>,
    /// The client is still sending.
    uploading: bool,
    /// A streamed body is partly gone and cannot be sent again.
    spent: bool,
}

impl Proxy {
    /// Tries one peer. The total time runs from `since`.
    pub(super) async fn attempt(
        &self,
        session: &mut Session,
        ctx: &mut Ctx,
        outgoing: &Outgoing,
        lease: Lease,
        since: Instant,
    ) -> Result<Attempt, Stop> {
        let began = ctx.now;
        let pool = &outgoing.pool;
        let way = pool.reach.way(lease.peer().label(), lease.addr());
        let open = pin!(self.client.open(way, ctx.timeouts(pool), since, began));
        let opened = watching(session, AbortStage::BeforeFirstByte, open, outgoing).await?;
        let mut exchange = match opened {
            Ok(exchange) => exchange,
            Err(failure) => {
                ctx.waited_since(began);
                return Ok(Attempt::Failed {
                    failure,
                    stale: false,
                    spent: false,
                    lease,
                });
            }
        };
        let sent = match &outgoing.upload {
            Upload::Whole(body) => {
                let head = self.peer_head(session, ctx, lease.peer().label(), Some(body.len()))?;
                let talk = pin!(exchange.ask(&head, body.clone()));
                let answered = watching(session, AbortStage::BeforeFirstByte, talk, outgoing);
                Sent {
                    answered: answered.await?,
                    uploading: false,
                    spent: false,
                }
            }
            Upload::Streaming => {
                let head = self.peer_head(session, ctx, lease.peer().label(), None)?;
                self.upload(session, ctx, &mut exchange, &head).await?
            }
        };
        ctx.waited_since(began);
        let Sent {
            answered,
            uploading,
            spent,
        } = sent;
        Ok(match answered {
            Ok(head) => Attempt::Answered(Box::new(Answer {
                head,
                exchange,
                lease: Some(lease),
                uploading,
                spent,
            })),
            Err(failure) => Attempt::Failed {
                stale: exchange.is_stale(&failure),
                failure,
                spent,
                lease,
            },
        })
    }

    /// Sends head and body as the client sends them, until the peer answers.
    async fn upload(
        &self,
        session: &mut Session,
        ctx: &mut Ctx,
        exchange: &mut Exchange,
        head: &RequestHead,
    ) -> Result<Sent, Stop> {
        let mut sent = Sent {
            answered: Err(Failure::FirstByteTimeout),
            uploading: !session.body_done(),
            spent: false,
        };
        // A client that waits to be invited is not invited before the peer has heard of it.
        let waits = session.head().headers.contains_key(EXPECT);
        let mut first = match sent.uploading && !waits {
            true => at_once(session.read_body()).await,
            false => None,
        };
        // The head goes with the first part of the body where that is there, and ahead of it where it is not.
        let begun = match (&first, sent.uploading) {
            (Some(_), _) => exchange.put_head(head),
            (None, true) => exchange.send_head(head).await,
            (None, false) => match exchange.put_head(head) {
                Ok(()) => exchange.send_body(Bytes::new(), true).await,
                failed => failed,
            },
        };
        if let Err(failure) = begun {
            sent.answered = Err(failure);
            return Ok(sent);
        }
        loop {
            let part = match first.take() {
                Some(part) => part,
                None => tokio::select! {
                    biased;
                    answered = exchange.head() => {
                        sent.answered = answered;
                        return Ok(sent);
                    }
                    part = session.body_or_gone() => part,
                },
            };
            let cap = ctx.snapshot.config.max_body;
            let part = part
                .map_err(|error| trouble(error, AbortStage::BeforeFirstByte, cap))?
                .unwrap_or_default();
            within_cap(session, ctx)?;
            sent.uploading = !session.body_done();
            sent.spent |= !part.is_empty();
            if let Err(failure) = forward(session, exchange, part).await {
                sent.answered = exchange.last_words(failure).await;
                return Ok(sent);
            }
        }
    }

    /// The head for the peer that is known as `peer`; `body` is the length of one that is held whole.
    ///
    /// # Errors
    /// The path is none that the route may change.
    pub(super) fn peer_head(
        &self,
        session: &Session,
        ctx: &mut Ctx,
        peer: &str,
        body: Option<usize>,
    ) -> Result<Box<RequestHead>, Stop> {
        let mut head = upstream_head(session.head(), body);
        if body.is_some() {
            // The tee reads answers; compressed ones would be closed to it.
            head.headers.remove(ACCEPT_ENCODING);
        }
        introduce(&mut head, session, ctx, peer)?;
        Ok(Box::new(head))
    }
}

/// What comes of `work` if that is there already.
async fn at_once<T>(work: impl Future<Output = T>) -> Option<T> {
    let mut work = pin!(work);
    poll_fn(|context| match work.as_mut().poll(context) {
        Poll::Ready(done) => Poll::Ready(Some(done)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

/// Passes a part of the client's body on, with its end and trailers if it was the last one.
pub(super) async fn forward(
    session: &mut Session,
    exchange: &mut Exchange,
    part: Bytes,
) -> Result<(), Failure> {
    if !session.body_done() {
        return exchange.send_body(part, false).await;
    }
    match session.take_trailers() {
        None => exchange.send_body(part, true).await,
        Some(trailers) => {
            exchange.send_body(part, false).await?;
            exchange.send_trailers(&trailers).await
        }
    }
}
