//! Heads and chunks as bytes.
use http::header::HeaderName;

use super::{RequestHead, ResponseHead};
use crate::util::headers::Headers;

/// Ends a chunked body without trailers.
const LAST_CHUNK: &[u8] = b"0\r\n\r\n";
/// What a field takes, roughly, in bytes.
pub const FIELD: usize = 48;

/// Writes a request head, with its target in origin form, into a buffer with `room` for what follows it, in bytes.
pub fn request_head(head: &RequestHead, room: usize, out: &mut Vec<u8>) {
    let target = head
        .uri
        .path_and_query()
        .map_or("/", |target| target.as_str());
    out.reserve(target.len() + 32 + FIELD * head.headers.len() + room);
    out.extend_from_slice(head.method.as_str().as_bytes());
    out.push(b' ');
    if target.starts_with('?') {
        out.push(b'/');
    }
    out.extend_from_slice(target.as_bytes());
    out.extend_from_slice(b" HTTP/1.1\r\n");
    fields(&head.headers, |_| true, out);
    out.extend_from_slice(b"\r\n");
}

/// Begins a response head, as HTTP/1.1 whatever the client speaks (RFC 9110, 2.5): the status line and those fields whose
/// names `kept` accepts. What is still to come are further fields and an empty line.
pub fn response_head(head: &ResponseHead, kept: impl Fn(&HeaderName) -> bool, out: &mut Vec<u8>) {
    status_line(head.status.as_str(), head.reason(), out);
    fields(&head.headers, kept, out);
}

/// Writes the first line of a response.
pub fn status_line(status: &str, reason: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(status.as_bytes());
    out.push(b' ');
    out.extend_from_slice(reason.as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// Writes one field.
pub fn field(name: &str, value: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

fn fields(headers: &Headers, kept: impl Fn(&HeaderName) -> bool, out: &mut Vec<u8>) {
    for (name, value) in headers.iter() {
        if kept(name) {
            field(name.as_str(), value.as_bytes(), out);
        }
    }
}

/// Writes what comes before a chunk of `length` bytes, which is not 0.
pub fn chunk_start(length: usize, out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let digits = (usize::BITS - length.leading_zeros()).div_ceil(4).max(1);
    for place in (0..digits).rev() {
        out.push(DIGITS[length >> (4 * place) & 15]);
    }
    out.extend_from_slice(b"\r\n");
}

/// Ends a chunked body.
pub fn last_chunk(trailers: Option<&Headers>, out: &mut Vec<u8>) {
    match trailers {
        None => out.extend_from_slice(LAST_CHUNK),
        Some(trailers) => {
            out.extend_from_slice(b"0\r\n");
            fields(trailers, |_| true, out);
            out.extend_from_slice(b"\r\n");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{HeadLimits, parse_request};

    #[test]
    fn chunk_sizes_are_written_in_as_few_digits_as_they_need() {
        for (length, wire) in [
            (1, "1\r\n"),
            (15, "F\r\n"),
            (16, "10\r\n"),
            (0xABCDE, "ABCDE\r\n"),
        ] {
            let mut out = Vec::new();
            chunk_start(length, &mut out);
            assert_eq!(out, wire.as_bytes());
        }
    }

    #[test]
    fn a_head_is_written_as_it_was_read() {
        let text = "GET /a?b HTTP/1.1\r\nx: 1\r\nhost: h\r\nx: 2\r\n\r\n";
        let limits = HeadLimits { bytes: 1024 };
        let head = parse_request(&mut text.into(), &mut 0, limits);
        let mut out = Vec::new();
        request_head(&head.expect("good").expect("whole"), 0, &mut out);
        assert_eq!(out, text.as_bytes());
    }
}
