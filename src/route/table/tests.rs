use std::path::Path;
use std::time::Duration;

use http::{HeaderName, HeaderValue, Method};
use proptest::prelude::*;

use super::*;
use crate::route::Action;
use crate::util::headers::Headers;

fn table(routes: &str) -> RouteTable {
    let text = format!(
        "listen: [{{address: 127.0.0.1:1}}]\npools:\n  a: {{peers: [{{address: a:1}}], timeouts: {{total: 20s}}}}\n  b: {{peers: [{{address: b:1}}]}}\nroutes:\n{routes}"
    );
    RouteTable::new(&crate::config::parse(&text, Path::new("")).unwrap().config)
}

/// A request, by its parts.
#[derive(Default)]
struct Asked {
    host: Option<&'static str>,
    path: &'static str,
    method: Method,
    headers: Headers,
    model: Option<&'static str>,
    tenant: Option<&'static str>,
}

impl Asked {
    fn path(path: &'static str) -> Self {
        Self {
            path,
            ..Self::default()
        }
    }

    fn header(mut self, name: &'static str, value: &[u8]) -> Self {
        let value = HeaderValue::from_bytes(value).unwrap();
        self.headers.append(HeaderName::from_static(name), value);
        self
    }

    fn question(&self) -> Question<'_> {
        Question {
            host: self.host,
            path: self.path,
            method: &self.method,
            headers: &self.headers,
            model: self.model,
            tenant: self.tenant,
        }
    }

    fn of<'t>(&self, table: &'t RouteTable) -> Option<&'t str> {
        table
            .find(&self.question())
            .map(|route| route.name.as_str())
    }
}

fn found<'t>(
    table: &'t RouteTable,
    path: &'static str,
    model: Option<&'static str>,
) -> Option<&'t str> {
    Asked {
        model,
        ..Asked::path(path)
    }
    .of(table)
}

#[test]
fn the_first_match_wins() {
    let table = table(
        "  - {name: qwen, match: {path: /v1/*, model: \"qwen*\"}, pool: a}\n  - {name: v1, match: {path: /v1/*}, pool: b}\n  - {name: exact, match: {path: /metrics}, pool: b}\n",
    );
    assert_eq!(
        found(&table, "/v1/chat/completions", Some("qwen3-8b")),
        Some("qwen")
    );
    assert_eq!(
        found(&table, "/v1/chat/completions", Some("llama")),
        Some("v1")
    );
    assert_eq!(found(&table, "/v1/chat/completions", None), Some("v1"));
    assert_eq!(found(&table, "/metrics", None), Some("exact"));
    assert_eq!(found(&table, "/metrics/x", None), None);
    assert_eq!(found(&table, "/v2/chat", Some("qwen3-8b")), None);
}

#[test]
fn a_route_without_match_takes_all() {
    let table = table("  - {pool: b}\n  - {pool: a, match: {model: \"*\"}}\n");
    assert_eq!(found(&table, "/", None), Some("route-1"));
    assert_eq!(
        table.iter().map(|route| route.pool()).collect::<Vec<_>>(),
        ["b", "a"]
    );
}

#[test]
fn a_route_for_any_model_leaves_requests_without_one() {
    let table =
        table("  - {name: models, match: {model: \"*\"}, pool: a}\n  - {name: rest, pool: b}\n");
    assert_eq!(found(&table, "/v1/completions", Some("")), Some("models"));
    assert_eq!(found(&table, "/health", None), Some("rest"));
}

#[test]
fn a_host_is_matched_exactly_or_by_its_end() {
    let table = table(
        "  - {name: api, match: {host: [api.example.com, \"[::1]\"]}, pool: a}\n  - {name: any, match: {host: \"*.Example.com\"}, pool: b}\n",
    );
    let of = |host: Option<&'static str>| {
        Asked {
            host,
            ..Asked::path("/")
        }
        .of(&table)
    };
    assert_eq!(of(Some("API.example.com:443")), Some("api"));
    assert_eq!(of(Some("[::1]:8080")), Some("api"));
    assert_eq!(of(Some("x.y.example.com.")), Some("any"));
    assert_eq!(of(Some("example.com")), None);
    assert_eq!(of(None), None);
}

#[test]
fn a_method_is_one_of_those_named() {
    let table = table(
        "  - {name: write, match: {method: [POST, PUT]}, pool: a}\n  - {name: read, match: {method: GET}, pool: b}\n",
    );
    let of = |method| {
        Asked {
            method,
            ..Asked::path("/")
        }
        .of(&table)
    };
    assert_eq!(of(Method::PUT), Some("write"));
    assert_eq!(of(Method::GET), Some("read"));
    assert_eq!(of(Method::HEAD), None);
}

