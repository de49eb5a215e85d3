//! What a peer is told of the client, and what is kept from it.

use http::Uri;
use http::header::{AUTHORIZATION, HOST};
use http::{HeaderName, HeaderValue};

use super::ctx::Ctx;
use super::edge;
use super::stop::Stop;
use crate::front::Session;
use crate::llm::error::ApiError;
use crate::util::headers::Headers;
use crate::util::traceparent::{Trace, trace};
use crate::wire::RequestHead;

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
static TRACE: [HeaderName; 2] = [TRACEPARENT, TRACESTATE];

/// Where clients present their keys.
static KEYS: [HeaderName; 3] = [
    AUTHORIZATION,
    HeaderName::from_static("x-api-key"),
    HeaderName::from_static("x-goog-api-key"),
];

/// What else proxies say of clients. Peers that go by these must not hear them from the client itself.
static CLAIMS: [HeaderName; 4] = [
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
    head: &mut RequestHead,
    session: &Session,
    ctx: &mut Ctx,
    peer: &str,
) -> Result<(), Stop> {
    let noted = Noted::of(&head.headers);
    if ctx.client.is_some() {
        // The key was for us; a peer has no business with it.
        for (name, there) in KEYS.iter().zip(noted.keys) {
            if there {
                head.headers.remove(name);
            }
        }
    }
    if !head.headers.contains_key(HOST) {
        // Clients may say it elsewhere, and those of HTTP/1.0 nowhere, but HTTP/1.1 peers must be told.
        let host = host(session).or_else(|| HeaderValue::from_str(peer).ok());
        if let Some(host) = host {
            head.headers.insert(HOST, host);
        }
    }
    let headers = &mut head.headers;
    if let Ok(id) = HeaderValue::from_str(&ctx.request_id) {
        headers.insert(X_REQUEST_ID, id);
    }
    forwarded(headers, &noted, session, ctx);
    traced(headers, &noted, ctx);
    let Some(route) = &ctx.route else {
        return Ok(());
    };
    if let Some(target) = edge::target(session.head(), route)? {
        let unusable = |_| ApiError::bad_request("the path cannot be rewritten", None);
        head.uri = Uri::try_from(target).map_err(unusable)?;
    }
    route.rewrite.request.apply(&mut head.headers);
    Ok(())
}

/// Which of the fields below a request has, found in one walk.
#[derive(Default)]
struct Noted {
    keys: [bool; KEYS.len()],
    claims: bool,
    forwarded: bool,
    trace: bool,
}

impl Noted {
    fn of(headers: &Headers) -> Self {
        let mut noted = Self::default();
        for name in headers.keys() {
            if name.as_str().starts_with("x-forwarded-") {
                noted.forwarded = true;
            }
            for (key, there) in KEYS.iter().zip(&mut noted.keys) {
                *there |= key == name;
            }
            noted.claims |= CLAIMS.contains(name);
            noted.trace |= TRACE.contains(name);
        }
        noted
    }
}

fn forwarded(headers: &mut Headers, noted: &Noted, session: &Session, ctx: &Ctx) {
    if let Some(from) = session.client_text() {
        // Whom the connection is from: who that speaks for stands before it.
        let chain = match noted.forwarded {
            true => chain(headers, from),
            false => from.clone(),
        };
        headers.insert(X_FORWARDED_FOR, chain);
    }
    if !ctx.behind_proxy && noted.claims {
        for name in &CLAIMS {
            headers.remove(name);
        }
    }
    let kept =
        |headers: &Headers, name| ctx.behind_proxy && noted.forwarded && headers.contains_key(name);
    if !kept(headers, X_FORWARDED_PROTO) {
        let scheme = match session.is_tls() {
            true => "https",
            false => "http",
        };
        let scheme = HeaderValue::from_static(scheme);
        headers.insert(X_FORWARDED_PROTO, scheme);
    }
    if !kept(headers, X_FORWARDED_HOST) {
        match host(session) {
            Some(host) => headers.insert(X_FORWARDED_HOST, host),
            None => drop(headers.remove(X_FORWARDED_HOST)),
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
fn chain(headers: &Headers, last: &HeaderValue) -> HeaderValue {
    if !headers.contains_key(X_FORWARDED_FOR) {
        return last.clone();
    }
    let mut known = Vec::new();
    for value in headers.get_all(X_FORWARDED_FOR) {
        known.extend_from_slice(value.as_bytes());
        known.extend_from_slice(b", ");
    }
    known.extend_from_slice(last.as_bytes());
    // Made of header values.
    HeaderValue::from_maybe_shared(bytes::Bytes::from(known)).unwrap_or_else(|_| last.clone())
}

fn traced(headers: &mut Headers, noted: &Noted, ctx: &mut Ctx) {
    // Every attempt and every copy belongs to one trace.
    let ids = || {
        *ctx.trace_ids
            .get_or_insert_with(|| (fastrand::u128(..), fastrand::u64(..)))
    };
    let begun = match noted.trace {
        true => {
            let values = headers.get_all(TRACEPARENT);
            trace(values.map(HeaderValue::as_bytes), ids)
        }
        false => trace([], ids),
    };
    if let Trace::Begun(_, value) = begun
        && let Ok(value) = HeaderValue::from_maybe_shared(bytes::Bytes::from(value))
    {
        headers.insert(TRACEPARENT, value);
        if noted.trace {
            headers.remove(TRACESTATE);
        }
    }
}
