//! Where a body ends.

use http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{Method, StatusCode, Version};

use super::{Malformed, RequestHead, ResponseHead};

use crate::util::headers::Headers;

/// Where a body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// After this many bytes; 0 = no body.
    Length(u64),
    /// After its last chunk.
    Chunked,
    /// With its connection. Responses only.
    UntilClose,
}

/// The framing of a request body (RFC 9112, 6.3).
///
/// # Errors
/// When its head speaks of more than one framing, or of one that is not understood.
pub fn request_framing(head: &RequestHead) -> Result<Framing, Malformed> {
    let length = content_length(&head.headers)?;
    match (head.headers.contains_key(TRANSFER_ENCODING), length) {
        (false, length) => Ok(Framing::Length(length.unwrap_or(0))),
        (true, Some(_)) => Err(Malformed::Syntax(
            "both a transfer coding and a content length",
        )),
        (true, None) if head.version != Version::HTTP_11 => {
            Err(Malformed::Syntax("a transfer coding before HTTP/1.1"))
        }
        (true, None) if is_chunked(&head.headers) => Ok(Framing::Chunked),
        (true, None) if ends_chunked(&head.headers) => Err(Malformed::Coding),
        (true, None) => Err(Malformed::Syntax("a transfer coding without an end")),
    }
}

/// The framing of the body that answers a request with `method`.
///
/// # Errors
/// When the lengths it names disagree, or its coding is not understood.
pub fn response_framing(method: &Method, head: &ResponseHead) -> Result<Framing, Malformed> {
    let bodiless = head.status.is_informational()
        || matches!(
            head.status,
            StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED
        );
    if bodiless || *method == Method::HEAD {
        return Ok(Framing::Length(0));
    }
    if head.headers.contains_key(TRANSFER_ENCODING) {
        return match is_chunked(&head.headers) {
            true => Ok(Framing::Chunked),
            false => Err(Malformed::Coding),
        };
    }
    Ok(content_length(&head.headers)?.map_or(Framing::UntilClose, Framing::Length))
}

/// Leaves a head that was accepted with one framing: what names a length that is not the body's, or names it twice, would
/// be read in two ways further on (RFC 9112, 6.3; RFC 9110, 8.6).
pub fn one_length(head: &mut ResponseHead) {
    let mut values = head.headers.get_all(CONTENT_LENGTH);
    let Some(first) = values.next() else { return };
    let plain = values.next().is_none() && decimal(first.as_bytes()).is_some();
    drop(values);
    let no_body = head.status.is_informational() || head.status == StatusCode::NO_CONTENT;
    if no_body || head.headers.contains_key(TRANSFER_ENCODING) {
        head.headers.remove(CONTENT_LENGTH);
        return;
    }
    if plain {
        return;
    }
    match content_length(&head.headers) {
        Ok(Some(length)) => head.headers.insert(CONTENT_LENGTH, length.into()),
        // Only an answer without a body is accepted with such a one.
        _ => drop(head.headers.remove(CONTENT_LENGTH)),
    }
}

/// Whether a `Connection` header has this word in its list.
pub fn connection_says(headers: &Headers, word: &str) -> bool {
    headers.get_all(CONNECTION).any(|value| {
        value
            .as_bytes()
            .split(|byte| *byte == b',')
            .any(|item| item.trim_ascii().eq_ignore_ascii_case(word.as_bytes()))
    })
}

/// `chunked` and nothing else.
fn is_chunked(headers: &Headers) -> bool {
    let mut codings = headers.get_all(TRANSFER_ENCODING);
    let first = codings
        .next()
        .is_some_and(|coding| coding.as_bytes().eq_ignore_ascii_case(b"chunked"));
    first && codings.next().is_none()
}

/// `chunked` at last, behind codings that are not undone here.
fn ends_chunked(headers: &Headers) -> bool {
    let last = headers.get_all(TRANSFER_ENCODING).next_back();
    let last = last.and_then(|coding| coding.as_bytes().rsplit(|byte| *byte == b',').next());
    last.is_some_and(|coding| coding.trim_ascii().eq_ignore_ascii_case(b"chunked"))
}

/// The length that a head names. One that is said more than once must be the same each time.
fn content_length(headers: &Headers) -> Result<Option<u64>, Malformed> {
    let mut known = None;
    for value in headers.get_all(CONTENT_LENGTH) {
        for part in value.as_bytes().split(|byte| *byte == b',') {
            let length = decimal(part.trim_ascii())
                .ok_or(Malformed::Syntax("the content length is not a number"))?;
            if known.is_some_and(|known| known != length) {
                return Err(Malformed::Syntax("content lengths that disagree"));
            }
            known = Some(length);
        }
    }
    Ok(known)
}

/// Digits alone: no sign, no space.
fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |number, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderName, HeaderValue};

    fn request(version: Version, headers: &[(&'static str, &'static str)]) -> RequestHead {
        let mut head = RequestHead::new(Method::POST, "/").expect("valid");
        head.version = version;
        for (name, value) in headers {
            let value = HeaderValue::from_static(value);
            head.headers.append(HeaderName::from_static(name), value);
        }
        head
    }

    #[test]
    fn a_request_has_one_framing_or_none_is_accepted() {
        let framing = |headers: &[_]| request_framing(&request(Version::HTTP_11, headers));
        let (cl, te) = ("content-length", "transfer-encoding");
        assert_eq!(framing(&[]), Ok(Framing::Length(0)));
        assert_eq!(framing(&[(cl, "12")]), Ok(Framing::Length(12)));
        assert_eq!(framing(&[(cl, "4"), (cl, "4")]), Ok(Framing::Length(4)));
        assert_eq!(framing(&[(te, "Chunked")]), Ok(Framing::Chunked));
        for bad in [
            &[(cl, "4"), (cl, "5")][..],
            &[(cl, "+4")],
            &[(cl, "")],
            &[(cl, "0x4")],
            &[(cl, "99999999999999999999")],
            &[(cl, "4"), (te, "chunked")],
            &[(te, "identity")],
            &[(te, "chunked"), (te, "identity")],
            &[(te, "gzip, chunked")],
        ] {
            assert!(framing(bad).is_err(), "{bad:?}");
        }
        let old = request(Version::HTTP_10, &[(te, "chunked")]);
        assert!(request_framing(&old).is_err());
    }

    #[test]
    fn some_answers_have_no_body_whatever_they_say() {
        let mut head = ResponseHead::new(StatusCode::OK);
        assert_eq!(
            response_framing(&Method::GET, &head),
            Ok(Framing::UntilClose)
        );
        head.headers.set("content-length", "9").expect("valid");
        assert_eq!(
            response_framing(&Method::GET, &head),
            Ok(Framing::Length(9))
        );
        assert_eq!(
            response_framing(&Method::HEAD, &head),
            Ok(Framing::Length(0))
        );
        head.status = StatusCode::NOT_MODIFIED;
        assert_eq!(
            response_framing(&Method::GET, &head),
            Ok(Framing::Length(0))
        );
    }
}
