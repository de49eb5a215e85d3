//! How many members are remembered.

use super::*;
use std::fmt::Write;
use std::ops::Range;

const BOUND: usize = 1024;

fn bounded(limit: Limit) -> Limiter {
    Limiter::with_max_members(&[limit], BOUND)
}

fn come(limiter: &Limiter, names: Range<usize>, now: Instant) -> usize {
    let mut name = String::new();
    let admitted = names.filter(|index| {
        name.clear();
        write!(name, "2001:db8::{index:x}").unwrap();
        let reserved = limiter.reserve(&who(&name, ""), Need::default(), now);
        reserved.is_ok()
    });
    admitted.count()
}

#[test]
fn a_million_members_stay_within_the_bound_and_the_crowd_keeps_the_limit() {
    let limiter = bounded(requests(Dimension::Key, 10));
    let now = Instant::now();
    let admitted = come(&limiter, 0..1_000_000, now);
    assert!(limiter.members() <= BOUND);
    assert_eq!(admitted, limiter.members() + 10);
    let denied = denial(limiter.reserve(&who("late", ""), Need::default(), now));
    assert_eq!(denied.member, "*");
    let known = who("2001:db8::0", "");
    pass(&limiter, &known, Need::default(), now);
}

#[test]
fn members_whose_buckets_are_full_again_make_room() {
    let limiter = bounded(requests(Dimension::Key, 10));
    let now = Instant::now();
    come(&limiter, 0..10_000, now);
    let later = now + MINUTE / 10;
    assert_eq!(come(&limiter, 0..10, later), 10);
    let stays = limiter.reserve(&who("late", ""), Need::default(), later);
    assert_eq!(stays.unwrap().headers(later).requests.unwrap().remaining, 9);
}

#[test]
fn members_that_are_no_longer_seen_are_forgotten_long_before_the_bound() {
    let limiter = Limiter::new(&[requests(Dimension::Key, 10)]);
    let mut now = Instant::now();
    for _ in 0..20_000 {
        now += SECOND;
        let name = format!("{now:?}");
        pass(&limiter, &who(&name, ""), Need::default(), now);
    }
    assert!(limiter.members() <= 16 * 64, "{}", limiter.members());
}

#[test]
fn a_member_with_an_open_reservation_or_a_debt_is_never_forgotten() {
    let limit = Limit {
        tokens: a_minute(100),
        ..at_once(1)
    };
    let limiter = bounded(limit);
    let now = Instant::now();
    let _open = limiter.reserve(&WEB, Need::default(), now).unwrap();
    let mut debt = limiter.reserve(&JOBS, need(100, 0), now).unwrap();
    debt.settle(100_000, now);
    drop(debt);
    for minute in 0..20 {
        come(&limiter, 0..2000, now + minute * MINUTE);
    }
    let later = now + 20 * MINUTE;
    let web = denial(limiter.reserve(&WEB, Need::default(), later));
    assert_eq!((web.what, web.member.as_str()), (What::Concurrency, "web"));
    let jobs = denial(limiter.reserve(&JOBS, Need::default(), later));
    assert_eq!((jobs.what, jobs.member.as_str()), (What::Tokens, "jobs"));
}

#[test]
fn a_member_that_a_request_is_about_to_charge_is_never_forgotten() {
    let members = Members::new(BOUND);
    let mut now = Instant::now();
    let held = members.get("web", now);
    for index in 0..10 * BOUND {
        now += SECOND;
        drop(members.get(&index.to_string(), now));
    }
    assert!(members.len() < BOUND);
    assert!(Arc::ptr_eq(&held, &members.get("web", now)));
}

#[test]
fn a_full_map_is_not_searched_for_room_at_each_newcomer() {
    let limiter = bounded(requests(Dimension::Key, 10));
    let now = Instant::now();
    come(&limiter, 0..10_000, now);
    let swept_at = now + MINUTE / 10 - SECOND / 2;
    come(&limiter, 10_000..20_000, swept_at);
    let soon = swept_at + SECOND / 2;
    let reserved = limiter.reserve(&who("late", ""), Need::default(), soon);
    let crowded = reserved.map_or_else(
        |denied| denied.member == "*",
        |reservation| reservation.headers(soon).requests.unwrap().remaining < 9,
    );
    assert!(crowded, "swept again within a second");
}
