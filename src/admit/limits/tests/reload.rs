//! What stays when limits change.

use super::*;

#[test]
fn a_limit_that_stays_keeps_its_level_and_its_reservations() {
    let limit = Limit {
        concurrency: Some(1),
        ..tokens(1000)
    };
    let old = Limiter::new(std::slice::from_ref(&limit));
    let now = Instant::now();
    let mut open = old.reserve(&WEB, need(400, 0), now).unwrap();
    let new = Limiter::reconfigured(&old, &[requests(Dimension::Tenant, 5), limit]);
    assert_eq!(new.in_use(), 1);
    let denied = denial(new.reserve(&WEB, need(1, 0), now));
    assert_eq!(denied.what, What::Concurrency);
    open.settle(100, now);
    assert_eq!(left(&new, &WEB, now), (Some(5), Some(900)));
    assert_eq!((new.in_use(), live(&new)), (0, 0));
}

#[test]
fn a_changed_amount_keeps_the_used_share() {
    let now = Instant::now();
    let old = Limiter::new(&[tokens(1000)]);
    let mut spent = old.reserve(&WEB, need(750, 0), now).unwrap();
    spent.settle(750, now);
    let wider = Limiter::reconfigured(&old, &[tokens(4000)]);
    assert_eq!(left(&wider, &WEB, now).1, Some(1000));
    let narrower = Limiter::reconfigured(&wider, &[tokens(100)]);
    assert_eq!(left(&narrower, &WEB, now).1, Some(25));
    assert_eq!(left(&narrower, &JOBS, now).1, Some(100));
}

#[test]
fn a_lowered_concurrency_counts_those_who_came_before() {
    let now = Instant::now();
    let old = Limiter::new(&[at_once(3)]);
    let open: Vec<_> = (0..3)
        .map(|_| old.reserve(&WEB, Need::default(), now).unwrap())
        .collect();
    let new = Limiter::reconfigured(&old, &[at_once(2)]);
    for reservation in open {
        denial(new.reserve(&WEB, Need::default(), now));
        drop(reservation);
        if new.in_use() < 2 {
            break;
        }
    }
    pass(&new, &WEB, Need::default(), now);
}

#[test]
fn a_request_of_the_old_configuration_is_seen_by_the_new_one() {
    let now = Instant::now();
    let limits = [requests(Dimension::Key, 2)];
    let old = Limiter::new(&limits);
    let new = Limiter::reconfigured(&old, &limits);
    pass(&old, &WEB, Need::default(), now);
    pass(&new, &WEB, Need::default(), now);
    denial(old.reserve(&WEB, Need::default(), now));
    denial(new.reserve(&WEB, Need::default(), now));
}

#[test]
fn a_rate_that_a_limit_gets_later_starts_full() {
    let now = Instant::now();
    let old = Limiter::new(&[requests(Dimension::Key, 3)]);
    let open = old.reserve(&WEB, need(500, 500), now).unwrap();
    let mut overrun = old.reserve(&WEB, need(0, 0), now).unwrap();
    let both = Limit {
        tokens: a_minute(1000),
        ..requests(Dimension::Key, 3)
    };
    let new = Limiter::reconfigured(&old, &[both]);
    assert_eq!(left(&new, &WEB, now), (Some(1), Some(1000)));
    pass(&new, &WEB, need(600, 0), now);
    drop(open);
    overrun.settle(9000, now);
    let after = left(&new, &WEB, now);
    assert_eq!(
        after,
        (Some(0), Some(400)),
        "what took no tokens settles none"
    );
}
