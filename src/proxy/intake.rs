//! The client's side of a request: reads its body whole, up to a cap, and says what is wrong with one that cannot be read.

use std::time::Instant;

use bytes::Bytes;
use http::header::CONTENT_LENGTH;

use super::ctx::Ctx;
use super::stop::Stop;
use crate::front::{ClientError, Session};
use crate::llm::error::ApiError;
use crate::metrics::events::AbortStage;

/// Reads the whole body. It is read to its very end, terminator included: otherwise the client's connection could not
/// be kept.
///
/// # Errors
/// The body is larger than `cap` bytes, too slow or not to be understood; the client left.
pub(super) async fn read(session: &mut Session, ctx: &mut Ctx, cap: u64) -> Result<Bytes, Stop> {
    if session.body_done() {
        return Ok(Bytes::new());
    }
    if session.body_is_here() {
        let read = session.read_whole(cap).await;
        return read.map_err(|error| trouble(error, AbortStage::Request, cap));
    }
    let began = Instant::now();
    let read = session.read_whole(cap).await;
    ctx.waited_since(began);
    read.map_err(|error| trouble(error, AbortStage::Request, cap))
}

/// Refuses a body that is passed on as it comes and is announced to be larger than its route allows.
pub(super) fn announced(session: &Session, ctx: &Ctx) -> Result<(), Stop> {
    let Some(cap) = ctx.route.as_ref().and_then(|route| route.max_body) else {
        return Ok(());
    };
    let length = session.head().headers.get(CONTENT_LENGTH);
    // Lengths that differ were refused before.
    let length = length.and_then(|length| length.to_str().ok()?.split(',').next());
    match length.and_then(|length| length.trim().parse::<u64>().ok()) {
        Some(length) if length > cap => Err(ApiError::body_too_large(cap).into()),
        _ => Ok(()),
    }
}

/// Refuses a body that is passed on as it comes, once more of it came than its route allows.
pub(super) fn within_cap(session: &mut Session, ctx: &Ctx) -> Result<(), Stop> {
    match ctx.route.as_ref().and_then(|route| route.max_body) {
        Some(cap) if session.body_read() > cap => {
            session.close_after();
            Err(ApiError::body_too_large(cap).into())
        }
        _ => Ok(()),
    }
}

/// What becomes of a request whose client did not keep its side. `cap` is the largest body it may have, in bytes.
pub(super) fn trouble(error: ClientError, stage: AbortStage, cap: u64) -> Stop {
    match error {
        ClientError::Left => Stop::ClientGone(stage),
        ClientError::TooSlow => ApiError::body_too_slow().into(),
        ClientError::TooLarge => ApiError::body_too_large(cap).into(),
        ClientError::Malformed(why) => {
            ApiError::bad_request(format!("the body cannot be read: {why}"), None).into()
        }
    }
}
