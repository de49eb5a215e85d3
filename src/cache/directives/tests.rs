use http::{HeaderName, HeaderValue};
use proptest::prelude::*;

use super::*;
use crate::util::headers::Headers;

fn parse(headers: &[(&'static str, &str)]) -> Result<Directives, String> {
    let mut map = Headers::default();
    for (name, value) in headers {
        map.append(
            HeaderName::from_static(name),
            HeaderValue::from_str(value).unwrap(),
        );
    }
    Directives::parse(&map)
}

fn one(name: &'static str, value: &str) -> Directives {
    parse(&[(name, value)]).unwrap()
}

/// May look up exactly, by meaning, and store.
fn allowed(d: &Directives) -> (bool, bool, bool) {
    (d.lookup_exact, d.lookup_semantic, d.store)
}

#[test]
fn without_headers_all_is_allowed() {
    assert_eq!(parse(&[]).unwrap(), Directives::default());
}

#[test]
fn each_mode_means_what_it_says() {
    for (mode, want) in [
        ("on", (true, true, true)),
        ("off", (false, false, false)),
        ("exact", (true, false, true)),
        ("semantic", (false, true, true)),
        ("refresh", (false, false, true)),
        ("OFF", (false, false, false)),
    ] {
        assert_eq!(allowed(&one("x-tollgate-cache", mode)), want, "{mode}");
    }
}

#[test]
fn cache_control_has_the_meaning_of_the_standard() {
    assert_eq!(
        allowed(&one("cache-control", "no-cache")),
        (false, false, true)
    );
    assert_eq!(
        allowed(&one("cache-control", "no-store")),
        (true, true, false)
    );
    assert_eq!(
        allowed(&one("cache-control", "No-Cache, no-store")),
        (false, false, false)
    );
    assert_eq!(
        one("cache-control", "max-age=60").max_age,
        Some(Duration::from_secs(60))
    );
    assert_eq!(
        one("cache-control", "max-age=\"60\"").max_age,
        Some(Duration::from_secs(60))
    );
    assert_eq!(
        allowed(&one("cache-control", "max-age=0")),
        (false, false, true)
    );
    assert!(one("cache-control", "only-if-cached").only_if_cached);
}

#[test]
fn unknown_cache_control_directives_are_ignored() {
    assert_eq!(
        one("cache-control", "private, min-fresh=3, x=\"y\", ,"),
        Directives::default()
    );
}

#[test]
fn headers_can_only_take_away_from_each_other() {
    let d = parse(&[("cache-control", "no-cache"), ("x-tollgate-cache", "on")]).unwrap();
    assert_eq!(allowed(&d), (false, false, true));
    let d = parse(&[
        ("cache-control", "max-age=60"),
        ("cache-control", "max-age=5"),
    ])
    .unwrap();
    assert_eq!(d.max_age, Some(Duration::from_secs(5)));
}

#[test]
fn a_ttl_is_seconds_or_a_duration() {
    assert_eq!(
        one("x-tollgate-cache-ttl", "90").ttl,
        Some(Duration::from_secs(90))
    );
    assert_eq!(
        one("x-tollgate-cache-ttl", "5m").ttl,
        Some(Duration::from_secs(300))
    );
}

#[test]
fn an_absurdly_long_max_age_is_as_good_as_for_ever() {
    let age = one("cache-control", "max-age=99999999999999999999999999").max_age;
    assert!(age.unwrap() > Duration::from_secs(3600 * 24 * 365));
}

#[test]
fn values_that_mean_nothing_are_errors_that_name_the_header() {
    for (name, value) in [
        ("cache-control", "max-age"),
        ("cache-control", "max-age=soon"),
        ("cache-control", "max-age=-1"),
        ("x-tollgate-cache", "maybe"),
        ("x-tollgate-cache", ""),
        ("x-tollgate-cache-ttl", "0"),
        ("x-tollgate-cache-ttl", "long"),
        ("x-tollgate-cache-threshold", "1.1"),
        ("x-tollgate-cache-threshold", "NaN"),
        ("x-tollgate-cache-threshold", "high"),
        ("x-tollgate-cache-namespace", ""),
        ("x-tollgate-cache-namespace", "a b"),
    ] {
        let error = parse(&[(name, value)]).unwrap_err();
        assert!(error.starts_with(name), "{name}: {value}: {error}");
    }
    assert!(parse(&[("x-tollgate-cache-namespace", &"x".repeat(129))]).is_err());
}

#[test]
fn threshold_and_namespace_are_taken_as_given() {
    assert_eq!(
        one("x-tollgate-cache-threshold", "0.97").threshold,
        Some(0.97)
    );
    assert_eq!(
        one("x-tollgate-cache-namespace", "blue-7")
            .namespace
            .as_deref(),
        Some("blue-7")
    );
}

proptest! {
    #[test]
    fn no_header_value_makes_it_panic_or_loosen(value in prop::collection::vec(32u8..=255, 0..40), which in 0..5usize) {
        let names = ["cache-control", "x-tollgate-cache", "x-tollgate-cache-ttl", "x-tollgate-cache-threshold", "x-tollgate-cache-namespace"];
        let Ok(value) = HeaderValue::from_bytes(&value) else { return Ok(()) };
        let mut headers = Headers::default();
        headers.set("cache-control", "no-store, no-cache").unwrap();
        headers.append(HeaderName::from_static(names[which]), value);
        if let Ok(d) = Directives::parse(&headers) {
            prop_assert_eq!(allowed(&d), (false, false, false));
        }
    }
}

#[test]
fn tags_are_read_from_one_header_or_several_and_bounded() {
    let mut headers = Headers::default();
    headers.append(
        HeaderName::from_static("x-tollgate-tags"),
        HeaderValue::from_static("doc=7, user = a=b"),
    );
    headers.append(
        HeaderName::from_static("x-tollgate-tags"),
        HeaderValue::from_static("team=x"),
    );
    let tags = Directives::parse(&headers).unwrap().tags;
    let expected = [("doc", "7"), ("user", "a=b"), ("team", "x")];
    assert_eq!(tags, expected.map(|(n, v)| (n.to_owned(), v.to_owned())));
    for wrong in ["", "doc", "=7", "doc=", "a b=c", "doc=7,,x=1"] {
        let headers = Headers::from_iter([(
            http::HeaderName::from_static("x-tollgate-tags"),
            HeaderValue::from_static(wrong),
        )]);
        assert!(
            Directives::parse(&headers)
                .unwrap_err()
                .contains("x-tollgate-tags"),
            "{wrong}"
        );
    }
    let many = (0..17)
        .map(|n| format!("t{n}=1"))
        .collect::<Vec<_>>()
        .join(",");
    let headers = Headers::from_iter([(
        http::HeaderName::from_static("x-tollgate-tags"),
        HeaderValue::from_str(&many).unwrap(),
    )]);
    assert!(Directives::parse(&headers).is_err());
}