#[test]
fn a_header_must_be_there_match_or_be_absent() {
    let table = table(
        "  - {name: prod, match: {headers: {X-Env: \"prod*\", x-debug: \"!*\"}}, pool: a}\n  - {name: debug, match: {headers: {x-debug: \"*\"}}, pool: b}\n  - {name: other, match: {headers: {x-env: \"!test\"}}, pool: b}\n",
    );
    let env = |value: &[u8]| Asked::path("/").header("x-env", value);
    assert_eq!(env(b"production").of(&table), Some("prod"));
    assert_eq!(
        env(b"production").header("x-debug", b"").of(&table),
        Some("debug")
    );
    assert_eq!(
        env(b"test").header("x-env", b"prod-2").of(&table),
        Some("prod")
    );
    assert_eq!(env(b"test").of(&table), None);
    assert_eq!(Asked::path("/").of(&table), Some("other"));
    assert_eq!(
        Asked::path("/").header("x-debug", b"\xff").of(&table),
        Some("debug")
    );
    assert_eq!(env(b"prod\xff").of(&table), Some("other"));
}

#[test]
fn a_tenant_is_matched_like_a_model() {
    let table = table("  - {name: acme, match: {tenant: \"acme*\"}, pool: a}\n");
    let of = |tenant| {
        Asked {
            tenant,
            ..Asked::path("/")
        }
        .of(&table)
    };
    assert_eq!(of(Some("acme-eu")), Some("acme"));
    assert_eq!(of(Some("other")), None);
    assert_eq!(of(None), None);
}

#[test]
fn time_limits_of_a_route_stand_in_place_of_its_pools() {
    let table = table("  - {pool: a, timeouts: {first_byte: 10s}}\n");
    let route = table.iter().next().unwrap();
    let Action::Pool { timeouts, .. } = &route.action else {
        panic!("{route:?}")
    };
    assert_eq!(timeouts.first_byte, Duration::from_secs(10));
    assert_eq!(timeouts.total, Duration::from_secs(20));
    assert_eq!(timeouts.between_chunks, Duration::from_secs(60));
}

#[test]
fn a_body_may_be_as_large_as_the_most_generous_route_it_may_take() {
    let table = table(
        "  - {match: {path: /v1/*, model: big}, pool: a, max_body: 100}\n  - {match: {path: /v1/*, model: small}, pool: a, max_body: 10}\n  - {match: {path: /v1/*}, pool: a}\n  - {pool: a, max_body: 1000}\n",
    );
    let largest = |path| table.largest_body(&Asked::path(path).question(), 50);
    assert_eq!(largest("/v1/chat"), 100);
    assert_eq!(largest("/other"), 1000);
    let names = |path| table.candidates(&Asked::path(path).question()).count();
    assert_eq!((names("/v1/chat"), names("/other")), (3, 1));
}

#[test]
fn a_route_is_decided_once_no_model_can_lead_elsewhere() {
    let table = table(
        "  - {name: old, match: {path: /old}, redirect: {to: /new}}\n  - {name: m, match: {path: /v1/*, model: m}, pool: a}\n  - {name: rest, pool: a}\n",
    );
    let decided = |path| {
        let asked = Asked::path(path);
        let route = table.decided(&asked.question());
        route.map(|route| route.name.as_str())
    };
    assert_eq!(decided("/old"), Some("old"));
    assert_eq!(decided("/v1/chat"), None);
    assert_eq!(decided("/x"), Some("rest"));
}

#[test]
fn only_what_a_head_can_decide_is_looked_at_early() {
    for (route, early) in [
        (
            "{pool: a, cache: c, timeouts: {total: 1s}, limits: [{per: key, requests: 1/s}]}",
            false,
        ),
        (
            "{match: {model: m}, pool: a, rewrite: {path: {add_prefix: /x}}, mirror: {pool: b, share: 1}}",
            false,
        ),
        ("{pool: a, deny: [10.0.0.1]}", true),
        ("{pool: a, allow: [10.0.0.1]}", true),
        ("{pool: a, max_body: 1}", true),
        ("{respond: {}}", true),
        ("{redirect: {to: /x}}", true),
    ] {
        let text = format!("  - {route}\ncaches: {{c: {{}}}}\n");
        assert_eq!(table(&text).decides_early(), early, "{route}");
    }
}

proptest! {
    #[test]
    fn what_is_found_is_always_a_candidate(
        path in prop::sample::select(vec!["/v1/a", "/v1/b", "/x"]),
        model in prop::sample::select(vec![None, Some("m"), Some("n")]),
    ) {
        let table = table(
            "  - {match: {path: /v1/a, model: m}, pool: a}\n  - {match: {path: /v1/*, model: \"*\"}, pool: a}\n  - {match: {path: /v1/b}, pool: a}\n  - {match: {path: /x}, pool: b}\n  - {pool: b}\n",
        );
        let asked = Asked { model, ..Asked::path(path) };
        let route = table.find(&asked.question()).unwrap();
        let unknown = Asked::path(path);
        prop_assert!(table.candidates(&unknown.question()).any(|candidate| Arc::ptr_eq(candidate, route)));
    }
}
