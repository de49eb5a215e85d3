//! Waits for a peer that has room.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::{sleep, sleep_until};

use super::Proxy;
use super::ctx::Ctx;
use super::dispatch::{Outgoing, Upload, gone};
use super::report::nobody;
use super::stop::Stop;
use crate::admit::Full;
use crate::balance::{Lease, Pick};
use crate::config::model::Priority;
use crate::front::Session;
use crate::llm::error::ApiError;
use crate::metrics::events::{self, AbortStage};
use crate::state::Pool;

impl Proxy {
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
            match pool.balance.pick(&outgoing.demand, tried, ctx.now) {
                Pick::Lease(lease) => return Ok(Some(lease)),
                Pick::Exhausted => return Ok(None),
                Pick::Down {
                    retry_after,
                    refused,
                } => return Err(nobody(pool, retry_after, refused).into()),
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
                Pick::Down {
                    retry_after,
                    refused,
                } => Err(nobody(pool, retry_after, refused).into()),
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

/// The word for a class in metrics and logs.
pub(super) fn class_name(class: Priority) -> &'static str {
    match class {
        Priority::High => "high",
        Priority::Normal => "normal",
        Priority::Low => "low",
    }
}
