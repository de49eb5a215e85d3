//! HTTP/2 as streams of bytes: as much goes as the other side has room for.

use std::future::poll_fn;

use bytes::Bytes;
use h2::{Reason, SendStream};

/// Waits until the other side has room, and sends as much of `part` as that is; `last` ends the stream with its last byte.
///
/// May be dropped and called again.
///
/// # Errors
/// The stream is no more.
pub async fn send_some(
    stream: &mut SendStream<Bytes>,
    part: &mut Bytes,
    last: bool,
) -> Result<(), h2::Error> {
    stream.reserve_capacity(part.len());
    let room = poll_fn(|context| stream.poll_capacity(context)).await;
    let room = room.unwrap_or_else(|| Err(Reason::CANCEL.into()))?;
    let piece = part.split_to(room.min(part.len()));
    stream.send_data(piece, last && part.is_empty())
}
