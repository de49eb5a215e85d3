//! The client's side of a request: reads its body whole, up to a cap, and says what is wrong with one that cannot be read.

use std::time::Instant;

use bytes::Bytes;

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
    let began = Instant::now();
    let read = session.read_whole(cap).await;
    ctx.waited_since(began);
    read.map_err(|error| trouble(error, AbortStage::Request, cap))
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
