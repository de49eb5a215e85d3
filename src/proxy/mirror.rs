//! Copies of requests for another pool, whose answers nobody gets.
//!
//! A copy is an exchange of its own on a task of its own: it neither delays nor breaks the request that it was taken from,
//! outlives its client, and dies with the process.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use tokio::sync::OwnedSemaphorePermit;

use super::Proxy;
use super::ctx::Ctx;
use super::dispatch::STALE_TRIES;
use super::report::{failed, report_failure, report_status, report_success};
use super::tee::Tee;
use crate::balance::{Demand, Lease, Pick};
use crate::config::model::Priority;
use crate::exchange::{Client, Failure};
use crate::front::Session;
use crate::metrics::events::{self, Mirroring};
use crate::route::Route;
use crate::state::{Pool, Snapshot};
use crate::wire::{RequestHead, ResponseHead};

/// What every copy takes of its route's room, however small its body is, in bytes: that bounds their number as well.
const LEAST: usize = 1024 * 1024;

impl Proxy {
    /// Sends a copy of a request on its way, if its route has a mirror and the dice say so. `body` is held whole; `None` for a
    /// request that has none.
    pub(super) fn mirror(
        &self,
        session: &Session,
        ctx: &mut Ctx,
        route: &Route,
        demand: &Demand,
        body: Option<&Bytes>,
    ) {
        let Some(mirror) = &route.mirror else { return };
        if !mirror.takes(fastrand::u64(..)) {
            return;
        }
        let Some((permit, pool, lease)) = place(ctx, route, &mirror.pool, demand, body) else {
            return events::mirrored(&route.name, "skipped");
        };
        let Ok(head) = self.peer_head(session, ctx, lease.peer().label(), body.map(Bytes::len))
        else {
            return;
        };
        let (client, route) = (Arc::clone(&self.client), route.name.clone());
        let body = body.cloned().unwrap_or_default();
        tokio::spawn(async move {
            let _out = (permit, Mirroring::begin());
            let result = match ask(&client, &pool, lease, &head, body, None).await {
                Ok(()) => "answered",
                Err(failure) => {
                    log::info!("copy for pool {}: {failure}", pool.conf.name);
                    "failed"
                }
            };
            events::mirrored(&route, result);
        });
    }
}

/// Room for the copy and a peer for it; `None` where one is missing. Nobody waits for a copy, and no copy goes before those
/// who wait for a peer.
pub(super) fn place(
    ctx: &Ctx,
    route: &Route,
    pool: &str,
    demand: &Demand,
    body: Option<&Bytes>,
) -> Option<(OwnedSemaphorePermit, Arc<Pool>, Lease)> {
    let room = &ctx.snapshot.routes_live.get(&route.name)?.copies;
    let bytes = body.map_or(0, Bytes::len).max(LEAST);
    let permit = Arc::clone(room)
        .try_acquire_many_owned(u32::try_from(bytes).ok()?)
        .ok()?;
    let (pool, lease) = idle(&ctx.snapshot, pool, demand)?;
    Some((permit, pool, lease))
}

/// A peer of the pool of this name that nobody else waits for.
pub(super) fn idle(snapshot: &Snapshot, pool: &str, demand: &Demand) -> Option<(Arc<Pool>, Lease)> {
    let pool = snapshot.pools.get(pool)?;
    if !pool.queue.may_pass(Priority::Low) {
        return None;
    }
    match pool.balance.pick(demand, &[], Instant::now()) {
        Pick::Lease(lease) => Some((Arc::clone(pool), lease)),
        _ => None,
    }
}

/// Hears an answer that no client gets.
pub(super) trait Hears: Send {
    /// It has begun.
    fn head(&mut self, head: &ResponseHead);

    /// A part of it came from the peer of `lease`.
    fn part(&mut self, part: &Bytes, lease: &mut Lease);
}

impl Hears for Tee {
    fn head(&mut self, head: &ResponseHead) {
        self.head(head);
    }

    fn part(&mut self, part: &Bytes, lease: &mut Lease) {
        self.part(part, Some(lease), Instant::now());
    }
}

/// Asks the peer and reads its answer away, or has it heard.
pub(super) async fn ask(
    client: &Client,
    pool: &Pool,
    mut lease: Lease,
    head: &RequestHead,
    body: Bytes,
    hears: Option<&mut dyn Hears>,
) -> Result<(), Failure> {
    let answered = answer(client, pool, &mut lease, head, body, hears).await;
    if let Err(failure) = &answered {
        report_failure(pool, &mut lease, failure);
    }
    answered
}

async fn answer(
    client: &Client,
    pool: &Pool,
    lease: &mut Lease,
    head: &RequestHead,
    body: Bytes,
    mut hears: Option<&mut dyn Hears>,
) -> Result<(), Failure> {
    let began = Instant::now();
    let mut stale_tries = 0;
    let (mut exchange, answer) = loop {
        let way = pool.reach.way(lease.peer().label(), lease.addr());
        let exchange = client.open(way, pool.conf.timeouts, began, Instant::now());
        let mut exchange = exchange.await?;
        match exchange.ask(head, body.clone()).await {
            Ok(answer) => break (exchange, answer),
            // The peer had closed an idle connection, which says nothing about it.
            Err(failure) if exchange.is_stale(&failure) && stale_tries < STALE_TRIES => {
                stale_tries += 1;
            }
            Err(failure) => return Err(failure),
        }
    };
    report_status(pool, lease, &answer, Instant::now());
    if let Some(hears) = &mut hears {
        hears.head(&answer);
    }
    while !exchange.is_done() {
        let Some(part) = exchange.chunk().await? else {
            break;
        };
        if let Some(hears) = &mut hears {
            hears.part(&part, lease);
        }
    }
    let now = Instant::now();
    if !failed(answer.status.as_u16()) {
        report_success(pool, lease, now);
    }
    exchange.release(client, now);
    Ok(())
}
