//! Gets a request to a peer, and tries again elsewhere while nothing has reached the client.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::time::sleep;

use super::Proxy;
use super::attempt::Attempt;
use super::ctx::Ctx;
use super::report::{may_retry, no_peer, refusal, report_failure, report_status};
use super::stop::Stop;
use crate::balance::{Demand, Lease, RetryGrant};
use crate::cache::flight::Crew;
use crate::exchange::{Exchange, Failure};
use crate::front::Session;
use crate::metrics::events::{self, AbortStage};
use crate::state::Pool;
use crate::wire::ResponseHead;

/// Fresh tries on the same peer after a pooled connection turned out to be closed. They cost the peer nothing and say
/// nothing about it.
pub(super) const STALE_TRIES: u32 = 2;

/// A request on its way out.
pub(super) struct Outgoing {
    pub(super) pool: Arc<Pool>,
    pub(super) demand: Demand,
    pub(super) upload: Upload,
    /// Those who wait for the same answer, where somebody may.
    pub(super) crew: Option<Crew>,
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
    pub(super) head: ResponseHead,
    pub(super) exchange: Exchange,
    /// None once the request has gone on to look for a better answer.
    pub(super) lease: Option<Lease>,
    /// The client is still sending.
    pub(super) uploading: bool,
    /// A streamed body is partly gone and cannot be sent again.
    pub(super) spent: bool,
}

impl Proxy {
    /// Brings the request to a peer and returns its answer, of whatever status, as soon as its head is there.
    pub(super) async fn dispatch(
        &self,
        session: &mut Session,
        ctx: &mut Ctx,
        outgoing: &Outgoing,
    ) -> Result<Box<Answer>, Stop> {
        let pool = &outgoing.pool;
        let retry = &pool.conf.retry;
        let timeouts = ctx.timeouts(pool);
        let mut tried: Vec<SocketAddr> = Vec::new();
        let mut stale_tries = 0;
        let mut first_attempt = None;
        let mut last: Option<Box<Answer>> = None;
        let mut failed: Option<Failure> = None;
        let mut retry_for: Option<(RetryGrant, &'static str)> = None;
        pool.balance.request_came(ctx.tick());
        loop {
            let lease = match self.lease(session, ctx, outgoing, &tried).await {
                Ok(Some(lease)) => lease,
                // What a peer said is worth more than that nobody else could be asked.
                Err(Stop::Refused(_)) if let Some(answer) = last => return Ok(answer),
                Err(stop) => return Err(stop),
                Ok(None) => {
                    // Nobody else is left: the client gets what the last peer said, in its own words.
                    return match (last, failed) {
                        (Some(answer), _) => Ok(answer),
                        (None, Some(failure)) => Err(refusal(&failure, pool, &timeouts).into()),
                        (None, None) => Err(no_peer(pool).into()),
                    };
                }
            };
            if let Some((grant, cause)) = retry_for.take() {
                grant.used();
                events::retried(&pool.conf.name, cause);
            }
            let address = lease.addr();
            ctx.record.attempts += 1;
            ctx.record.upstream = Some(Arc::clone(lease.peer().addr_text()));
            ctx.overhead_ends("proxied");
            let since = *first_attempt.get_or_insert(ctx.now);
            match self.attempt(session, ctx, outgoing, lease, since).await? {
                Attempt::Answered(mut answer) => {
                    let status = answer.head.status.as_u16();
                    if let Some(lease) = &mut answer.lease {
                        report_status(pool, lease, &answer.head, ctx.now);
                    }
                    if !retry.statuses.contains(&status)
                        || ctx.record.attempts >= retry.attempts
                        || answer.spent
                        || answer.uploading
                    {
                        return Ok(answer);
                    }
                    let Some(grant) = may_retry(pool) else {
                        return Ok(answer);
                    };
                    tried.push(address);
                    let cause = if status == 429 {
                        "status_429"
                    } else {
                        "status_5xx"
                    };
                    retry_for = Some((grant, cause));
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
                        return Err(refusal(&failure, pool, &timeouts).into());
                    }
                    let Some(grant) = may_retry(pool) else {
                        return Err(refusal(&failure, pool, &timeouts).into());
                    };
                    tried.push(address);
                    retry_for = Some((grant, failure.name()));
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
}

/// Does `work` unless the client leaves meanwhile.
pub(super) async fn watching<T>(
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

/// Resolves when the client has left, and all who wait for the same answer. A body that is still to be read must not be
/// touched, so such a client is only seen to leave once reading goes on.
pub(super) async fn gone(session: &mut Session, outgoing: &Outgoing) {
    if matches!(outgoing.upload, Upload::Streaming) && !session.body_done() {
        std::future::pending::<()>().await;
    }
    session.gone().await;
    if let Some(crew) = &outgoing.crew {
        crew.left().await;
    }
}

/// Full jitter: uniformly random up to the exponential bound, so that clients that failed together do not return
/// together.
fn backoff(base: Duration, max: Duration, attempts: u32) -> Duration {
    let bound = base
        .saturating_mul(1 << attempts.saturating_sub(1).min(16))
        .min(max);
    bound.mul_f64(fastrand::f64())
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
