use super::*;
use std::sync::atomic::AtomicI64;

#[test]
fn threads_never_admit_more_than_the_cap() {
    let now = Instant::now();
    let pool = pool(&[capped("10.0.0.1", 3), capped("10.0.0.2", 5)], now);
    let outside = [AtomicI64::new(0), AtomicI64::new(0)];
    let served = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for n in 0..3000 {
                    let Pick::Lease(mut lease) = pool.pick(&DEMAND, &[], now) else {
                        continue;
                    };
                    let (index, cap) = if lease.addr() == addr("10.0.0.1") {
                        (0, 3)
                    } else {
                        (1, 5)
                    };
                    assert!(outside[index].fetch_add(1, Relaxed) < cap);
                    lease.progress(n % 300, now);
                    if n % 64 == 0 {
                        std::thread::yield_now();
                    }
                    served.fetch_add(1, Relaxed);
                    outside[index].fetch_sub(1, Relaxed);
                    drop(lease);
                }
            });
        }
    });
    assert!(served.load(Relaxed) > 0);
    assert_eq!(pool.totals(), Totals::default());
}

#[test]
fn threads_get_one_trial_between_them() {
    let now = Instant::now();
    let pool = pool(&[peer("10.0.0.1"), peer("10.0.0.2")], now);
    for round in 1..50u32 {
        let at = now + round * 3600 * S;
        let _ = fail(&pool, "10.0.0.1", at);
        let due = at + 20 * S;
        let leases: Vec<Lease> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| (0..4).map(|_| lease(&pool, due)).collect::<Vec<_>>()))
                .collect();
            threads
                .into_iter()
                .flat_map(|thread| thread.join().unwrap())
                .collect()
        });
        let on_ejected: Vec<bool> = leases
            .iter()
            .filter(|lease| lease.addr() == addr("10.0.0.1"))
            .map(Lease::is_trial)
            .collect();
        assert_eq!(on_ejected, [true]);
        for mut lease in leases {
            let _ = lease.first_byte(due);
        }
    }
    assert_eq!(pool.totals(), Totals::default());
}

#[test]
fn never_more_than_one_trial_runs_however_often_it_fails() {
    let now = Instant::now();
    let mut config = config(&[peer("10.0.0.1"), peer("10.0.0.2")]);
    // Due again as soon as it failed: every pick may be a trial.
    (config.eject.base, config.eject.max) = (Duration::ZERO, Duration::ZERO);
    let pool = Pool::new(&config, silent(), now);
    let _ = fail(&pool, "10.0.0.1", now);
    let (running, trials) = (AtomicI64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for n in 0..2000 {
                    let mut lease = lease(&pool, now);
                    if lease.addr() != addr("10.0.0.1") {
                        continue;
                    }
                    assert!(lease.is_trial());
                    assert_eq!(running.fetch_add(1, Relaxed), 0);
                    trials.fetch_add(1, Relaxed);
                    std::thread::yield_now();
                    running.fetch_sub(1, Relaxed);
                    if n % 2 == 0 {
                        let _ = pool.report(&mut lease, Outcome::Failed(Failure::Reset), now);
                    }
                }
            });
        }
    });
    assert!(trials.load(Relaxed) > 0);
    assert_eq!(pool.totals(), Totals::default());
}

#[test]
fn threads_that_all_fail_do_not_eject_everybody() {
    let now = Instant::now();
    let hosts = ["10.0.0.1", "10.0.0.2"];
    for _ in 0..300 {
        let pool = pool(&hosts.map(peer), now);
        let start = std::sync::Barrier::new(hosts.len());
        std::thread::scope(|scope| {
            for host in hosts {
                let (pool, start) = (&pool, &start);
                scope.spawn(move || {
                    let mut lease = lease_on(pool, host, now);
                    start.wait();
                    for _ in 0..3 {
                        let _ = pool.report(&mut lease, Outcome::Failed(Failure::Reset), now);
                    }
                });
            }
        });
        let usable = pool
            .views(now)
            .iter()
            .filter(|view| view.state.usable())
            .count();
        assert_eq!(usable, 1);
        assert_eq!(pool.totals(), Totals::default());
    }
}

#[test]
fn round_robin_keeps_its_shares_under_threads() {
    let now = Instant::now();
    let mut rotating = config(&[peer("10.0.0.1"), peer("10.0.0.2"), peer("10.0.0.3")]);
    rotating.peers[0].weight = 2.0;
    rotating.balance = model::Balance::RoundRobin;
    let pool = Pool::new(&rotating, silent(), now);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..1000).for_each(|_| drop(lease(&pool, now))));
        }
    });
    for (view, share) in pool.views(now).iter().zip([2000u64, 1000, 1000]) {
        assert!(view.requests.abs_diff(share) <= share / 20, "{view:?}");
    }
}
