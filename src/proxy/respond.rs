//! Writes answers of our own: errors in the client's envelope, cached answers, merged lists.

use bytes::Bytes;
use pingora::Result;
use pingora::http::ResponseHeader;

use super::ctx::Ctx;
use super::stop::Stop;
use crate::front::Session;
use crate::llm::error::ApiError;
use crate::metrics::events::AbortStage;
use crate::route::HeaderEdits;

/// Writes `error` in the client's envelope. The connection stays usable unless something else spoke against it.
///
/// # Errors
/// The client left.
pub(super) async fn error(
    session: &mut Session,
    ctx: &mut Ctx,
    error: &ApiError,
) -> Result<(), Stop> {
    ctx.record.error_type = error_type(error);
    if let (Some(wait), Some(seconds)) = (error.retry_after, error.retry_after_seconds()) {
        ctx.header("retry-after", seconds.to_string());
        ctx.header("retry-after-ms", wait.as_millis().to_string());
    }
    if error.status == 401 {
        ctx.header("www-authenticate", "Bearer");
    }
    let body = Bytes::from(error.body(ctx.dialect));
    if !session.body_done() {
        let began = std::time::Instant::now();
        session.discard_body().await;
        ctx.waited_since(began);
    }
    ctx.overhead_ends("refused");
    write(session, ctx, error.status, "application/json", body).await
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
) -> Result<(), Stop> {
    let head = head(ctx, status, content_type, body.len()).map_err(|_| Stop::CutOff)?;
    send(session, head, body).await
}

/// Writes an answer that a peer gave before, changed as its route has it.
///
/// # Errors
/// The client left.
pub(super) async fn replay(
    session: &mut Session,
    ctx: &mut Ctx,
    content_type: &str,
    body: Bytes,
) -> Result<(), Stop> {
    let mut head = head(ctx, 200, content_type, body.len()).map_err(|_| Stop::CutOff)?;
    if let Some(route) = &ctx.route {
        edit(&mut head, &route.rewrite.response);
    }
    send(session, head, body).await
}

async fn send(session: &mut Session, head: ResponseHeader, body: Bytes) -> Result<(), Stop> {
    session.begin(head);
    let gone = |_| Stop::ClientGone(AbortStage::MidStream);
    session.write(body, true).await.map_err(gone)
}

fn head(ctx: &mut Ctx, status: u16, content_type: &str, length: usize) -> Result<ResponseHeader> {
    let mut head = ResponseHeader::build_no_case(status, Some(ctx.headers.len() + 6))?;
    head.insert_header(http::header::CONTENT_TYPE, content_type)?;
    head.insert_header(http::header::CONTENT_LENGTH, length)?;
    own_headers(ctx, &mut head)?;
    Ok(head)
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

/// Makes a route's changes.
pub(super) fn edit(head: &mut ResponseHeader, edits: &HeaderEdits) {
    if edits.is_empty() {
        return;
    }
    for name in edits.removed() {
        head.remove_header(name);
    }
    for (name, value) in edits.set() {
        let _ = head.insert_header(name.clone(), value.clone());
    }
    for (name, value) in edits.added() {
        let _ = head.append_header(name.clone(), value.clone());
    }
}

/// The word for metrics and logs: a closed vocabulary that says whose doing it was.
pub(super) fn error_type(error: &ApiError) -> &'static str {
    match error.code {
        Some("invalid_request") => "caller_bad_request",
        Some("request_too_large") => "caller_too_large",
        Some("request_too_slow") => "caller_too_slow",
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
