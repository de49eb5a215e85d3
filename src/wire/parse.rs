//! Request and response heads, from bytes to fields that share those bytes.

use std::mem::MaybeUninit;

use bytes::{Bytes, BytesMut};
use http::header::{HOST, HeaderName};
use http::{HeaderValue, Method, StatusCode, Uri, Version};

use super::head::{MOST_FIELDS, ROOM};
use super::{Malformed, RequestHead, ResponseHead, request_framing};
use crate::util::headers::Headers;

/// How large a head may be.
#[derive(Debug, Clone, Copy)]
pub struct HeadLimits {
    /// Bytes of the whole head.
    pub bytes: usize,
}

/// Takes a request head off the front of `buffer`; `None` while it is not complete.
///
/// `seen` is how many bytes earlier calls have looked at; it starts at 0 and is 0 again after a head.
///
/// # Errors
/// When no continuation could make it a head that is read in one way only.
pub fn parse_request(
    buffer: &mut BytesMut,
    seen: &mut usize,
    limits: HeadLimits,
) -> Result<Option<Box<RequestHead>>, Malformed> {
    while buffer.starts_with(b"\r\n") && *seen <= 2 {
        // Some old clients end a body with a line too many (RFC 9112, 2.2).
        let _ = buffer.split_to(2);
        *seen = 0;
    }
    let end = end_of_head(buffer, seen, Lines::Strict)?;
    let length = end.unwrap_or(buffer.len());
    if length > limits.bytes || (end.is_none() && length == limits.bytes) {
        let first_line = memchr::memchr(b'\n', &buffer[..limits.bytes]);
        return Err(match first_line {
            None => Malformed::TargetTooLong,
            Some(_) => Malformed::HeadTooLarge,
        });
    }
    let Some(end) = end else {
        return Ok(None);
    };
    *seen = 0;
    let head = buffer.split_to(end).freeze();
    let mut fields = [const { MaybeUninit::uninit() }; MOST_FIELDS];
    let mut parsed = httparse::Request::new(&mut []);
    parsed
        .parse_with_uninit_headers(&head, &mut fields)
        .map_err(malformed)?;
    let (Some(method), Some(target), Some(version)) = (parsed.method, parsed.path, parsed.version)
    else {
        return Err(Malformed::Syntax("the request line is incomplete"));
    };
    let request = Box::new(RequestHead {
        method: Method::from_bytes(method.as_bytes())
            .map_err(|_| Malformed::Syntax("bad method"))?,
        uri: Uri::from_maybe_shared(head.slice_ref(target.as_bytes()))
            .map_err(|_| Malformed::Syntax("the request target is not a URI"))?,
        version: http_version(version),
        headers: fields_of(&head, parsed.headers)?,
    });
    check_host(&request)?;
    Ok(Some(request))
}

/// Takes a response head off the front of `buffer`; `None` while it is not complete. `seen` as in [`parse_request`].
///
/// # Errors
/// When it is not a response head, or larger than `limits` allow.
pub fn parse_response(
    buffer: &mut BytesMut,
    seen: &mut usize,
    limits: HeadLimits,
) -> Result<Option<ResponseHead>, Malformed> {
    let Some(end) = end_of_head(buffer, seen, Lines::Any)? else {
        return match buffer.len() >= limits.bytes {
            true => Err(Malformed::HeadTooLarge),
            false => Ok(None),
        };
    };
    *seen = 0;
    let head = buffer.split_to(end).freeze();
    let mut fields = [const { MaybeUninit::uninit() }; MOST_FIELDS];
    let mut parsed = httparse::Response::new(&mut []);
    httparse::ParserConfig::default()
        .allow_spaces_after_header_name_in_responses(true)
        .parse_response_with_uninit_headers(&mut parsed, &head, &mut fields)
        .map_err(malformed)?;
    let (Some(code), Some(version)) = (parsed.code, parsed.version) else {
        return Err(Malformed::Syntax("the status line is incomplete"));
    };
    let status = StatusCode::from_u16(code).map_err(|_| Malformed::Syntax("bad status"))?;
    let reason = parsed.reason;
    Ok(Some(ResponseHead {
        status,
        version: http_version(version),
        headers: fields_of(&head, parsed.headers)?,
        reason: reason
            .filter(|reason| Some(*reason) != status.canonical_reason())
            .map(Box::from),
    }))
}

