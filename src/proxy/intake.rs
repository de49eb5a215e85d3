//! The client's side of a request: reads its body whole, in any framing, up to a cap, or gets rid of it.

use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use pingora::prelude::Session;
use tokio::time::timeout;

use super::ctx::Ctx;
use super::stop::Stop;
use crate::llm::error::ApiError;
use crate::metrics::events::AbortStage;

/// A connection that carries no request for this long is closed.
const IDLE_SECONDS: u64 = 75;
/// A client that takes nothing for this long is given up.
pub(super) const CLIENT_STALL: Duration = Duration::from_secs(60);
/// A body that nobody wants is read away up to this size, in bytes, if it comes within `DISCARD_LIMIT`: then the
/// connection can carry the next request.
const MOST_DISCARDED: usize = 64 * 1024;
const DISCARD_LIMIT: Duration = Duration::from_secs(1);
/// A client that goes on sending after its answer is listened to for this long: closing at once would reset the
/// connection, and the reset can overtake the answer.
const LINGER: Duration = Duration::from_secs(5);

/// Sets what holds for every connection.
pub(super) fn settle_in(session: &mut Session) {
    // `None` is the client's wish, or a framing that forbids to go on.
    if session.get_keepalive().is_some() {
        session.set_keepalive(Some(IDLE_SECONDS));
    }
    session.set_write_timeout(Some(CLIENT_STALL));
    // Without this a client that sends its next request early would be taken for one that left.
    session.set_pipelining_enabled(true);
}

/// Reads the whole body. It is read to its very end, terminator included: otherwise the client's connection could not
/// be kept.
///
/// # Errors
/// 413 when it is larger than `cap` bytes; the client left.
pub(super) async fn read(session: &mut Session, ctx: &mut Ctx, cap: u64) -> Result<Bytes, Stop> {
    let began = Instant::now();
    let read = read_up_to(session, ctx, cap).await;
    ctx.waited_since(began);
    read
}

async fn read_up_to(session: &mut Session, ctx: &mut Ctx, cap: u64) -> Result<Bytes, Stop> {
    let declared = content_length(session);
    if declared.is_some_and(|length| length > cap) {
        return Err(too_large(session, cap));
    }
    invite(session, ctx).await?;
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
    Ok(rest.map(BytesMut::freeze).or(first).unwrap_or_default())
}

/// Answers `Expect: 100-continue`.
///
/// # Errors
/// The client left.
pub(super) async fn invite(session: &mut Session, ctx: &mut Ctx) -> Result<(), Stop> {
    if !waits_to_be_invited(session, ctx) || session.is_body_empty() {
        return Ok(());
    }
    ctx.invited = true;
    // Pingora turns keep-alive off when a response head is written before the body is read; this one is only a nod.
    let keepalive = session.get_keepalive();
    session
        .write_continue_response()
        .await
        .map_err(|_| Stop::ClientGone(AbortStage::Request))?;
    session.set_keepalive(keepalive);
    Ok(())
}

/// Whether the body will not come before `100 Continue`, which HTTP/1.0 does not know.
fn waits_to_be_invited(session: &Session, ctx: &Ctx) -> bool {
    let head = session.req_header();
    let expects =
        |value: &http::HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"100-continue");
    !ctx.invited
        && head.version == http::Version::HTTP_11
        && head.headers.get("expect").is_some_and(expects)
}

/// Reads a body away that nobody wants, before it is refused, if it is small and there; otherwise the connection will
/// be closed.
pub(super) async fn discard(session: &mut Session, ctx: &mut Ctx) {
    if session.is_body_done() || session.get_keepalive().is_none() {
        return;
    }
    let small = content_length(session).is_none_or(|length| length <= MOST_DISCARDED as u64);
    let began = Instant::now();
    let discarded = small
        && !waits_to_be_invited(session, ctx)
        && timeout(DISCARD_LIMIT, read_away(session, MOST_DISCARDED))
            .await
            .unwrap_or(false);
    ctx.waited_since(began);
    if !discarded {
        session.set_keepalive(None);
    }
}

/// Listens to a client that is still sending although it has its answer, so that it can read that answer.
pub(super) async fn linger(session: &mut Session, ctx: &Ctx) {
    if !session.is_body_done() && !waits_to_be_invited(session, ctx) {
        let _ = timeout(LINGER, read_away(session, usize::MAX)).await;
    }
}

/// True when the body came to its end within `most` bytes.
async fn read_away(session: &mut Session, most: usize) -> bool {
    let mut length = 0_usize;
    while !session.is_body_done() {
        match session.read_request_body().await {
            Ok(Some(part)) => length = length.saturating_add(part.len()),
            Ok(None) => return true,
            Err(_) => return false,
        }
        if length > most {
            return false;
        }
    }
    true
}

/// The declared length of the body, in bytes.
fn content_length(session: &Session) -> Option<u64> {
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
