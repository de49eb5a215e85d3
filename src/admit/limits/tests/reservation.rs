//! How a reservation ends, and what it leaves.

use super::*;

fn limits() -> [Limit; 1] {
    [Limit {
        requests: a_minute(10),
        tokens: a_minute(1000),
        concurrency: Some(1),
        ..per(Dimension::Key)
    }]
}

/// What is left after a request of (100, 300) ended by `end`.
fn after(end: impl FnOnce(Reservation, Instant)) -> (Option<u64>, Option<u64>) {
    let limiter = Limiter::new(&limits());
    let now = Instant::now();
    let reservation = limiter.reserve(&WEB, need(100, 300), now).unwrap();
    assert_eq!((limiter.in_use(), live(&limiter)), (1, 1));
    let held = reservation.headers(now);
    assert_eq!(held.tokens.unwrap().remaining, 600);
    end(reservation, now);
    assert_eq!((limiter.in_use(), live(&limiter)), (0, 0));
    left(&limiter, &WEB, now)
}

#[test]
fn settling_lower_refunds_and_higher_charges_what_is_missing() {
    let settled = |tokens| after(move |mut reservation, now| reservation.settle(tokens, now)).1;
    assert_eq!(settled(400), Some(600));
    assert_eq!(settled(150), Some(850));
    assert_eq!(settled(0), Some(1000));
    assert_eq!(settled(900), Some(100));
    assert_eq!(settled(5000), Some(0));
}

#[test]
fn a_true_up_goes_below_zero_and_delays_the_next() {
    let limiter = Limiter::new(&limits());
    let now = Instant::now();
    let mut reservation = limiter.reserve(&WEB, need(100, 300), now).unwrap();
    reservation.settle(3000, now);
    let denied = denial(limiter.reserve(&WEB, need(0, 0), now));
    assert_eq!(denied.retry_after, 2 * MINUTE);
}

#[test]
fn a_dropped_reservation_keeps_its_input_and_refunds_the_rest() {
    assert_eq!(
        after(|reservation, _| drop(reservation)),
        (Some(9), Some(900))
    );
}

#[test]
fn a_dropped_reservation_keeps_the_output_that_came() {
    let cut = |output| after(move |mut reservation, now| reservation.progress(output, now)).1;
    assert_eq!(cut(50), Some(850));
    assert_eq!(cut(300), Some(600));
    assert_eq!(cut(500), Some(400));
}

#[test]
fn output_that_came_is_not_unsaid() {
    let left = after(|mut reservation, now| {
        reservation.progress(500, now);
        reservation.progress(50, now);
    });
    assert_eq!(left, (Some(9), Some(400)));
}

#[test]
fn output_beyond_the_reserve_is_charged_while_it_comes() {
    after(|mut reservation, now| {
        let mut remaining = |output| {
            reservation.progress(output, now);
            reservation.headers(now).tokens.unwrap().remaining
        };
        assert_eq!(remaining(300), 600);
        assert_eq!(remaining(301), 599);
        assert_eq!(remaining(400), 500);
        assert_eq!(remaining(350), 500);
    });
}

#[test]
fn settling_after_an_overrun_counts_each_token_once() {
    let left = after(|mut reservation, now| {
        reservation.progress(400, now);
        reservation.settle(450, now);
    });
    assert_eq!(left, (Some(9), Some(550)));
}

#[test]
fn an_answer_from_the_cache_counts_as_a_request_and_as_no_tokens() {
    let left = after(|mut reservation, _| reservation.answered_from_cache());
    assert_eq!(left, (Some(9), Some(1000)));
}

#[test]
fn a_request_that_was_never_sent_counts_as_nothing() {
    let left = after(|mut reservation, _| reservation.refund_all());
    assert_eq!(left, (Some(10), Some(1000)));
}

#[test]
fn a_reservation_is_closed_exactly_once() {
    let left = after(|mut reservation, now| {
        reservation.settle(200, now);
        reservation.settle(900, now);
        reservation.progress(900, now);
        reservation.answered_from_cache();
        reservation.refund_all();
    });
    assert_eq!(left, (Some(9), Some(800)));
}

#[test]
fn a_closed_reservation_gives_its_concurrency_back_before_it_is_dropped() {
    let limiter = Limiter::new(&limits());
    let now = Instant::now();
    let mut first = limiter.reserve(&WEB, Need::default(), now).unwrap();
    denial(limiter.reserve(&WEB, Need::default(), now));
    first.settle(0, now);
    let second = limiter.reserve(&WEB, Need::default(), now).unwrap();
    drop(first);
    assert_eq!((limiter.in_use(), live(&limiter)), (1, 1));
    drop(second);
    assert_eq!((limiter.in_use(), live(&limiter)), (0, 0));
}

#[test]
fn who_waits_for_anothers_answer_lends_its_tokens_and_takes_them_back_to_ask() {
    let lent = after(|mut reservation, now| {
        reservation.lend_tokens();
        assert_eq!(reservation.headers(now).tokens.unwrap().remaining, 1000);
        drop(reservation);
    });
    assert_eq!(lent, (Some(9), Some(1000)));
    let asked = after(|mut reservation, now| {
        reservation.lend_tokens();
        reservation.take_back(now);
        assert_eq!(reservation.headers(now).tokens.unwrap().remaining, 600);
        reservation.settle(150, now);
    });
    assert_eq!(asked, (Some(9), Some(850)));
}