fn http_version(minor: u8) -> Version {
    match minor {
        1 => Version::HTTP_11,
        _ => Version::HTTP_10,
    }
}

/// What may end a line.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lines {
    /// CR LF alone. A line feed by itself ends a line for some readers and not for others.
    Strict,
    /// A line feed, with or without a carriage return.
    Any,
}

/// Where the head ends, after its empty line.
fn end_of_head(buffer: &[u8], seen: &mut usize, lines: Lines) -> Result<Option<usize>, Malformed> {
    for found in memchr::memchr_iter(b'\n', &buffer[*seen..]) {
        let at = *seen + found;
        let content = match buffer[..at] {
            [.., b'\r'] => at - 1,
            _ if lines == Lines::Strict => {
                return Err(Malformed::Syntax("a line ends without a carriage return"));
            }
            _ => at,
        };
        if content > 0 && buffer[content - 1] == b'\n' {
            return Ok(Some(at + 1));
        }
    }
    *seen = buffer.len();
    Ok(None)
}

/// RFC 9112, 3.2: exactly one host, and no second opinion in the target.
fn check_host(request: &RequestHead) -> Result<(), Malformed> {
    let mut hosts = request.headers.get_all(HOST);
    let host = hosts.next();
    if hosts.next().is_some() {
        return Err(Malformed::Syntax("more than one host"));
    }
    let is_bad = |host: &[u8]| host.iter().any(|byte| b" \t,/@".contains(byte));
    match (host, request.uri.authority()) {
        (None, None) if request.version > Version::HTTP_10 => Err(Malformed::Syntax("no host")),
        (Some(host), Some(authority))
            if !host
                .as_bytes()
                .eq_ignore_ascii_case(authority.as_str().as_bytes()) =>
        {
            Err(Malformed::Syntax("the target names another host"))
        }
        (Some(host), _) if is_bad(host.as_bytes()) => Err(Malformed::Syntax("bad host")),
        (None, Some(authority)) if is_bad(authority.as_str().as_bytes()) => {
            Err(Malformed::Syntax("bad host"))
        }
        _ => Ok(()),
    }
}

/// Checks a head that came over HTTP/2 for what its frames leave open (RFC 9113, 8.2 and 8.3): it must mean the same to a peer
/// that gets it over HTTP/1.
///
/// # Errors
/// When that could be read in another way.
pub fn check_http2(request: &RequestHead) -> Result<(), Malformed> {
    check_host(request)?;
    request_framing(request)?;
    let target = request.uri.path_and_query().map_or("", |t| t.as_str());
    let plain = |byte: u8| byte > b' ' && byte != 0x7f;
    match target.bytes().all(plain) && (target.starts_with('/') || target == "*") {
        true => Ok(()),
        false => Err(Malformed::Syntax("the path is none")),
    }
}

