//! Which headers cross the proxy.

use http::header::{
    CONNECTION, CONTENT_LENGTH, EXPECT, HOST, HeaderMap, HeaderName, TRANSFER_ENCODING,
};
use http::request::Parts;
use http::{HeaderValue, Uri};
use pingora::http::RequestHeader;

/// Fields that are added on the way: room for them saves the map from growing.
const ROOM: usize = 6;

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

/// The headers to remove from a message with these headers: hop-by-hop ones and those named by `Connection`. A sender
/// cannot name what a message does not work without: its framing and its host.
pub fn strip_hop_by_hop(headers: &HeaderMap) -> Vec<HeaderName> {
    let mut names: Vec<HeaderName> = headers
        .keys()
        .filter(|name| is_hop_by_hop(name))
        .cloned()
        .collect();
    if !names.contains(&CONNECTION) {
        return names;
    }
    for value in headers.get_all(CONNECTION) {
        let Ok(value) = value.to_str() else { continue };
        for word in value.split(',') {
            if word.trim().eq_ignore_ascii_case("keep-alive") {
                // Among those above, and the usual word.
                continue;
            }
            if let Ok(name) = HeaderName::try_from(word.trim())
                && headers.contains_key(&name)
                && !names.contains(&name)
                && ![CONTENT_LENGTH, HOST].contains(&name)
            {
                names.push(name);
            }
        }
    }
    names
}

/// The client's request head made ready for a peer: hop-by-hop headers and `Expect` removed, framing as given, the
/// target without scheme and host.
///
/// `body` is the exact length of a body that is held whole, or `None` for one that is passed on as it comes: the head says
/// how it ends, whatever HTTP the client speaks.
pub fn upstream_head(client: &RequestHeader, body: Option<usize>) -> Parts {
    let (mut head, ()) = http::Request::new(()).into_parts();
    head.method = client.method.clone();
    head.uri = client.uri.clone();
    let chunked = body.is_none() && client.headers.contains_key(TRANSFER_ENCODING);
    let stay = strip_hop_by_hop(&client.headers);
    head.headers = HeaderMap::with_capacity(client.headers.len() + ROOM);
    for (name, value) in &client.headers {
        if *name != EXPECT && !stay.contains(name) {
            head.headers.append(name.clone(), value.clone());
        }
    }
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
pub(super) fn announces_body(head: &RequestHeader) -> bool {
    let length = head.headers.get(CONTENT_LENGTH);
    head.headers.contains_key(TRANSFER_ENCODING) || length.is_some_and(|length| length != "0")
}

fn has_body_framing(client: &RequestHeader) -> bool {
    client.headers.contains_key(TRANSFER_ENCODING) || may_have_body(client)
}

fn may_have_body(client: &RequestHeader) -> bool {
    matches!(client.method.as_str(), "POST" | "PUT" | "PATCH")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(method: &str, headers: &[(&'static str, &'static str)]) -> RequestHeader {
        let mut head = RequestHeader::build(method, b"/v1/x", None).expect("valid");
        for (name, value) in headers {
            head.append_header(*name, *value).expect("valid");
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
