//! Who may be out, how many at once, and what is left to say when all are.

use super::*;

fn of(hosts: usize, max_ejected: f64, now: Instant) -> Pool {
    let peers: Vec<_> = (1..=hosts).map(|n| peer(&format!("10.0.0.{n}"))).collect();
    let mut config = config(&peers);
    config.eject.max_ejected = max_ejected;
    Pool::new(&config, silent(), now)
}

/// How many of the peers can be ejected, one after the other, by answers that are errors.
fn ejected(hosts: usize, max_ejected: f64) -> usize {
    let now = Instant::now();
    let pool = of(hosts, max_ejected, now);
    for n in 1..=hosts {
        for _ in 0..3 {
            let mut lease = lease_on(&pool, &format!("10.0.0.{n}"), now);
            let _ = pool.report(&mut lease, Outcome::Failed(Failure::Status), now);
        }
    }
    let views = pool.views(now);
    views
        .iter()
        .filter(|view| view.state == PeerState::Ejected)
        .count()
}

#[test]
fn no_more_than_the_share_is_ejected_rounded_up_and_never_all() {
    for (hosts, share, expected) in [
        (1, 0.5, 0),
        (2, 0.5, 1),
        (3, 0.5, 2),
        (4, 0.5, 2),
        (10, 0.5, 5),
        (10, 0.1, 1),
        (10, 0.7, 7),
        (5, 1.0, 4),
        (5, 0.0, 0),
    ] {
        assert_eq!(ejected(hosts, share), expected, "{hosts} peers, {share}");
    }
}

#[test]
fn a_peer_that_cannot_be_reached_is_ejected_beyond_the_share_but_not_the_last_one() {
    let now = Instant::now();
    let pool = of(4, 0.25, now);
    for host in ["10.0.0.1", "10.0.0.2", "10.0.0.3"] {
        assert!(matches!(fail(&pool, host, now), Change::Ejected(_)));
    }
    assert_eq!(fail(&pool, "10.0.0.4", now), Change::Spared);
}

#[test]
fn a_returned_peer_makes_room_for_another_ejection() {
    let now = Instant::now();
    let pool = of(2, 0.5, now);
    let status = |host: &str, at| {
        let mut changes = (0..3).map(|_| {
            let mut lease = lease_on(&pool, host, at);
            pool.report(&mut lease, Outcome::Failed(Failure::Status), at)
        });
        changes.find(|change| *change != Change::None)
    };
    assert!(matches!(status("10.0.0.1", now), Some(Change::Ejected(_))));
    assert_eq!(status("10.0.0.2", now), Some(Change::Spared));
    let due = now + 11 * S;
    let mut trial = lease_on(&pool, "10.0.0.1", due);
    assert_eq!(trial.first_byte(due), Change::Returned);
    drop(trial);
    assert!(matches!(status("10.0.0.2", due), Some(Change::Ejected(_))));
}

#[test]
fn when_every_peer_is_in_a_pause_it_is_told_who_is_back_first_and_how_it_refused() {
    let now = Instant::now();
    let pool = of(2, 0.5, now);
    for (host, status, time) in [("10.0.0.1", 429, 20 * S), ("10.0.0.2", 503, 7 * S)] {
        let mut lease = lease_on(&pool, host, now);
        let pause = Pause {
            status,
            time: Some(time),
        };
        assert_eq!(
            pool.report(&mut lease, Outcome::Paused(pause), now),
            Change::CoolingDown(time)
        );
    }
    for (at, left, status) in [(0, 7, 503), (5, 2, 503)] {
        match pool.pick(&DEMAND, &[], now + at * S) {
            Pick::Down {
                retry_after,
                refused,
            } => assert_eq!((retry_after, refused), (left * S, Some(status))),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(lease(&pool, now + 7 * S).addr(), addr("10.0.0.2"));
}

#[test]
fn without_cool_downs_a_429_changes_nothing_and_a_503_is_a_failure() {
    let now = Instant::now();
    let mut config = config(&[peer("10.0.0.1"), peer("10.0.0.2")]);
    config.cooldown = None;
    let pool = Pool::new(&config, silent(), now);
    for (status, failures) in [(429, 0), (503, 1)] {
        let mut lease = lease_on(&pool, "10.0.0.1", now);
        let pause = Pause {
            status,
            time: Some(9 * S),
        };
        let _ = pool.report(&mut lease, Outcome::Paused(pause), now);
        let view = view(&pool, "10.0.0.1", now);
        assert_eq!((view.failures, view.state.usable()), (failures, true));
    }
}

#[test]
fn a_trial_that_is_refused_decides_nothing() {
    let now = Instant::now();
    let pool = pool(&[peer("10.0.0.1"), peer("10.0.0.2")], now);
    let _ = fail(&pool, "10.0.0.1", now);
    let due = now + 11 * S;
    let mut trial = lease_on(&pool, "10.0.0.1", due);
    let _ = pool.report(&mut trial, paused(5 * S), due);
    drop(trial);
    assert_eq!(state(&pool, "10.0.0.1", due + 5 * S), PeerState::HalfOpen);
    assert!(lease_on(&pool, "10.0.0.1", due + 5 * S).is_trial());
}

#[test]
fn the_budget_outlives_a_reload_and_follows_its_new_rules() {
    let now = Instant::now();
    let mut config = config(&[peer("10.0.0.1")]);
    let budget = |min_per_second| {
        Some(model::RetryBudget {
            share: 0.5,
            min_per_second,
        })
    };
    config.retry.budget = budget(0.0);
    let old = Pool::new(&config, silent(), now);
    (0..4).for_each(|_| old.request_came(now));
    old.may_retry(now).unwrap().used();
    old.may_retry(now).unwrap().used();
    assert!(old.may_retry(now).is_err());
    config.retry.budget = budget(0.1);
    let new = Pool::reconfigured(&old, &config, None, now);
    new.may_retry(now).unwrap().used();
    assert!(new.may_retry(now).is_err());
    config.retry.budget = None;
    let free = Pool::reconfigured(&new, &config, None, now);
    for _ in 0..1000 {
        free.may_retry(now).unwrap().used();
    }
}

#[test]
fn the_only_primary_is_ejected_when_a_backup_can_stand_in() {
    let now = Instant::now();
    let mut config = config(&[peer("10.0.0.1"), backup("10.0.0.9")]);
    config.eject.max_ejected = 0.5;
    let pool = Pool::new(&config, silent(), now);
    let hang = |at| {
        let mut lease = lease(&pool, at);
        let failed = Outcome::Failed(Failure::FirstByteTimeout);
        (lease.addr(), pool.report(&mut lease, failed, at))
    };
    for expected in [Change::None, Change::None] {
        assert_eq!(hang(now), (addr("10.0.0.1"), expected));
    }
    assert!(matches!(hang(now).1, Change::Ejected(_)));
    assert_eq!(lease(&pool, now).addr(), addr("10.0.0.9"));
    let due = now + 11 * S;
    assert!(lease(&pool, due).is_trial(), "and it gets its trial");
}
