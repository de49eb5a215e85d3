//! Reads a request body whole, in any framing, up to a cap.

use std::time::Instant;

use bytes::{Bytes, BytesMut};
use pingora::prelude::Session;

use super::ctx::Ctx;
use super::stop::Stop;
use crate::llm::error::ApiError;
use crate::metrics::events::AbortStage;

/// Reads the whole body. It is read to its very end, terminator included: otherwise the client's connection could not
/// be kept.
///
/// # Errors
/// 413 when it is larger than `cap` bytes; the client left.
pub(super) async fn read(session: &mut Session, ctx: &mut Ctx, cap: u64) -> Result<Bytes, Stop> {
    let declared = content_length(session);
    if declared.is_some_and(|length| length > cap) {
        return Err(too_large(session, cap));
    }
    let began = Instant::now();
    invite(session).await?;
    let mut first: Option<Bytes> = None;
    let mut rest: Option<BytesMut> = None;
    let mut length = 0_u64;
    loop {
        let part = match session.read_request_body().await {
            Ok(Some(part)) => part,
            Ok(None) => break,
            Err(_) => return Err(Stop::ClientGone(AbortStage::Request)),
        };
        length += part.len() as u64;
        if length > cap {
            return Err(too_large(session, cap));
        }
        match (&mut first, &mut rest) {
            // Most bodies come in one read and are never copied.
            (None, None) => first = Some(part),
            (_, Some(rest)) => rest.extend_from_slice(&part),
            (Some(head), None) => {
                let expected = declared.map_or(2 * (head.len() + part.len()), |length| {
                    usize::try_from(length).unwrap_or(usize::MAX)
                });
                let mut all = BytesMut::with_capacity(
                    expected.min(usize::try_from(cap).unwrap_or(usize::MAX)),
                );
                all.extend_from_slice(head);
                all.extend_from_slice(&part);
                rest = Some(all);
            }
        }
        if session.is_body_done() {
            break;
        }
    }
    ctx.waited_since(began);
    Ok(rest.map(BytesMut::freeze).or(first).unwrap_or_default())
}

/// Answers `Expect: 100-continue`.
///
/// # Errors
/// The client left.
pub(super) async fn invite(session: &mut Session) -> Result<(), Stop> {
    let expects = session
        .req_header()
        .headers
        .get("expect")
        .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"));
    if !expects || session.is_body_empty() {
        return Ok(());
    }
    // Pingora turns keep-alive off when a response head is written before the body is read; this one is only a nod.
    let keepalive = session.get_keepalive();
    session
        .write_continue_response()
        .await
        .map_err(|_| Stop::ClientGone(AbortStage::Request))?;
    session.set_keepalive(keepalive);
    Ok(())
}

/// The declared length of the body, in bytes.
pub(super) fn content_length(session: &Session) -> Option<u64> {
    session
        .req_header()
        .headers
        .get(http::header::CONTENT_LENGTH)?
        .to_str()
        .ok()?
        .parse()
        .ok()
}

fn too_large(session: &mut Session, cap: u64) -> Stop {
    // The rest of the body is not worth reading, so the connection cannot carry another request.
    session.set_keepalive(None);
    ApiError::body_too_large(cap).into()
}
