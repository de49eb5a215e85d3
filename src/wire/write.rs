//! Heads and chunks as bytes.

use bytes::{BufMut, BytesMut};
use http::HeaderMap;
use pingora::http::{RequestHeader, ResponseHeader};

/// Ends a chunked body without trailers.
const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// Writes a request head, with its target in origin form.
pub fn request_head(head: &RequestHeader, out: &mut BytesMut) {
    let target = head
        .uri
        .path_and_query()
        .map_or("/", |target| target.as_str());
    out.reserve(target.len() + 32 + 48 * head.headers.len());
    out.put_slice(head.method.as_str().as_bytes());
    out.put_u8(b' ');
    if target.starts_with('?') {
        out.put_u8(b'/');
    }
    out.put_slice(target.as_bytes());
    out.put_slice(b" HTTP/1.1\r\n");
    fields(&head.headers, out);
    out.put_slice(b"\r\n");
}

/// Writes a response head, as HTTP/1.1 whatever the client speaks (RFC 9110, 2.5).
pub fn response_head(head: &ResponseHeader, out: &mut BytesMut) {
    out.reserve(32 + 48 * head.headers.len());
    out.put_slice(b"HTTP/1.1 ");
    out.put_slice(head.status.as_str().as_bytes());
    out.put_u8(b' ');
    out.put_slice(head.get_reason_phrase().unwrap_or_default().as_bytes());
    out.put_slice(b"\r\n");
    fields(&head.headers, out);
    out.put_slice(b"\r\n");
}

fn fields(headers: &HeaderMap, out: &mut BytesMut) {
    for (name, value) in headers {
        let (name, value) = (name.as_str().as_bytes(), value.as_bytes());
        out.reserve(name.len() + value.len() + 4);
        out.put_slice(name);
        out.put_slice(b": ");
        out.put_slice(value);
        out.put_slice(b"\r\n");
    }
}

/// Writes what comes before a chunk of `length` bytes, which is not 0.
pub fn chunk_start(length: usize, out: &mut BytesMut) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let digits = (usize::BITS - length.leading_zeros()).div_ceil(4).max(1);
    for place in (0..digits).rev() {
        out.put_u8(DIGITS[length >> (4 * place) & 15]);
    }
    out.put_slice(b"\r\n");
}

/// Ends a chunked body.
pub fn last_chunk(trailers: Option<&HeaderMap>, out: &mut BytesMut) {
    match trailers {
        None => out.put_slice(LAST_CHUNK),
        Some(trailers) => {
            out.put_slice(b"0\r\n");
            fields(trailers, out);
            out.put_slice(b"\r\n");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunk_sizes_are_written_in_as_few_digits_as_they_need() {
        for (length, wire) in [
            (1, "1\r\n"),
            (15, "F\r\n"),
            (16, "10\r\n"),
            (0xABCDE, "ABCDE\r\n"),
        ] {
            let mut out = BytesMut::new();
            chunk_start(length, &mut out);
            assert_eq!(&out[..], wire.as_bytes());
        }
    }

    #[test]
    fn a_head_is_written_as_it_was_read() {
        let mut head = RequestHeader::build_no_case("GET", b"/a?b", None).expect("valid");
        head.append_header("host", "h").expect("valid");
        head.append_header("x", "1").expect("valid");
        head.append_header("x", "2").expect("valid");
        let mut out = BytesMut::new();
        request_head(&head, &mut out);
        assert_eq!(
            &out[..],
            b"GET /a?b HTTP/1.1\r\nhost: h\r\nx: 1\r\nx: 2\r\n\r\n"
        );
    }
}
