//! What a peer is told of the client, and what is kept from it.

use std::io::Write;
use std::net::IpAddr;

use http::header::HOST;
use http::{HeaderName, HeaderValue};
use pingora::http::RequestHeader;

use super::ctx::Ctx;
use super::edge;
use super::stop::Stop;
use crate::front::Session;
use crate::util::traceparent::{Trace, trace};

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// What else proxies say of clients. Peers that go by these must not hear them from the client itself.
const CLAIMS: [HeaderName; 4] = [
    HeaderName::from_static("forwarded"),
    HeaderName::from_static("x-real-ip"),
    HeaderName::from_static("x-forwarded-port"),
    HeaderName::from_static("x-forwarded-prefix"),
];

/// Makes a head that is ready for a peer say on whose behalf it comes, and puts the changes of its route on top: those are
/// the operator's last word. `peer` is the name that the peer itself is known by.
///
/// # Errors
/// The path is none that the route may change.
pub(super) fn introduce(
    head: &mut RequestHeader,
    session: &Session,
    ctx: &mut Ctx,
    peer: &str,
) -> Result<(), Stop> {
    if ctx.client.is_some() {
        // The key was for us; a peer has no business with it.
        for name in ["authorization", "x-api-key", "x-goog-api-key"] {
            head.remove_header(name);
        }
    }
    if !head.headers.contains_key(HOST) {
        // Clients may say it elsewhere, and those of HTTP/1.0 nowhere, but HTTP/1.1 peers must be told.
        match host(session) {
            Some(host) => drop(head.insert_header(HOST, host)),
            None => drop(head.insert_header(HOST, peer)),
        }
    }
    // Generated or checked to be a header value; so are all that follow.
    let _ = head.insert_header(X_REQUEST_ID, ctx.request_id.as_str());
    forwarded(head, session, ctx);
    traced(head, ctx);
    let Some(route) = &ctx.route else {
        return Ok(());
    };
    if let Some(target) = edge::target(head, route)? {
        let _ = head.set_raw_path(target.as_bytes());
    }
    let edits = &route.rewrite.request;
    if edits.is_empty() {
        return Ok(());
    }
    for name in edits.removed() {
        head.remove_header(name);
    }
    for (name, value) in edits.set() {
        let _ = head.insert_header(name.clone(), value.clone());
    }
    for (name, value) in edits.added() {
        let _ = head.append_header(name.clone(), value.clone());
    }
    Ok(())
}

fn forwarded(head: &mut RequestHeader, session: &Session, ctx: &Ctx) {
    if let Some(address) = session.client() {
        // Whom the connection is from: who that speaks for stands before it.
        let from = chain(head, address.ip().to_canonical());
        let _ = head.insert_header(X_FORWARDED_FOR, from);
    }
    if !ctx.behind_proxy {
        for name in &CLAIMS {
            head.remove_header(name);
        }
    }
    let kept = |head: &RequestHeader, name| ctx.behind_proxy && head.headers.contains_key(name);
    if !kept(head, X_FORWARDED_PROTO) {
        let scheme = match session.is_tls() {
            true => "https",
            false => "http",
        };
        let _ = head.insert_header(X_FORWARDED_PROTO, HeaderValue::from_static(scheme));
    }
    if !kept(head, X_FORWARDED_HOST) {
        match host(session) {
            Some(host) => drop(head.insert_header(X_FORWARDED_HOST, host)),
            None => drop(head.remove_header(&X_FORWARDED_HOST)),
        }
    }
}

fn host(session: &Session) -> Option<HeaderValue> {
    let head = session.head();
    match head.uri.authority() {
        Some(_) => HeaderValue::from_str(edge::host(head)?).ok(),
        // Shared, not copied: this is the way of nearly every request.
        None => head.headers.get(HOST).cloned(),
    }
}

/// The list of those who asked, with `last` at its end.
fn chain(head: &RequestHeader, last: IpAddr) -> HeaderValue {
    let mut known = Vec::new();
    for value in head.headers.get_all(X_FORWARDED_FOR) {
        known.extend_from_slice(value.as_bytes());
        known.extend_from_slice(b", ");
    }
    if known.is_empty() {
        let mut text = [0_u8; 48];
        let mut rest = &mut text[..];
        // The longest address has 45 characters.
        let _ = write!(rest, "{last}");
        let length = 48 - rest.len();
        return HeaderValue::from_bytes(&text[..length])
            .unwrap_or(HeaderValue::from_static("unknown"));
    }
    let _ = write!(known, "{last}");
    HeaderValue::from_maybe_shared(bytes::Bytes::from(known))
        .unwrap_or(HeaderValue::from_static("unknown"))
}

fn traced(head: &mut RequestHeader, ctx: &mut Ctx) {
    // Every attempt and every copy belongs to one trace.
    let ids = || {
        *ctx.trace_ids
            .get_or_insert_with(|| (fastrand::u128(..), fastrand::u64(..)))
    };
    let values = head.headers.get_all(TRACEPARENT).iter();
    if let Trace::Begun(_, value) = trace(values.map(HeaderValue::as_bytes), ids) {
        let _ = head.insert_header(TRACEPARENT, value);
        head.remove_header(&TRACESTATE);
    }
}
