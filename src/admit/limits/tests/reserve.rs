//! Who gets in.

use super::*;
use crate::util::fields::Fields;

#[test]
fn without_limits_everybody_passes_and_is_counted() {
    let limiter = Limiter::new(&[]);
    let now = Instant::now();
    let reservation = limiter.reserve(&WEB, need(1 << 60, 1 << 60), now).unwrap();
    assert_eq!(limiter.in_use(), 1);
    assert_eq!(reservation.headers(now), RateHeaders::default());
    drop(reservation);
    assert_eq!(limiter.in_use(), 0);
}

#[test]
fn the_amount_passes_at_once_and_the_next_is_refused() {
    let limiter = Limiter::new(&[requests(Dimension::Key, 100)]);
    let now = Instant::now();
    for _ in 0..100 {
        pass(&limiter, &WEB, Need::default(), now);
    }
    let denied = denial(limiter.reserve(&WEB, Need::default(), now));
    assert_eq!(denied.what, What::Requests);
    assert_eq!(denied.member, "web");
    assert_eq!((denied.limit, denied.period), (100, Some(MINUTE)));
    assert_eq!(denied.retry_after, MINUTE / 100);
    let mut told = Fields::default();
    denied.rates.write(&mut told);
    let expected = [
        ("x-ratelimit-limit-requests", "100"),
        ("x-ratelimit-remaining-requests", "0"),
        ("x-ratelimit-reset-requests", "1m0s"),
    ];
    assert_eq!(told.iter().collect::<Vec<_>>(), expected);
}

#[test]
fn a_request_that_one_limit_refuses_takes_nothing_from_the_others() {
    let limits = [
        requests(Dimension::Key, 10),
        requests(Dimension::Tenant, 3),
        tokens(1000),
    ];
    let limiter = Limiter::new(&limits);
    let now = Instant::now();
    for _ in 0..3 {
        pass(&limiter, &WEB, need(100, 0), now);
    }
    for _ in 0..5 {
        let denied = denial(limiter.reserve(&WEB, need(100, 0), now));
        assert_eq!(denied.dimension, Dimension::Tenant);
        assert_eq!(denied.member, "acme");
    }
    let elsewhere = who("web", "globex");
    assert_eq!(left(&limiter, &elsewhere, now), (Some(3), Some(700)));
    let by_key = Limiter::reconfigured(&limiter, &limits[..1]);
    assert_eq!(left(&by_key, &WEB, now).0, Some(7));
}

#[test]
fn keys_are_counted_apart_and_tenants_together() {
    let limits = [requests(Dimension::Key, 2), requests(Dimension::Tenant, 3)];
    let limiter = Limiter::new(&limits);
    let now = Instant::now();
    for who in [WEB, WEB, JOBS] {
        pass(&limiter, &who, Need::default(), now);
    }
    let denied = denial(limiter.reserve(&JOBS, Need::default(), now));
    assert_eq!(denied.dimension, Dimension::Tenant);
    let other = who("web2", "globex");
    pass(&limiter, &other, Need::default(), now);
}

#[test]
fn a_limit_of_a_tier_binds_that_tier_only() {
    let free = Limit {
        tier: Some("free".into()),
        ..requests(Dimension::Key, 1)
    };
    let limiter = Limiter::new(&[free]);
    let now = Instant::now();
    let of_tier = |tier| Subject { tier, ..WEB };
    pass(&limiter, &of_tier(Some("free")), Need::default(), now);
    denial(limiter.reserve(&of_tier(Some("free")), Need::default(), now));
    for tier in [None, Some("paid")] {
        for _ in 0..5 {
            pass(&limiter, &of_tier(tier), Need::default(), now);
        }
    }
}

#[test]
fn of_several_refusals_the_longest_is_told() {
    let both = Limit {
        requests: a_minute(60),
        tokens: a_minute(60),
        ..per(Dimension::Key)
    };
    let limiter = Limiter::new(&[both]);
    let now = Instant::now();
    for _ in 0..60 {
        pass(&limiter, &WEB, need(1, 0), now);
    }
    let denied = denial(limiter.reserve(&WEB, need(30, 0), now));
    assert_eq!(denied.what, What::Tokens);
    assert_eq!(denied.retry_after, 30 * SECOND);
    let wait = denied.retry_after;
    pass(&limiter, &WEB, need(30, 0), now + wait);
}

#[test]
fn a_first_request_larger_than_the_bucket_passes_and_is_paid_back() {
    let limiter = Limiter::new(&[tokens(1000)]);
    let now = Instant::now();
    let mut large = limiter.reserve(&WEB, need(500, 4500), now).unwrap();
    large.settle(5000, now);
    let denied = denial(limiter.reserve(&WEB, need(1, 0), now));
    assert_eq!(denied.retry_after, 4 * MINUTE + MINUTE / 1000);
    let again = denial(limiter.reserve(&WEB, need(5000, 0), now));
    assert_eq!(again.retry_after, 5 * MINUTE);
    pass(&limiter, &WEB, need(5000, 0), now + 5 * MINUTE);
}

#[test]
fn requests_at_once_are_bounded_until_one_ends() {
    let limiter = Limiter::new(&[at_once(2)]);
    let now = Instant::now();
    let mut first = limiter.reserve(&WEB, Need::default(), now).unwrap();
    let _second = limiter.reserve(&WEB, Need::default(), now).unwrap();
    let denied = denial(limiter.reserve(&WEB, Need::default(), now));
    assert_eq!(denied.what, What::Concurrency);
    assert_eq!((denied.limit, denied.period), (2, None));
    assert_eq!(denied.retry_after, SECOND);
    pass(&limiter, &JOBS, Need::default(), now);

    let later = now + 8 * SECOND;
    first.settle(0, later);
    let _third = limiter.reserve(&WEB, Need::default(), later).unwrap();
    let denied = denial(limiter.reserve(&WEB, Need::default(), later));
    assert_eq!(denied.retry_after, 4 * SECOND);
}
