//! What a route may say, and what it may not.

use http::StatusCode;

use super::*;
use crate::config::model::{Action, Redirect, Respond};

/// Errors of the route `{pool: a, ROUTE}`, or with an action of its own.
fn refused(route: &str) -> Vec<String> {
    let own = ["pool:", "respond:", "redirect:"]
        .iter()
        .any(|action| route.starts_with(action));
    let pool = if own { "" } else { "pool: a, " };
    bad("", &format!("routes: [{{{pool}{route}}}]"))
        .into_iter()
        .map(|error| error.strip_prefix("routes[0]").unwrap_or(&error).to_owned())
        .collect()
}

#[test]
fn a_route_has_exactly_one_end() {
    assert_eq!(
        bad("", "routes: [{name: x}]"),
        ["routes[0].pool: is required (the name of a pool; or give respond or redirect)"]
    );
    assert_eq!(
        refused("pool: a, respond: {}, redirect: {to: /x}"),
        [
            ".respond: stands beside `pool` (give one of them)",
            ".redirect: stands beside `pool` (give one of them)"
        ]
    );
}

#[test]
fn an_answer_of_ones_own_has_sensible_defaults() {
    let action = |route: &str| {
        good("", &format!("routes: [{{{route}}}, {{pool: a}}]"))
            .config
            .routes[0]
            .action
            .clone()
    };
    let Action::Respond(Respond {
        status,
        headers,
        body,
    }) = action("match: {path: /p}, respond: {body: \" ok\\n\"}")
    else {
        panic!("no answer")
    };
    assert_eq!((status, body.as_str()), (StatusCode::OK, " ok\n"));
    assert_eq!(headers[0].1, "text/plain; charset=utf-8");
    let Action::Respond(own) = action(
        "match: {path: /p}, respond: {body: \"{}\", headers: {Content-Type: application/json}}",
    ) else {
        panic!("no answer")
    };
    assert_eq!(
        (own.headers.len(), own.headers[0].1.as_bytes()),
        (1, &b"application/json"[..])
    );
    assert_eq!(
        action("match: {path: /p}, redirect: {to: \"https://{host}\"}"),
        Action::Redirect(Redirect {
            to: "https://{host}".to_owned(),
            status: StatusCode::PERMANENT_REDIRECT,
            keep_path: true,
        })
    );
}

#[test]
fn what_a_route_says_wrongly_is_said_where_it_stands() {
    for (route, path) in [
        ("match: {host: \"a.com:80\"}", ".match.host"),
        ("match: {host: [a.com, \"a b\"]}", ".match.host[1]"),
        ("match: {host: []}", ".match.host"),
        ("match: {method: [GET, post]}", ".match.method[1]"),
        ("match: {method: {a: b}}", ".match.method"),
        ("match: {headers: {\"x y\": a}}", ".match.headers.\"x y\""),
        ("match: {headers: {x: \"[\"}}", ".match.headers.x"),
        ("match: {headers: {x: \"!\"}}", ".match.headers.x"),
        ("match: {headers: {x-a: b, X-A: b}}", ".match.headers.X-A"),
        ("match: {tenant: \"{\"}", ".match.tenant"),
        ("allow: [10.0.0.0/99]", ".allow[0]"),
        ("deny: 10.0.0.0/8", ".deny"),
        (
            "rewrite: {path: {strip_prefix: v1}}",
            ".rewrite.path.strip_prefix",
        ),
        (
            "rewrite: {path: {add_prefix: /a/../b}}",
            ".rewrite.path.add_prefix",
        ),
        (
            "rewrite: {request_headers: {set: {content-length: 1}}}",
            ".rewrite.request_headers.set.content-length",
        ),
        (
            "rewrite: {request_headers: {add: {Transfer-Encoding: chunked}}}",
            ".rewrite.request_headers.add.Transfer-Encoding",
        ),
        (
            "rewrite: {request_headers: {remove: [connection]}}",
            ".rewrite.request_headers.remove[0]",
        ),
        (
            "rewrite: {request_headers: {remove: [host]}}",
            ".rewrite.request_headers.remove[0]",
        ),
        (
            "rewrite: {request_headers: {set: {host: a b}}}",
            ".rewrite.request_headers.set.host",
        ),
        (
            "rewrite: {request_headers: {set: {x: 1}, remove: [X]}}",
            ".rewrite.request_headers",
        ),
        (
            "rewrite: {response_headers: {set: {x: \"a\\nb\"}}}",
            ".rewrite.response_headers.set.x",
        ),
        (
            "rewrite: {response_headers: {add: {upgrade: x}}}",
            ".rewrite.response_headers.add.upgrade",
        ),
        ("respond: {status: 101}", ".respond.status"),
        ("respond: {status: 204, body: x}", ".respond.body"),
        (
            "respond: {headers: {content-length: 1}}",
            ".respond.headers.content-length",
        ),
        ("respond: {}, cache: c", ".cache"),
        ("respond: {}, timeouts: {total: 1s}", ".timeouts"),
        (
            "respond: {}, rewrite: {path: {add_prefix: /a}}",
            ".rewrite.path",
        ),
        ("redirect: {status: 301}", ".redirect.to"),
        ("redirect: {to: /x, status: 200}", ".redirect.status"),
        ("redirect: {to: ftp://a}", ".redirect.to"),
        ("redirect: {to: /}", ".redirect.to"),
        ("redirect: {to: /a?b}", ".redirect.to"),
        (
            "redirect: {to: /a, keep_path: perhaps}",
            ".redirect.keep_path",
        ),
        ("limits: [{per: key}]", ".limits[0]"),
        ("timeouts: {first_byte: 10}", ".timeouts.first_byte"),
        ("max_body: 0", ".max_body"),
        ("mirror: {share: 0.5}", ".mirror.pool"),
        ("mirror: {pool: b}", ".mirror.pool"),
        ("mirror: {pool: a, share: 0}", ".mirror.share"),
        ("mirror: {pool: a, share: 5}", ".mirror.share"),
    ] {
        let found = refused(route);
        let expected = format!("{path}: ");
        let at_path = found
            .iter()
            .filter(|error| error.starts_with(&expected))
            .count();
        let of_cache = route.contains("cache: c");
        assert!(
            at_path >= 1 && (found.len() == 1 || of_cache),
            "{route}: {found:?}"
        );
    }
}

