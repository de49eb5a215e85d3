//! What a client gets when no peer answers: an old answer, or the operator's own words.

use super::cached::{self, Wanted};
use super::ctx::Ctx;
use super::respond;
use super::stop::Stop;
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
