//! Gets a request to a peer: waits for one, sends, and tries again elsewhere while nothing has reached the client.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::prelude::Session;
use tokio::time::{sleep, sleep_until};

use super::Proxy;
use super::ctx::Ctx;
use super::report::{no_peer, refusal, report_failure, report_status};
use super::stop::Stop;
use crate::admit::Full;
use crate::balance::{Demand, Lease, Pick};
use crate::config::model::Priority;
use crate::exchange::{Exchange, Failure, upstream_head};
use crate::llm::error::ApiError;
use crate::metrics::events::{self, AbortStage};
use crate::state::Pool;

/// Fresh tries on the same peer after a pooled connection turned out to be closed. They cost the peer nothing and say
/// nothing about it.
const STALE_TRIES: u32 = 2;

/// A request on its way out.
pub(super) struct Outgoing {
    pub(super) pool: Arc<Pool>,
    pub(super) demand: Demand,
    pub(super) upload: Upload,
}

/// Where the request body comes from.
pub(super) enum Upload {
    /// Held whole: it can be sent any number of times.
    Whole(Bytes),
    /// Passed on as it comes from the client: once.
    Streaming,
}

/// An answer that has begun.
pub(super) struct Answer {
    pub(super) head: ResponseHeader,
    pub(super) exchange: Exchange,
    /// None once the request has gone on to look for a better answer.
    pub(super) lease: Option<Lease>,
    /// The client is still sending.
    pub(super) uploading: bool,
    /// A streamed body is partly gone and cannot be sent again.
    spent: bool,
}

/// What became of sending a request.
struct Sent {
    answered: Result<ResponseHeader, Failure>,
    /// The client is still sending.
    uploading: bool,
    /// A streamed body is partly gone and cannot be sent again.
    spent: bool,
}

/// What became of one attempt.
enum Attempt {
    Answered(Box<Answer>),
    Failed {
        failure: Failure,
        stale: bool,
        spent: bool,
        lease: Lease,
    },
}

impl Proxy {
    /// Brings the request to a peer and returns its answer, of whatever status, as soon as its head is there.
    pub(super) async fn dispatch(
        &self,
        session: &mut Session,
        ctx: &mut Ctx,
        outgoing: &Outgoing,
    ) -> Result<Answer, Stop> {
        let pool = &outgoing.pool;
        let retry = &pool.conf.retry;
        let mut tried: Vec<SocketAddr> = Vec::new();
        let mut stale_tries = 0;
        let mut first_attempt = None;
        let mut last: Option<Box<Answer>> = None;
        let mut failed: Option<Failure> = None;
        loop {
            let lease = match self.lease(session, ctx, outgoing, &tried).await {
                Ok(Some(lease)) => lease,
                // What a peer said is worth more than that nobody else could be asked.
                Err(Stop::Refused(_)) if let Some(answer) = last => return Ok(*answer),
                Err(stop) => return Err(stop),
                Ok(None) => {
                    // Nobody else is left: the client gets what the last peer said, in its own words.
                    return match (last, failed) {
                        (Some(answer), _) => Ok(*answer),
                        (None, Some(failure)) => Err(refusal(&failure, pool).into()),
                        (None, None) => Err(no_peer(pool).into()),
                    };
                }
            };
            let address = lease.addr();
            ctx.record.attempts += 1;
            ctx.record.upstream = Some(address.to_string());
            ctx.overhead_ends("proxied");
            let since = *first_attempt.get_or_insert_with(Instant::now);
            match self.attempt(session, ctx, outgoing, lease, since).await? {
                Attempt::Answered(mut answer) => {
                    let status = answer.head.status.as_u16();
                    if let Some(lease) = &mut answer.lease {
                        report_status(pool, lease, &answer.head);
                    }
                    if !retry.statuses.contains(&status)
                        || ctx.record.attempts >= retry.attempts
                        || answer.spent
                        || answer.uploading
                    {
                        return Ok(*answer);
                    }
                    tried.push(address);
                    events::retried(
                        &pool.conf.name,
                        if status == 429 {
                            "status_429"
                        } else {
                            "status_5xx"
                        },
                    );
                    // Kept in case nobody has a better answer. Its lease is not: two requests that each held a full
                    // peer while waiting for the other's would wait for ever.
                    answer.lease = None;
                    last = Some(answer);
                }
                Attempt::Failed {
                    failure,
                    stale,
                    spent,
                    mut lease,
                } => {
                    if stale && stale_tries < STALE_TRIES && !spent {
                        stale_tries += 1;
                        ctx.record.attempts -= 1;
                        continue;
                    }
                    log::warn!(
                        "{}: pool {}: peer {}: {failure}",
                        ctx.request_id,
                        pool.conf.name,
                        lease.peer().label()
                    );
                    report_failure(pool, &mut lease, &failure);
                    drop(lease);
                    let elsewhere = matches!(
                        failure,
                        Failure::Connect(_) | Failure::Reset(_) | Failure::Broken(_)
                    );
                    if !elsewhere || spent || ctx.record.attempts >= retry.attempts {
                        return Err(refusal(&failure, pool).into());
                    }
                    tried.push(address);
                    events::retried(&pool.conf.name, failure.name());
                    last = None;
                    failed = Some(failure);
                }
            }
            let pause = backoff(retry.base_backoff, retry.max_backoff, ctx.record.attempts);
            let began = Instant::now();
            watching(session, AbortStage::BeforeFirstByte, sleep(pause), outgoing).await?;
            ctx.waited_since(began);
        }
    }

