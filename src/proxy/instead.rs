//! What a client gets in place of a fresh answer: an old one while a fresh one is fetched, an old one or the operator's own
//! words when no peer answers.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use super::Proxy;
use super::cached::{self, Fill, Wanted};
use super::ctx::Ctx;
use super::flight::Carried;
use super::mirror;
use super::report::{report_failure, report_status};
use super::respond;
use super::stop::Stop;
use super::tee::{Learn, Tee};
use crate::balance::{Demand, Pick};
use crate::cache::Entry;
use crate::config::model::{Priority, Unavailable};
use crate::front::Session;
use crate::llm::{ApiError, Endpoint, Usage, replay};
use crate::metrics::events;
use crate::state::Pool;

/// A model's request as its client asked it.
#[derive(Clone, Copy)]
pub(super) struct Asked {
    pub(super) endpoint: Endpoint,
    pub(super) wanted: Wanted,
}

impl Proxy {
    /// Fetches a fresh answer on a task of its own. Nobody waits for it: it does not queue, and is not tried again.
    #[expect(clippy::too_many_arguments, reason = "each is of another kind")]
    pub(super) fn refresh(
        &self,
        session: &Session,
        ctx: &mut Ctx,
        pool: &Arc<Pool>,
        asked: Asked,
        demand: &Demand,
        body: Bytes,
        learn: Learn,
        fill: Fill,
    ) {
        let lease = match pool.queue.may_pass(Priority::Low) {
            true => pool.balance.pick(demand, &[], Instant::now()),
            false => Pick::Busy,
        };
        let permit = Arc::clone(&self.refreshes).try_acquire_owned();
        let (Pick::Lease(mut lease), Ok(permit)) = (lease, permit) else {
            return events::refreshed("skipped");
        };
        let Ok(head) = self.peer_head(session, ctx, lease.peer().label(), Some(body.len())) else {
            return;
        };
        let (client, pool) = (Arc::clone(&self.client), Arc::clone(pool));
        let (timeouts, request_id) = (ctx.timeouts(&pool), ctx.request_id.clone());
        tokio::spawn(async move {
            let _out = permit;
            let begun = mirror::begin(&client, &pool, &lease, timeouts, &head, body).await;
            let (exchange, head) = match begun {
                Ok(begun) => begun,
                Err(failure) => {
                    log::info!(
                        "{request_id}: refresh from pool {}: {failure}",
                        pool.conf.name
                    );
                    report_failure(&pool, &mut lease, &failure);
                    return events::refreshed("failed");
                }
            };
            report_status(&pool, &mut lease, &head);
            let mut tee = Tee::metering(asked.endpoint, None, learn, Some(fill));
            tee.head(&head);
            if head.status.as_u16() != 200 {
                return events::refreshed("failed");
            }
            events::refreshed("answered");
            let carried = Carried {
                exchange,
                lease: Some(lease),
                tee,
                pool,
                timeouts,
                request_id,
            };
            carried.carry(client, None).await;
        });
    }
}

/// Whether an error says that no peer could answer.
pub(super) fn nobody_answers(error: &ApiError) -> bool {
    matches!(
        error.code,
        Some(
            "queue_full"
                | "queue_timeout"
                | "no_peer_available"
                | "upstream_error"
                | "upstream_timeout"
        )
    )
}

/// Gives the client an old answer, or the operator's words. False if there is neither.
///
/// # Errors
/// The client left.
pub(super) async fn answer(
    session: &mut Session,
    ctx: &mut Ctx,
    asked: Asked,
    spare: Option<&Entry>,
    unavailable: Option<&Unavailable>,
) -> Result<bool, Stop> {
    let Asked { endpoint, wanted } = asked;
    if let Some(entry) = spare {
        events::cache_lookup("exact", "stale");
        if cached::give_stale(session, ctx, endpoint, wanted, entry).await? {
            return Ok(true);
        }
    }
    let Some(unavailable) = unavailable else {
        return Ok(false);
    };
    let model = ctx.record.model.clone().unwrap_or_default();
    let Some(whole) = replay::said(endpoint, &model, &unavailable.text) else {
        return Ok(false);
    };
    let body = match wanted.stream() {
        Some(usage) => replay::to_sse(endpoint, &whole, usage),
        None => Ok(whole),
    };
    let Ok(body) = body else { return Ok(false) };
    let content_type = match wanted.stream() {
        Some(_) => "text/event-stream",
        None => "application/json",
    };
    ctx.own.set("x-tollgate-fallbacks", "static");
    events::fell_back("static");
    ctx.record.usage = Some(Usage::default());
    ctx.overhead_ends("answered");
    let status = unavailable.status.as_u16();
    respond::write(session, ctx, status, content_type, body.into()).await?;
    Ok(true)
}