#[test]
fn a_route_may_say_all_there_is() {
    let route = "name: r, match: {host: \"*.a.com\", path: /v1/*, method: GET, headers: {x: \"!y\"}}, allow: [10.0.0.0/8], \
        deny: [10.1.0.0/16], rewrite: {path: {strip_prefix: /v1/}, request_headers: {set: {Host: a.com:80}}}, pool: a, \
        limits: [{per: key, requests: 1/s}], timeouts: {total: 1m}, max_body: 1kB, mirror: {pool: a, share: 0.5}";
    let config = good("", &format!("routes: [{{{route}}}]")).config;
    let route = &config.routes[0];
    assert_eq!(route.rewrite.strip_prefix.as_deref(), Some("/v1"));
    assert_eq!(route.max_body, Some(1000));
    assert_eq!(
        (route.limits.len(), route.allow.len(), route.deny.len()),
        (1, 1, 1)
    );
    assert!(route.timeouts.first_byte.is_none() && route.timeouts.total.is_some());
    assert!(route.matches.headers[0].negated);
}

#[test]
fn what_works_in_a_route_and_is_not_meant_is_a_warning() {
    let key = format!(
        "keys: [{{name: k, tenant: acme, sha256: {}}}]\n",
        "ab".repeat(32)
    );
    for (rest, expected) in [
        (
            "routes: [{pool: a, match: {path: //x/*}}]".to_owned(),
            "routes[0].match.path: never matches",
        ),
        ("routes: [{pool: a, match: {tenant: acme}}]".to_owned(), "routes[0].match.tenant: without `keys`"),
        (format!("{key}routes: [{{pool: a, match: {{tenant: amce}}}}]"), "routes[0].match.tenant: no key has a tenant like `amce`"),
        (format!("{key}routes: [{{pool: a, limits: [{{per: key, tier: t, requests: 1/s}}]}}]"), "routes[0].limits[0].tier: no key has the tier `t`"),
        ("routes: [{pool: a, mirror: {pool: a}}]".to_owned(), "routes[0].mirror.pool: is the route's own pool"),
        ("routes: [{pool: a, timeouts: {total: 10s, first_byte: 20s}}]".to_owned(), "routes[0].timeouts.first_byte: 20s is longer"),
        ("routes: [{pool: a, match: {host: \"*.a.com\"}}, {pool: a, match: {host: b.a.com, method: GET}}]".to_owned(), "routes[1]: is never reached: routes[0]"),
    ] {
        let mut found = good("", &rest).warnings;
        found.retain(|warning| !warning.starts_with("keys: absent"));
        assert!(found.len() == 1 && found[0].starts_with(expected), "{expected}: {found:?}");
    }
}

#[test]
fn a_route_with_a_narrower_one_before_it_is_reached() {
    for first in [
        "host: a.com",
        "method: GET",
        "headers: {x: y}",
        "tenant: \"*\"",
        "host: a.com, path: /x",
    ] {
        let rest = format!(
            "routes: [{{pool: a, match: {{{first}}}}}, {{pool: a, match: {{host: \"*.com\", path: /x}}}}]"
        );
        let warnings = good("", &rest).warnings;
        assert!(
            !warnings.iter().any(|text| text.contains("never reached:")),
            "{first}: {warnings:?}"
        );
    }
}

#[test]
fn a_pool_that_only_gets_copies_is_used() {
    let rest = "routes: [{pool: a, mirror: {pool: b, share: 0.1}}]";
    let warnings = good("  b: {peers: [{address: b:1}]}", rest).warnings;
    assert!(
        warnings
            .iter()
            .all(|warning| !warning.starts_with("pools.b")),
        "{warnings:?}"
    );
}
