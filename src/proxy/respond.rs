//! Writes answers of our own: errors in the client's envelope, cached answers, merged lists.

use bytes::Bytes;
use pingora::http::ResponseHeader;
use pingora::prelude::Session;
use pingora::{Error, ErrorSource, ErrorType, Result};
use tokio::time::timeout;

use super::ctx::Ctx;
use super::intake::{self, CLIENT_STALL};
use crate::llm::error::ApiError;
use crate::metrics::events::AbortStage;

/// Bytes of a body that are written at once.
const PIECE: usize = 64 * 1024;

/// Writes `error` in the client's envelope. The connection stays usable unless something else spoke against it.
///
/// # Errors
/// The client left.
pub(super) async fn error(session: &mut Session, ctx: &mut Ctx, error: &ApiError) -> Result<()> {
    ctx.record.error_type = error_type(error);
    if let (Some(wait), Some(seconds)) = (error.retry_after, error.retry_after_seconds()) {
        ctx.header("retry-after", seconds.to_string());
        ctx.header("retry-after-ms", wait.as_millis().to_string());
    }
    if error.status == 401 {
        ctx.header("www-authenticate", "Bearer");
    }
    let body = Bytes::from(error.body(ctx.dialect));
    intake::discard(session, ctx).await;
    ctx.overhead_ends("refused");
    write(session, ctx, error.status, "application/json", body).await?;
    intake::linger(session, ctx).await;
    Ok(())
}

/// Writes a complete answer.
///
/// # Errors
/// The client left.
pub(super) async fn write(
    session: &mut Session,
    ctx: &mut Ctx,
    status: u16,
    content_type: &str,
    body: Bytes,
) -> Result<()> {
    let mut head = ResponseHeader::build_no_case(status, Some(ctx.headers.len() + 4))?;
    head.insert_header(http::header::CONTENT_TYPE, content_type)?;
    head.insert_header(http::header::CONTENT_LENGTH, body.len())?;
    own_headers(ctx, &mut head)?;
    let empty = body.is_empty() || session.req_header().method == http::Method::HEAD;
    begin(session, head, empty).await?;
    if empty {
        return Ok(());
    }
    let mut left = body;
    while !left.is_empty() {
        // Each piece has its own time, so that only a client that takes nothing at all is given up.
        let piece = left.split_to(left.len().min(PIECE));
        session.write_response_body(Some(piece), false).await?;
    }
    end(session).await
}

/// Writes the head of an answer.
///
/// # Errors
/// The client left, or takes nothing.
pub(super) async fn begin(session: &mut Session, head: ResponseHeader, empty: bool) -> Result<()> {
    let limit = session.get_write_timeout().unwrap_or(CLIENT_STALL);
    let write = session.write_response_header(Box::new(head), empty);
    timeout(limit, write).await.unwrap_or_else(|_| stalled())
}

/// Ends the body of an answer.
///
/// # Errors
/// The client left, or takes nothing.
pub(super) async fn end(session: &mut Session) -> Result<()> {
    let limit = session.get_write_timeout().unwrap_or(CLIENT_STALL);
    let write = session.write_response_body(None, true);
    timeout(limit, write).await.unwrap_or_else(|_| stalled())
}

/// Pingora's own limit holds for bodies only.
fn stalled() -> Result<()> {
    Err(Error::new_down(ErrorType::WriteTimedout))
}

/// Adds our headers to an answer's head.
///
/// # Errors
/// When a value is not a valid header value.
pub(super) fn own_headers(ctx: &mut Ctx, head: &mut ResponseHeader) -> Result<()> {
    head.insert_header("x-request-id", ctx.request_id.as_str())?;
    for (name, value) in ctx.headers.drain(..) {
        head.insert_header(name, value)?;
    }
    Ok(())
}

/// The word for metrics and logs: a closed vocabulary that says whose doing it was.
pub(super) fn error_type(error: &ApiError) -> &'static str {
    match error.code {
        Some("invalid_request") => "caller_bad_request",
        Some("request_too_large") => "caller_too_large",
        Some("missing_api_key" | "invalid_api_key") => "caller_unauthenticated",
        Some("no_route" | "model_not_found") => "caller_no_route",
        Some("not_cached") => "caller_not_cached",
        Some("forbidden") => "policy_forbidden",
        Some("rate_limit_exceeded") => "policy_rate_limit",
        Some("queue_full") => "policy_queue_full",
        Some("queue_timeout") => "policy_queue_timeout",
        Some("no_peer_available") => "provider_down",
        Some("upstream_error") => "provider_broke",
        Some("upstream_timeout") => "provider_timeout",
        _ => "tollgate_internal",
    }
}

/// Ends a request that failed outside our own answer: in Pingora's loop (upgrades), or because the client left. Returns
/// the status that was written, 0 for none.
pub(super) async fn after_failure(session: &mut Session, ctx: &mut Ctx, failure: &Error) -> u16 {
    let answered = session
        .response_written()
        .is_some_and(|head| !head.status.is_informational());
    if *failure.esource() == ErrorSource::Downstream && ctx.record.aborted.is_none() {
        ctx.client_left(AbortStage::MidStream);
    }
    if answered || ctx.record.aborted.is_some() {
        return 0;
    }
    // Pingora closes the connection after a failure; the head must not promise otherwise.
    session.set_keepalive(None);
    let told = ApiError::upstream_broke("the peer could not be reached");
    match error(session, ctx, &told).await {
        Ok(()) => told.status,
        Err(_) => 0,
    }
}
