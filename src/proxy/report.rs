//! What an exchange says of its peer, and what a failed one means to the client.

use std::time::{Duration, Instant, SystemTime};

use crate::balance::{self, BudgetSpent, Change, Lease, Outcome, Pause, RetryGrant};
use crate::config::model::Timeouts;
use crate::exchange::Failure;
use crate::llm::ApiError;
use crate::metrics::events;
use crate::state::Pool;
use crate::wire::ResponseHead;

/// Tells the pool what a peer's status says of its health.
pub(super) fn report_status(pool: &Pool, lease: &mut Lease, head: &ResponseHead, now: Instant) {
    let status = head.status.as_u16();
    let outcome = match Pause::asked(status, &head.headers, SystemTime::now) {
        Some(pause) => Outcome::Paused(pause),
        None if status >= 500 => Outcome::Failed(balance::Failure::Status),
        None => {
            let change = lease.first_byte(now);
            told(pool, lease, change);
            return;
        }
    };
    let change = pool.balance.report(lease, outcome, now);
    told(pool, lease, change);
}

pub(super) fn report_failure(pool: &Pool, lease: &mut Lease, failure: &Failure) {
    let kind = match failure {
        Failure::Connect(_) => balance::Failure::Connect,
        Failure::FirstByteTimeout => balance::Failure::FirstByteTimeout,
        Failure::Reset(_)
        | Failure::Broken(_)
        | Failure::BetweenChunksTimeout
        | Failure::TotalTimeout => balance::Failure::Reset,
        Failure::Unfit(_) => return,
    };
    let change = pool
        .balance
        .report(lease, Outcome::Failed(kind), Instant::now());
    told(pool, lease, change);
}

/// Logs what a report changed.
fn told(pool: &Pool, lease: &Lease, change: Change) {
    let (pool, peer) = (&pool.conf.name, lease.peer().label());
    match change {
        Change::Ejected(time) => log::warn!("pool {pool}: peer {peer} is ejected for {time:?}"),
        Change::CoolingDown(time) => {
            log::info!("pool {pool}: peer {peer} asked to be left alone for {time:?}")
        }
        Change::Returned => log::info!("pool {pool}: peer {peer} is back"),
        Change::Spared => log::warn!("pool {pool}: peer {peer} fails, but too few others are left"),
        Change::None | Change::ProbedDown | Change::ProbedUp => {}
    }
}

/// The answer was complete: the peer does its work.
pub(super) fn report_success(pool: &Pool, lease: &mut Lease, now: Instant) {
    let change = pool.balance.report(lease, Outcome::Succeeded, now);
    told(pool, lease, change);
}

/// Nobody can serve the pool's requests now.
pub(super) fn no_peer(pool: &Pool) -> ApiError {
    let next = pool.balance.next_return(Instant::now()).unwrap_or_default();
    ApiError::no_peer(&pool.conf.name, next.max(Duration::from_secs(1)))
}

/// No peer is usable; `refused` is the status with which the one that may be back first asked to be left alone.
pub(super) fn nobody(pool: &Pool, retry_after: Duration, refused: Option<u16>) -> ApiError {
    match refused {
        Some(status) => ApiError::all_paused(status, &pool.conf.name, retry_after),
        None => ApiError::no_peer(&pool.conf.name, retry_after),
    }
}

/// The right to try a request once more, if the pool's budget has one left.
pub(super) fn may_retry(pool: &Pool) -> Option<RetryGrant> {
    match pool.balance.may_retry(Instant::now()) {
        Ok(grant) => Some(grant),
        Err(BudgetSpent { newly }) => {
            let name = &pool.conf.name;
            events::retry_refused(name);
            if newly {
                log::warn!("pool {name}: the budget for retries is spent");
            }
            None
        }
    }
}

/// Whether a status says that the peer failed.
pub(super) fn failed(status: u16) -> bool {
    status == 429 || status >= 500
}

/// What the client is told when the last attempt failed.
pub(super) fn refusal(failure: &Failure, pool: &Pool, timeouts: &Timeouts) -> ApiError {
    match failure {
        Failure::Connect(_) => no_peer(pool),
        _ => failure_error(failure, timeouts),
    }
}

/// A failure in the client's terms.
pub(super) fn failure_error(failure: &Failure, timeouts: &Timeouts) -> ApiError {
    match failure {
        Failure::FirstByteTimeout => {
            ApiError::upstream_timed_out("first byte", timeouts.first_byte)
        }
        Failure::BetweenChunksTimeout => {
            ApiError::upstream_timed_out("further byte", timeouts.between_chunks)
        }
        Failure::TotalTimeout => ApiError::upstream_timed_out("end of the answer", timeouts.total),
        Failure::Connect(_) | Failure::Reset(_) | Failure::Broken(_) => {
            ApiError::upstream_broke(failure)
        }
        Failure::Unfit(why) => ApiError::bad_request(why, None),
    }
}
