//! What may stand behind a body.

use bytes::Bytes;
use http::header::{
    AUTHORIZATION, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE,
    COOKIE, EXPECT, HOST, HeaderName, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, SET_COOKIE, TE,
    TRAILER, TRANSFER_ENCODING, UPGRADE, WWW_AUTHENTICATE,
};

use super::Malformed;
use super::parse::{fields_of, malformed};
use crate::util::headers::Headers;

/// Fields that mean something only ahead of a body, or to one connection (RFC 9110, 6.5.1): whoever merges trailers into
/// the head would let a sender say there what was taken from it, or refused.
const HEAD_ONLY: [HeaderName; 17] = [
    AUTHORIZATION,
    CONNECTION,
    CONTENT_ENCODING,
    CONTENT_LENGTH,
    CONTENT_RANGE,
    CONTENT_TYPE,
    COOKIE,
    EXPECT,
    HOST,
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    SET_COOKIE,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
    WWW_AUTHENTICATE,
];
const HEAD_ONLY_UNNAMED: [&str; 6] = [
    "keep-alive",
    "proxy-connection",
    // What is said of clients, and keys.
    "forwarded",
    "x-real-ip",
    "x-api-key",
    "x-goog-api-key",
];
/// Fields behind a body that are understood at most.
pub const MOST_TRAILERS: usize = 32;

/// Leaves the fields that may stand behind a body.
pub fn keep_trailers(trailers: &mut Headers) {
    for name in &HEAD_ONLY {
        trailers.remove(name);
    }
    for name in HEAD_ONLY_UNNAMED {
        trailers.remove(name);
    }
    trailers.retain(|name, _| !name.as_str().starts_with("x-forwarded-"));
}

/// Reads a block of trailer fields that ends with its only empty line.
///
/// # Errors
/// When it is not one.
pub(super) fn parse_trailers(block: &Bytes) -> Result<Headers, Malformed> {
    let bare = |at: usize| at == 0 || block[at - 1] != b'\r';
    if memchr::memchr_iter(b'\n', block).any(bare) {
        return Err(Malformed::Syntax(
            "a trailer ends without a carriage return",
        ));
    }
    let mut fields = [httparse::EMPTY_HEADER; MOST_TRAILERS];
    match httparse::parse_headers(block, &mut fields).map_err(malformed)? {
        httparse::Status::Complete((_, fields)) => {
            let mut trailers = fields_of(block, fields)?;
            keep_trailers(&mut trailers);
            Ok(trailers)
        }
        httparse::Status::Partial => Err(Malformed::Syntax("the trailers are incomplete")),
    }
}
