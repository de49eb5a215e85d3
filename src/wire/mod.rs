//! HTTP/1 as bytes, for both sides: heads, framing, bodies, and one connection's buffers.
//!
//! Of two ways to read a message, only the one that everybody shares is accepted: what a peer could understand
//! differently is refused (RFC 9112, sections 3, 6 and 11.2). Nothing here waits but [`Conn`], and nothing knows who is
//! at the other end.

mod alarm;
mod body;
mod conn;
mod flow;
mod framing;
mod head;
mod parse;
mod trailers;
mod tunnel;
mod write;

pub use alarm::{Alarm, Late, within};
pub use body::{Decoded, Decoder};
pub use conn::{Conn, Io};
pub use flow::send_some;
pub use framing::{Framing, connection_says, one_length, request_framing, response_framing};
pub use head::{MOST_FIELDS, ROOM, RequestHead, ResponseHead};
pub use parse::{HeadLimits, check_http2, parse_request, parse_response};
pub use trailers::{MOST_TRAILERS, keep_trailers};
pub use tunnel::tunnel;
pub use write::{FIELD, chunk_start, field, last_chunk, request_head, response_head, status_line};

use std::fmt;

/// Why bytes are not the message they should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Malformed {
    /// The head is larger than allowed, or has too many fields.
    HeadTooLarge,
    /// The request target alone is larger than allowed.
    TargetTooLong,
    /// A version of HTTP that is not spoken here.
    Version,
    /// A transfer coding that is not understood.
    Coding,
    /// Anything else, and what.
    Syntax(&'static str),
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::HeadTooLarge => "the head is too large",
            Self::TargetTooLong => "the request target is too long",
            Self::Version => "this version of HTTP is not spoken here",
            Self::Coding => "the transfer coding is not understood",
            Self::Syntax(what) => what,
        })
    }
}

impl std::error::Error for Malformed {}
