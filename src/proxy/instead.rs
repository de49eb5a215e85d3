//! What a client gets in place of a fresh answer: an old one while a fresh one is fetched, an old one or the operator's own
//! words when no peer answers.

use std::sync::Arc;

use super::Proxy;
use super::cached::{self, Wanted};
use super::check::Answered;
use super::ctx::Ctx;
use super::mirror::{ask, place};
use super::respond;
use super::stop::Stop;
use super::tee::Tee;
use crate::cache::Entry;
use crate::config::model::Unavailable;
use crate::front::Session;
use crate::llm::{ApiError, Endpoint, Usage, replay};
use crate::metrics::events;

/// A model's request as its client asked it.
#[derive(Clone, Copy)]
pub(super) struct Asked {
    pub(super) endpoint: Endpoint,
    pub(super) wanted: Wanted,
}

impl Proxy {
    /// Fetches a fresh answer on a task of its own. Nobody waits for it: it does not queue, and is not tried again.
    pub(super) fn refresh(&self, session: &Session, ctx: &mut Ctx, answered: Answered<'_>) {
        let Answered {
            route,
            demand,
            endpoint,
            body,
            learn,
            fill,
        } = answered;
        let name = learn.pool.conf.name.clone();
        let Some((permit, pool, lease)) = place(ctx, route, &name, &demand, Some(&body)) else {
            return events::refreshed("skipped");
        };
        let Ok(head) = self.peer_head(session, ctx, lease.peer().label(), Some(body.len())) else {
            return;
        };
        let client = Arc::clone(&self.client);
        tokio::spawn(async move {
            let _permit = permit;
            let mut tee = Tee::metering(endpoint, None, learn, Some(fill));
            events::refreshed(
                match ask(&client, &pool, lease, &head, body, Some(&mut tee)).await {
                    Ok(()) => {
                        tee.complete();
                        "answered"
                    }
                    Err(failure) => {
                        log::info!("fresh answer from pool {name}: {failure}");
                        "failed"
                    }
                },
            );
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