    /// A lease on a peer, waiting in the queue if all are full; `None` when no untried peer is left.
    pub(super) async fn lease(
        &self,
        session: &mut Session,
        ctx: &mut Ctx,
        outgoing: &Outgoing,
        tried: &[SocketAddr],
    ) -> Result<Option<Lease>, Stop> {
        let pool = &outgoing.pool;
        let class = ctx
            .client
            .as_ref()
            .map_or(Priority::Normal, |client| client.priority);
        if pool.queue.may_pass(class) {
            match pool.balance.pick(&outgoing.demand, tried, Instant::now()) {
                Pick::Lease(lease) => return Ok(Some(lease)),
                Pick::Exhausted => return Ok(None),
                Pick::Down { retry_after } => {
                    return Err(ApiError::no_peer(&pool.conf.name, retry_after).into());
                }
                Pick::Busy => {}
            }
        }
        let bytes = match &outgoing.upload {
            Upload::Whole(body) => body.len() as u64,
            Upload::Streaming => 0,
        };
        let began = Instant::now();
        let mut place = pool.queue.join(class, bytes, began).map_err(|full| {
            ctx.record.limit_bound = Some(match full {
                Full::Requests => "queue_requests",
                Full::Bytes => "queue_bytes",
            });
            ApiError::queue_full(&pool.conf.name, drain_time(pool))
        })?;
        let deadline = tokio::time::Instant::from_std(began + pool.conf.queue.max_wait);
        // The line outlives reloads, and whoever is first holds up all behind: they must not wait for peers that are gone
        // while new ones are idle.
        let mut current = self.current(pool);
        loop {
            tokio::select! {
                biased;
                () = place.turn() => {}
                () = gone(session, outgoing) => {
                    ctx.waited_since(began);
                    return Err(Stop::ClientGone(AbortStage::Queued));
                }
                () = sleep_until(deadline) => {
                    let waited = ctx.waited_since(began);
                    ctx.record.queued = Some(ctx.record.queued.unwrap_or_default() + waited);
                    events::queue_wait(class_name(class), waited);
                    ctx.record.limit_bound = Some("queue_time");
                    return Err(ApiError::queue_timeout(&pool.conf.name, pool.conf.queue.max_wait, drain_time(pool)).into());
                }
                () = returns(&current) => pool.queue.wake(),
            }
            current = self.current(pool);
            let outcome = match current
                .balance
                .pick(&outgoing.demand, tried, Instant::now())
            {
                Pick::Lease(lease) => Ok(Some(lease)),
                Pick::Exhausted => Ok(None),
                Pick::Down { retry_after } => {
                    Err(ApiError::no_peer(&pool.conf.name, retry_after).into())
                }
                Pick::Busy => continue,
            };
            match &outcome {
                Ok(Some(_)) => place.leave(Instant::now()),
                _ => drop(place),
            }
            let waited = ctx.waited_since(began);
            ctx.record.queued = Some(ctx.record.queued.unwrap_or_default() + waited);
            events::queue_wait(class_name(class), waited);
            return outcome;
        }
    }

    /// The pool as it is now, or as it last was.
    fn current(&self, pool: &Arc<Pool>) -> Arc<Pool> {
        let snapshot = self.live.snapshot();
        Arc::clone(snapshot.pools.get(&pool.conf.name).unwrap_or(pool))
    }

