use http::{HeaderName, HeaderValue};
use proptest::prelude::*;

use super::*;
use crate::util::headers::Headers;

/// 1994-11-06 08:49:37 UTC, the date that RFC 9110 uses.
const RFC_DATE: Duration = Duration::from_secs(784_111_777);

fn asked(status: u16, headers: &[(&str, &str)]) -> Option<Pause> {
    let headers: Headers = headers
        .iter()
        .map(|(name, value)| {
            (
                name.parse::<HeaderName>().unwrap(),
                HeaderValue::from_str(value).unwrap(),
            )
        })
        .collect();
    let now = SystemTime::UNIX_EPOCH + RFC_DATE - Duration::from_secs(30);
    Pause::asked(status, &headers, || now)
}

#[track_caller]
fn millis(headers: &[(&str, &str)]) -> Option<u128> {
    asked(429, headers)
        .unwrap()
        .time
        .map(|time| time.as_millis())
}

#[test]
fn a_time_is_read_in_every_form_it_is_written_in() {
    for (name, value, expected) in [
        ("retry-after", "7", 7_000),
        ("retry-after", " 0.5 ", 500),
        ("retry-after", "0", 0),
        ("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT", 30_000),
        ("retry-after", "Sunday, 06-Nov-94 08:49:37 GMT", 30_000),
        ("retry-after", "Sun Nov  6 08:49:37 1994", 30_000),
        ("retry-after", "Sun, 06 Nov 1994 08:00:00 GMT", 0),
        ("retry-after-ms", "1500", 1_500),
    ] {
        assert_eq!(millis(&[(name, value)]), Some(expected), "{name}: {value}");
    }
}

#[test]
fn the_reset_of_a_used_up_limit_is_a_time_and_that_of_another_is_not() {
    for (value, expected) in [
        ("1s", 1_000),
        ("6m0s", 360_000),
        ("120ms", 120),
        ("1m2.5s", 62_500),
        ("1h0m0s", 3_600_000),
        ("2", 2_000),
    ] {
        let headers = [
            ("x-ratelimit-remaining-requests", "0"),
            ("x-ratelimit-reset-requests", value),
            ("x-ratelimit-remaining-tokens", "12"),
            ("x-ratelimit-reset-tokens", "999h"),
        ];
        assert_eq!(millis(&headers), Some(expected), "{value}");
    }
    let both = [
        ("x-ratelimit-remaining-requests", "0"),
        ("x-ratelimit-reset-requests", "1s"),
        ("x-ratelimit-remaining-tokens", "0"),
        ("x-ratelimit-reset-tokens", "3s"),
    ];
    assert_eq!(millis(&both), Some(3_000), "both must be over");
    assert_eq!(millis(&both[1..2]), None, "nothing says it is used up");
}

#[test]
fn the_most_exact_time_wins() {
    let all = [
        ("retry-after-ms", "250"),
        ("retry-after", "1"),
        ("x-ratelimit-remaining-requests", "0"),
        ("x-ratelimit-reset-requests", "1m"),
    ];
    assert_eq!(millis(&all), Some(250));
    assert_eq!(millis(&all[1..]), Some(1_000));
    assert_eq!(millis(&all[2..]), Some(60_000));
}

#[test]
fn nonsense_is_no_time() {
    for value in ["", "soon", "-1", "NaN", "1 hour", "1s", "Sun, 99 Nov 1994"] {
        assert_eq!(millis(&[("retry-after", value)]), None, "{value}");
    }
    for value in ["", "s", "5x", "1s2", "1..5s", "-1s"] {
        let headers = [
            ("x-ratelimit-remaining-tokens", "0"),
            ("x-ratelimit-reset-tokens", value),
        ];
        assert_eq!(millis(&headers), None, "{value}");
    }
}

#[test]
fn a_429_always_asks_a_503_only_with_a_time_and_nothing_else_does() {
    let none = Pause {
        status: 429,
        time: None,
    };
    assert_eq!(asked(429, &[]), Some(none));
    assert_eq!(asked(503, &[]), None);
    assert_eq!(asked(503, &[("retry-after", "0")]), None);
    let after = [("retry-after", "2")];
    assert_eq!(asked(503, &after).unwrap().status, 503);
    for status in [200, 301, 400, 500, 502, 504] {
        assert_eq!(asked(status, &after), None, "{status}");
    }
}

proptest! {
    #[test]
    fn no_header_breaks_it_and_no_time_is_beyond_a_clock(
        after in "[ -~]{0,12}", reset in "[0-9.]{0,4}(ms|s|m|h|d|x)?[0-9.]{0,30}(s|m)?", number in any::<f64>(),
    ) {
        for value in [after, number.to_string()] {
            let time = asked(429, &[("retry-after", &value)]).unwrap().time;
            prop_assert!(time.is_none_or(|time| time <= LONGEST));
        }
        let headers = [("x-ratelimit-remaining-tokens", "0"), ("x-ratelimit-reset-tokens", &*reset)];
        prop_assert!(asked(429, &headers).unwrap().time.is_none_or(|time| time <= LONGEST));
    }
}