/// Fields whose values share the bytes of `head`.
pub(super) fn fields_of(
    head: &Bytes,
    fields: &[httparse::Header<'_>],
) -> Result<Headers, Malformed> {
    let mut headers = Headers::with_capacity(fields.len() + ROOM);
    for field in fields {
        let name = HeaderName::from_bytes(field.name.as_bytes())
            .map_err(|_| Malformed::Syntax("bad field name"))?;
        let value = HeaderValue::from_maybe_shared(head.slice_ref(field.value))
            .map_err(|_| Malformed::Syntax("bad field value"))?;
        headers.append(name, value);
    }
    Ok(headers)
}

pub(super) fn malformed(error: httparse::Error) -> Malformed {
    match error {
        httparse::Error::TooManyHeaders => Malformed::HeadTooLarge,
        httparse::Error::Version => Malformed::Version,
        httparse::Error::HeaderName => Malformed::Syntax("bad field name"),
        httparse::Error::HeaderValue => Malformed::Syntax("bad field value"),
        httparse::Error::Token => Malformed::Syntax("bad request line"),
        httparse::Error::NewLine => Malformed::Syntax("bad line end"),
        httparse::Error::Status => Malformed::Syntax("bad status line"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIMITS: HeadLimits = HeadLimits { bytes: 4096 };

    fn request(text: &str) -> Result<Option<Box<RequestHead>>, Malformed> {
        parse_request(&mut BytesMut::from(text), &mut 0, LIMITS)
    }

    #[test]
    fn a_head_is_taken_off_and_the_rest_stays() {
        let mut buffer =
            BytesMut::from("\r\nPOST /v1/x?y=1 HTTP/1.1\r\nHost: a\r\nX-A:  b \r\n\r\nbody");
        let head = parse_request(&mut buffer, &mut 0, LIMITS)
            .expect("good")
            .expect("whole");
        assert_eq!(head.method, Method::POST);
        assert_eq!(
            head.uri.path_and_query().expect("path").as_str(),
            "/v1/x?y=1"
        );
        assert_eq!(head.headers["x-a"], "b");
        assert_eq!(&buffer[..], b"body");
    }

    #[test]
    fn what_two_readers_could_read_differently_is_refused() {
        for text in [
            "GET / HTTP/1.1\nhost: a\n\n",
            "GET / HTTP/1.1\r\nhost: a\n\r\n",
            "GET / HTTP/1.1\r\nhost : a\r\n\r\n",
            "GET / HTTP/1.1\r\nhost: a\r\n x: folded\r\n\r\n",
            "GET / HTTP/1.1\r\nhost: a\r\nx: a\0b\r\n\r\n",
            "GET / HTTP/1.1\r\nhost: a\rb\r\n\r\n",
            "GET / HTTP/1.1\r\nhost: a\r\nhost: a\r\n\r\n",
            "GET / HTTP/1.1\r\n\r\n",
            "GET http://b/ HTTP/1.1\r\nhost: a\r\n\r\n",
            "GET  / HTTP/1.1\r\nhost: a\r\n\r\n",
            "GET / a HTTP/1.1\r\nhost: a\r\n\r\n",
            "GET /\r\n\r\n",
            "G(T / HTTP/1.1\r\nhost: a\r\n\r\n",
        ] {
            assert!(request(text).is_err(), "{text:?}");
        }
        assert_eq!(
            request("GET / HTTP/2.0\r\nhost: a\r\n\r\n").err(),
            Some(Malformed::Version)
        );
    }

    #[test]
    fn heads_beyond_their_limit_are_told_apart() {
        let long = "a".repeat(5000);
        assert_eq!(
            request(&format!("GET /{long}")).err(),
            Some(Malformed::TargetTooLong)
        );
        assert_eq!(
            request(&format!("GET / HTTP/1.1\r\nhost: a\r\nx: {long}")).err(),
            Some(Malformed::HeadTooLarge)
        );
        let many = "x: y\r\n".repeat(200);
        assert_eq!(
            request(&format!("GET / HTTP/1.1\r\nhost: a\r\n{many}\r\n")).err(),
            Some(Malformed::HeadTooLarge)
        );
    }

    #[test]
    fn a_response_keeps_a_phrase_of_its_own() {
        let mut buffer = BytesMut::from("HTTP/1.1 200 Fine\r\ncontent-length: 2\r\n\r\nok");
        let head = parse_response(&mut buffer, &mut 0, LIMITS)
            .expect("good")
            .expect("whole");
        assert_eq!(head.reason(), "Fine");
        assert_eq!(&buffer[..], b"ok");
    }

    proptest! {
        #[test]
        fn a_head_reads_the_same_however_it_is_cut(cuts in prop::collection::vec(1_usize..20, 1..40)) {
            let text = b"PUT /a HTTP/1.1\r\nhost: h\r\ncontent-length: 3\r\nx-long: 0123456789\r\n\r\nabc";
            let (mut buffer, mut seen, mut at) = (BytesMut::new(), 0, 0);
            let mut found = None;
            for cut in cuts.iter().cycle() {
                let to = (at + cut).min(text.len());
                buffer.extend_from_slice(&text[at..to]);
                at = to;
                if let Some(head) = parse_request(&mut buffer, &mut seen, LIMITS).expect("good") {
                    found = Some(head);
                    break;
                }
                prop_assert!(at < text.len(), "the head was complete");
            }
            let head = found.expect("found");
            prop_assert_eq!(&head.headers["x-long"], "0123456789");
            prop_assert_eq!(head.headers.len(), 3);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse_request(&mut BytesMut::from(&bytes[..]), &mut 0, LIMITS);
            let _ = parse_response(&mut BytesMut::from(&bytes[..]), &mut 0, LIMITS);
        }
    }
}
