//! Which request it is: what separates clients, and what besides the body changes an answer.

use std::borrow::Cow;

use http::HeaderName;
use http::header::HOST;

use super::{Asked, belongs};
use crate::cache::{Cache, Caller, Directives, Identity, KeyParts, Unkeyable, scope};
use crate::front::Session;
use crate::proxy::ctx::Ctx;
use crate::proxy::edge;
use crate::route::Route;
use crate::wire::RequestHead;

/// A request's identity, and whom it may share answers with.
pub(super) struct Known {
    pub(super) identity: Identity,
    /// The partition of the cache's scope.
    pub(super) scope: String,
}

/// Identifies a request.
pub(super) fn identify(
    session: &Session,
    ctx: &Ctx,
    asked: &Asked<'_>,
    cache: &Cache,
    directives: &Directives,
    question: Option<&str>,
) -> Result<Known, Unkeyable> {
    let credential = match &ctx.client {
        Some(_) => String::new(),
        None => credential(session.head()),
    };
    let scope = scope::partition(cache.config().scope, &caller(ctx, &credential));
    let epochs = cache.epochs().mark(&belongs(ctx, asked, &scope));
    let parts = KeyParts {
        partition: &[
            &scope,
            &epochs,
            &asked.route.name,
            asked.route.pool(),
            &asked.route.rewrite.asked,
            asked.endpoint.path(),
            &host(session.head(), asked.route),
            directives.namespace.as_deref().unwrap_or(""),
            &variant(session.head()),
        ],
        body: &asked.view.body,
        question,
    };
    let identity = Identity::with(&asked.read.key()?, &parts);
    Ok(Known { identity, scope })
}

/// Headers that say nothing of who asks. Without keys it is left to the peers to tell clients apart, and by what they do so
/// nobody knows here: so any other header separates.
fn is_harmless(name: &str) -> bool {
    const PREFIXES: [&str; 6] = [
        "x-tollgate-",
        "x-stainless-",
        "x-forwarded-",
        "x-b3-",
        "x-datadog-",
        "sec-",
    ];
    // Under the name of a place where somebody was forwarded from, proxies also say whom they let in.
    const FORWARDED: [&str; 5] = [
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-port",
        "x-forwarded-prefix",
        "x-forwarded-proto",
    ];
    match name {
        "host" | "user-agent" | "accept" | "accept-encoding" | "content-type"
        | "content-length" => true,
        "connection" | "keep-alive" | "te" | "trailer" | "transfer-encoding" | "expect"
        | "date" => true,
        "cache-control" | "pragma" | "priority" | "dnt" | "origin" | "referer" | "via" => true,
        "forwarded" | "x-real-ip" | "proxy-connection" | "upgrade-insecure-requests" => true,
        "x-request-id" | "request-id" | "x-correlation-id" | "idempotency-key" => true,
        "traceparent" | "tracestate" | "baggage" | "b3" | "sentry-trace" => true,
        "x-amzn-trace-id" | "x-cloud-trace-context" => true,
        name if name.starts_with("x-forwarded-") => FORWARDED.contains(&name),
        name => PREFIXES.iter().any(|prefix| name.starts_with(prefix)) || VARIANTS.contains(&name),
    }
}

/// Headers by which a client chooses among answers to one body.
const VARIANTS: [&str; 5] = [
    "anthropic-version",
    "anthropic-beta",
    "openai-organization",
    "openai-project",
    "openai-beta",
];

/// All that the headers say under these names: the same text only for the same values.
fn said<'a>(head: &RequestHead, names: impl IntoIterator<Item = &'a str>) -> String {
    let mut said = String::new();
    for name in names {
        for value in head.headers.get_all(name) {
            // A line feed cannot be part of an escaped value.
            said += &format!("{name}: {}\n", value.as_bytes().escape_ascii());
        }
    }
    said
}

/// All that may tell who asks.
fn credential(head: &RequestHead) -> String {
    let telling = |name: &&str| !is_harmless(name);
    let mut names: Vec<&str> = head
        .headers
        .keys()
        .map(|name| name.as_str())
        .filter(telling)
        .collect();
    // In whatever order they came, and each once: all of its values are said together.
    names.sort_unstable();
    names.dedup();
    said(head, names)
}

/// What besides the body changes an answer: some headers, and the query (`api-version`).
fn variant(head: &RequestHead) -> String {
    let there = |name: &HeaderName| VARIANTS.contains(&name.as_str());
    // One walk, for most requests have none of them.
    let said = match head.headers.keys().any(there) {
        true => said(head, VARIANTS),
        false => String::new(),
    };
    said + head.uri.query().unwrap_or_default()
}

/// The host that a peer is asked for: it may serve more than one. Empty where the route names it.
fn host<'a>(head: &'a RequestHead, route: &Route) -> Cow<'a, str> {
    if route.rewrite.request.sets(&HOST) {
        return Cow::Borrowed("");
    }
    let host = edge::host(head).unwrap_or_default();
    match host.bytes().any(|byte| byte.is_ascii_uppercase()) {
        true => Cow::Owned(host.to_ascii_lowercase()),
        false => Cow::Borrowed(host),
    }
}

pub(super) fn caller<'a>(ctx: &'a Ctx, credential: &'a str) -> Caller<'a> {
    match &ctx.client {
        Some(client) => Caller {
            key: Some(&client.name),
            tenant: Some(&client.tenant),
            credential: None,
        },
        None => Caller {
            credential: Some(credential.as_bytes()).filter(|said| !said.is_empty()),
            ..Caller::default()
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(pairs: &[(&'static str, &str)]) -> RequestHead {
        let mut head = RequestHead::new(http::Method::POST, "/").unwrap();
        for (name, value) in pairs {
            let value = value.parse().unwrap();
            head.headers.append(HeaderName::from_static(name), value);
        }
        head
    }

    #[test]
    fn what_says_nothing_of_who_asks_does_not_separate() {
        let plain = [
            ("host", "a"),
            ("user-agent", "curl"),
            ("accept", "*/*"),
            ("x-request-id", "1"),
            ("traceparent", "00-1"),
            ("x-stainless-lang", "python"),
            ("x-tollgate-tags", "a=b"),
            ("x-forwarded-for", "1.2.3.4"),
            ("sec-fetch-mode", "cors"),
        ];
        assert_eq!(credential(&head(&plain)), "");
    }

    #[test]
    fn whatever_a_peer_may_know_clients_by_separates() {
        for name in [
            "authorization",
            "api-key",
            "x-api-key",
            "cookie",
            "proxy-authorization",
            "x-auth-token",
            "ocp-apim-subscription-key",
            "x-forwarded-user",
            "x-forwarded-access-token",
            "x-user-id",
            "x-never-heard-of",
        ] {
            let of = |value| credential(&head(&[(name, value)]));
            assert_ne!(of("a"), of("b"), "{name}");
            assert_ne!(of("a"), "", "{name}");
        }
    }

    #[test]
    fn neither_order_nor_cutting_confuses_headers() {
        let of = |pairs| credential(&head(pairs));
        assert_eq!(
            of(&[("x-a", "1"), ("x-b", "2")]),
            of(&[("x-b", "2"), ("x-a", "1")])
        );
        assert_ne!(of(&[("x-a", "1"), ("x-a", "2")]), of(&[("x-a", "1, 2")]));
        assert_ne!(of(&[("x-a", "1")]), of(&[("x-b", "1")]));
        // Said once, however often its name is there.
        assert_eq!(of(&[("x-a", "1"), ("x-a", "2")]), "x-a: 1\nx-a: 2\n");
    }
}
