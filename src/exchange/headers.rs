//! Which headers cross the proxy.

use http::header::{CONNECTION, CONTENT_LENGTH, EXPECT, HOST, HeaderName, TRANSFER_ENCODING};
use http::{HeaderValue, Uri};

use crate::util::headers::Headers;
use crate::wire::{ROOM, RequestHead};

/// Whether a header belongs to one connection (RFC 9110, 7.6.1), whatever `Connection` names.
fn is_hop_by_hop(name: &HeaderName) -> bool {
    // Told apart by their lengths first, where one by one they would be compared nine times.
    matches!(
        name.as_str(),
        "connection"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
            | "keep-alive"
            | "proxy-connection"
    )
}

/// Removes from a message what belongs to its connection: hop-by-hop fields and those named by `Connection`. A sender cannot
/// name what a message does not work without: its framing and its host.
pub fn strip_hop_by_hop(headers: &mut Headers) {
    let named = named_by_connection(headers);
    headers.retain(|name, _| !stays(name, &named));
}

/// Whether a field stays on its connection, which names these.
fn stays(name: &HeaderName, named: &[HeaderName]) -> bool {
    is_hop_by_hop(name) || named.contains(name)
}

fn named_by_connection(headers: &Headers) -> Vec<HeaderName> {
    let values = headers.get_all(CONNECTION).map(HeaderValue::as_bytes);
    let words = values.flat_map(|value| value.split(|byte| *byte == b','));
    // Of the usual word nothing is to be told that is not told above.
    let words = words.map(<[u8]>::trim_ascii);
    let words = words.filter(|word| !word.eq_ignore_ascii_case(b"keep-alive"));
    let mut words: Vec<Vec<u8>> = words.map(<[u8]>::to_ascii_lowercase).collect();
    if words.is_empty() {
        return Vec::new();
    }
    // There may be thousands.
    words.sort_unstable();
    let is_named = |name: &&HeaderName| {
        let known = |word: &Vec<u8>| word[..].cmp(name.as_str().as_bytes());
        ![CONTENT_LENGTH, HOST].contains(name) && words.binary_search_by(known).is_ok()
    };
    headers.keys().filter(is_named).cloned().collect()
}

/// The client's request head made ready for a peer: hop-by-hop headers and `Expect` removed, framing as given, the
/// target without scheme and host.
///
/// `body` is the exact length of a body that is held whole, or `None` for one that is passed on as it comes: the head says
/// how it ends, whatever HTTP the client speaks.
pub fn upstream_head(client: &RequestHead, body: Option<usize>) -> RequestHead {
    let chunked = body.is_none() && client.headers.contains_key(TRANSFER_ENCODING);
    let named = named_by_connection(&client.headers);
    let mut headers = Headers::with_capacity(client.headers.len() + ROOM);
    for (name, value) in client.headers.iter() {
        if *name != EXPECT && !stays(name, &named) {
            headers.append(name.clone(), value.clone());
        }
    }
    let mut head = RequestHead {
        method: client.method.clone(),
        uri: client.uri.clone(),
        version: client.version,
        headers,
    };
    if client.uri.authority().is_some() {
        let target = client.uri.path_and_query().cloned();
        head.uri = target.map_or(Uri::from_static("/"), Uri::from);
    }
    match body {
        Some(length)
            if length > 0
                || client.headers.contains_key(CONTENT_LENGTH)
                || has_body_framing(client) =>
        {
            head.headers
                .insert(CONTENT_LENGTH, HeaderValue::from(length));
        }
        Some(_) => {}
        None if chunked => {
            let chunked = HeaderValue::from_static("chunked");
            head.headers.insert(TRANSFER_ENCODING, chunked);
        }
        None if client.version == http::Version::HTTP_2
            && !head.headers.contains_key(CONTENT_LENGTH)
            && may_have_body(client) =>
        {
            let none = HeaderValue::from_static("0");
            head.headers.insert(CONTENT_LENGTH, none);
        }
        None => {
            // Lengths that agree were accepted as one; the peer gets one.
            if let Some(length) = head.headers.get(CONTENT_LENGTH).cloned() {
                let first = length.as_bytes().split(|byte| *byte == b',').next();
                if let Some(Ok(length)) =
                    first.map(|first| HeaderValue::from_bytes(first.trim_ascii()))
                {
                    head.headers.insert(CONTENT_LENGTH, length);
                }
            }
        }
    }
    head
}

/// Whether a head made by [`upstream_head`] says that a body follows.
pub(super) fn announces_body(head: &RequestHead) -> bool {
    let length = head.headers.get(CONTENT_LENGTH);
    head.headers.contains_key(TRANSFER_ENCODING) || length.is_some_and(|length| length != "0")
}

fn has_body_framing(client: &RequestHead) -> bool {
    client.headers.contains_key(TRANSFER_ENCODING) || may_have_body(client)
}

fn may_have_body(client: &RequestHead) -> bool {
    matches!(client.method.as_str(), "POST" | "PUT" | "PATCH")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(method: &str, headers: &[(&'static str, &'static str)]) -> RequestHead {
        let mut head = RequestHead::new(method.parse().expect("valid"), "/v1/x").expect("valid");
        for (name, value) in headers {
            let value = HeaderValue::from_static(value);
            head.headers.append(name.parse().expect("valid"), value);
        }
        head
    }

    #[test]
    fn headers_named_by_connection_stay_on_their_hop() {
        let out = upstream_head(
            &head(
                "GET",
                &[
                    ("Connection", "close, X-Secret"),
                    ("X-Secret", "1"),
                    ("X-Kept", "2"),
                    ("Keep-Alive", "5"),
                ],
            ),
            Some(0),
        );
        assert!(!out.headers.contains_key("x-secret"));
        assert!(!out.headers.contains_key("keep-alive"));
        assert!(!out.headers.contains_key("connection"));
        assert_eq!(out.headers["x-kept"], "2");
        assert!(!out.headers.contains_key("content-length"));
    }

    #[test]
    fn a_chunked_body_held_whole_leaves_with_its_length() {
        let out = upstream_head(
            &head(
                "POST",
                &[("Transfer-Encoding", "chunked"), ("Expect", "100-continue")],
            ),
            Some(70_000),
        );
        assert_eq!(out.headers["content-length"], "70000");
        assert!(!out.headers.contains_key("transfer-encoding"));
        assert!(!out.headers.contains_key("expect"));
    }

    #[test]
    fn a_chunked_body_passed_on_stays_chunked() {
        let out = upstream_head(&head("PUT", &[("Transfer-Encoding", "chunked")]), None);
        assert_eq!(out.headers["transfer-encoding"], "chunked");
    }

    #[test]
    fn an_empty_post_says_so() {
        let out = upstream_head(&head("POST", &[]), Some(0));
        assert_eq!(out.headers["content-length"], "0");
    }
}