    async fn attempt(
        &self,
        session: &mut Session,
        ctx: &mut Ctx,
        outgoing: &Outgoing,
        lease: Lease,
        since: Instant,
    ) -> Result<Attempt, Stop> {
        let began = Instant::now();
        let open = self
            .client
            .open(lease.addr(), outgoing.pool.conf.timeouts, since);
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
        let stale = exchange.reused();
        let sent = match &outgoing.upload {
            Upload::Whole(body) => {
                let head = self.peer_head(session, ctx, Some(body.len()));
                let talk = exchange.ask(&head, body.clone());
                let answered = watching(session, AbortStage::BeforeFirstByte, talk, outgoing);
                Sent {
                    answered: answered.await?,
                    uploading: false,
                    spent: false,
                }
            }
            Upload::Streaming => self.upload(session, ctx, &mut exchange).await?,
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
                stale: stale && matches!(failure, Failure::Reset(_)),
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
    ) -> Result<Sent, Stop> {
        let head = self.peer_head(session, ctx, None);
        let mut sent = Sent {
            answered: Err(Failure::FirstByteTimeout),
            uploading: !session.is_body_done(),
            spent: false,
        };
        if let Err(failure) = exchange.send_head(head).await {
            sent.answered = Err(failure);
            return Ok(sent);
        }
        super::intake::invite(session, ctx).await?;
        if !sent.uploading
            && let Err(failure) = exchange.send_body(Bytes::new(), true).await
        {
            sent.answered = Err(failure);
            return Ok(sent);
        }
        loop {
            tokio::select! {
                biased;
                answered = exchange.head() => {
                    sent.answered = answered;
                    return Ok(sent);
                }
                part = session.read_body_or_idle(!sent.uploading) => {
                    let part = part.map_err(|_| Stop::ClientGone(AbortStage::BeforeFirstByte))?;
                    sent.uploading = part.is_some() && !session.is_body_done();
                    let part = part.unwrap_or_default();
                    sent.spent |= !part.is_empty();
                    if let Err(failure) = exchange.send_body(part, !sent.uploading).await {
                        sent.answered = exchange.last_words(failure).await;
                        return Ok(sent);
                    }
                }
            }
        }
    }

    fn peer_head(&self, session: &Session, ctx: &Ctx, body: Option<usize>) -> Box<RequestHeader> {
        let mut head = upstream_head(session.req_header(), body);
        if body.is_some() {
            // The tee reads answers; compressed ones would be closed to it.
            head.remove_header("accept-encoding");
        }
        introduce(&mut head, ctx);
        head
    }
}

/// Says to a peer on whose behalf a request comes, and keeps from it what was for us.
pub(super) fn introduce(head: &mut RequestHeader, ctx: &Ctx) {
    if ctx.client.is_some() {
        // The key was for us; a peer has no business with it.
        for name in ["authorization", "x-api-key", "x-goog-api-key"] {
            head.remove_header(name);
        }
    }
    // Generated or checked to be a header value.
    let _ = head.insert_header("x-request-id", ctx.request_id.as_str());
    if let Some(ip) = ctx.client_ip {
        let mut chain = String::new();
        for known in head.headers.get_all("x-forwarded-for") {
            if let Ok(known) = known.to_str() {
                chain.push_str(known);
                chain.push_str(", ");
            }
        }
        let _ = head.insert_header("x-forwarded-for", chain + &ip.to_string());
    }
}

/// Does `work` unless the client leaves meanwhile.
async fn watching<T>(
    session: &mut Session,
    stage: AbortStage,
    work: impl Future<Output = T>,
    outgoing: &Outgoing,
) -> Result<T, Stop> {
    tokio::select! {
        biased;
        done = work => Ok(done),
        () = gone(session, outgoing) => Err(Stop::ClientGone(stage)),
    }
}

/// Resolves when the client has left. A body that is still to be read must not be touched, so such a client is only
/// seen to leave once reading goes on.
async fn gone(session: &mut Session, outgoing: &Outgoing) {
    if matches!(outgoing.upload, Upload::Streaming) && !session.is_body_done() {
        std::future::pending::<()>().await;
    }
    // Data after the end of the request (pipelining) ends the connection too: it cannot be kept apart from leaving.
    let _ = session.read_body_or_idle(true).await;
}

/// Resolves when an ejection or cool-down ends, of which no lease tells.
async fn returns(pool: &Pool) {
    match pool.balance.next_return(Instant::now()) {
        Some(left) => sleep(left).await,
        None => std::future::pending().await,
    }
}

/// When it may be worth coming back to a queue that is full.
fn drain_time(pool: &Pool) -> Duration {
    pool.queue
        .drain_time()
        .unwrap_or_default()
        .max(Duration::from_secs(1))
}

/// Full jitter: uniformly random up to the exponential bound, so that clients that failed together do not return
/// together.
fn backoff(base: Duration, max: Duration, attempts: u32) -> Duration {
    let bound = base
        .saturating_mul(1 << attempts.saturating_sub(1).min(16))
        .min(max);
    bound.mul_f64(fastrand::f64())
}

pub(super) fn class_name(class: Priority) -> &'static str {
    match class {
        Priority::High => "high",
        Priority::Normal => "normal",
        Priority::Low => "low",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backoff_never_exceeds_its_bounds() {
        let (base, max) = (Duration::from_millis(25), Duration::from_secs(1));
        for attempts in 0..40 {
            for _ in 0..50 {
                let pause = backoff(base, max, attempts);
                assert!(pause <= max);
                assert!(attempts > 1 || pause <= base);
            }
        }
    }
}
