//! Writes answers of our own: errors in the client's envelope, cached answers, merged lists.

use bytes::Bytes;
use http::StatusCode;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};

use super::ctx::Ctx;
use super::stop::Stop;
use crate::front::{ClientError, Session, Whole};
use crate::llm::error::ApiError;
use crate::metrics::events::AbortStage;
use crate::util::fields::Fields;
use crate::wire::ResponseHead;

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
        ctx.own.number("retry-after", seconds);
        ctx.own.print(
            "retry-after-ms",
            format_args!("{}", wait.as_nanos().div_ceil(1_000_000)),
        );
    }
    if error.status == 401 {
        ctx.own.set("www-authenticate", "Bearer");
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
    ctx.own.set("x-request-id", &ctx.request_id);
    let answer = Whole {
        status: StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
        content_type,
        own: &ctx.own,
        body,
    };
    session.answer(answer).await.map_err(gone)
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
    let edited = ctx
        .route
        .as_ref()
        .is_some_and(|route| !route.rewrite.response.is_empty());
    if !edited {
        return write(session, ctx, 200, content_type, body).await;
    }
    let mut head = ResponseHead::new(StatusCode::OK);
    let _ = head.headers.set(CONTENT_TYPE, content_type);
    head.headers.insert(CONTENT_LENGTH, body.len().into());
    begin(session, ctx, head);
    session.write(body, true).await.map_err(gone)
}

fn gone(_: ClientError) -> Stop {
    Stop::ClientGone(AbortStage::MidStream)
}

/// Begins an answer: its head, over it the fields of ours, and over those what its route changes, which is the operator's
/// last word.
pub(super) fn begin(session: &mut Session, ctx: &mut Ctx, mut head: ResponseHead) {
    ctx.own.set("x-request-id", &ctx.request_id);
    let edits = ctx.route.as_ref().map(|route| &route.rewrite.response);
    let Some(edits) = edits.filter(|edits| !edits.is_empty()) else {
        return session.begin(head, &ctx.own);
    };
    for (name, value) in ctx.own.iter() {
        let _ = head.headers.set(name, value);
    }
    edits.apply(&mut head.headers);
    session.begin(head, &Fields::default());
}

/// The word for metrics and logs: a closed vocabulary that says whose doing it was.
pub(super) fn error_type(error: &ApiError) -> &'static str {
    match error.code {
        Some("invalid_request") => "caller_bad_request",
        Some("request_too_large") => "caller_too_large",
        Some("request_too_slow") => "caller_too_slow",
        Some("missing_api_key" | "invalid_api_key") => "caller_unauthenticated",
        Some("no_route" | "model_not_found") => "caller_no_route",
        Some("no_entry") => "caller_no_entry",
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
