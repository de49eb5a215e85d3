//! Limits under real threads.

use super::*;
use std::sync::atomic::AtomicU64;

#[test]
fn concurrent_requests_never_pass_more_tokens_than_the_bucket_holds() {
    let limiter = Limiter::new(&[tokens(1000), requests(Dimension::Tenant, 100_000)]);
    let now = Instant::now();
    let admitted = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..500 {
                    if let Ok(mut reservation) = limiter.reserve(&WEB, need(3, 4), now) {
                        admitted.fetch_add(7, Ordering::Relaxed);
                        reservation.settle(7, now);
                    }
                }
            });
        }
    });
    assert_eq!(admitted.into_inner(), 1000 / 7 * 7);
    assert_eq!((limiter.in_use(), live(&limiter)), (0, 0));
}

#[test]
fn limiters_whose_limits_changed_places_do_not_lock_each_other_out() {
    let mut limits = [
        at_once(2),
        requests(Dimension::Tenant, 1 << 40),
        tokens(1 << 40),
    ];
    let old = Arc::new(Limiter::new(&limits));
    limits.reverse();
    let new = Arc::new(Limiter::reconfigured(&old, &limits));
    let (done, finished) = std::sync::mpsc::channel();
    for limiter in [&old, &new, &old, &new] {
        let (limiter, done) = (Arc::clone(limiter), done.clone());
        std::thread::spawn(move || {
            come_and_go(&limiter, 5000);
            done.send(()).unwrap();
        });
    }
    for _ in 0..4 {
        let end = finished.recv_timeout(30 * SECOND);
        end.expect("threads hold each other's locks");
    }
    assert_eq!((new.in_use(), live(&new)), (0, 0));
}

fn come_and_go(limiter: &Limiter, rounds: usize) {
    let now = Instant::now();
    for round in 0..rounds {
        let who = if round % 2 == 0 { WEB } else { JOBS };
        let Ok(mut reservation) = limiter.reserve(&who, need(1, 1), now) else {
            continue;
        };
        match round % 4 {
            0 => reservation.settle(5, now),
            1 => reservation.refund_all(),
            2 => reservation.progress(9, now),
            _ => reservation.answered_from_cache(),
        }
    }
}
