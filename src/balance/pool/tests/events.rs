use super::*;

#[test]
fn failures_in_a_row_eject_and_the_peer_gets_one_trial_after_its_time() {
    let now = Instant::now();
    let pool = pool(&[peer("10.0.0.1"), peer("10.0.0.2")], now);
    let Change::Ejected(time) = fail(&pool, "10.0.0.1", now) else {
        panic!("not ejected");
    };
    assert!((9 * S..=11 * S).contains(&time), "{time:?}");
    assert_eq!(state(&pool, "10.0.0.1", now), PeerState::Ejected);
    let before: Vec<Lease> = (0..20).map(|_| lease(&pool, now)).collect();
    assert!(before.iter().all(|lease| lease.addr() == addr("10.0.0.2")));

    let due = now + 11 * S;
    assert_eq!(state(&pool, "10.0.0.1", due), PeerState::HalfOpen);
    let after: Vec<Lease> = (0..20).map(|_| lease(&pool, due)).collect();
    let trials: Vec<&Lease> = after.iter().filter(|lease| lease.is_trial()).collect();
    assert_eq!(trials.len(), 1);
    assert_eq!(trials[0].addr(), addr("10.0.0.1"));
    assert_eq!(view(&pool, "10.0.0.1", due).in_flight, 1);
}

#[test]
fn the_first_byte_of_a_trial_brings_the_peer_back_with_slow_start() {
    let now = Instant::now();
    let (hook, calls) = counted();
    let pool = Pool::new(&config(&[peer("10.0.0.1"), peer("10.0.0.2")]), hook, now);
    let _ = fail(&pool, "10.0.0.1", now);
    let due = now + 11 * S;
    let mut trial = lease_on(&pool, "10.0.0.1", due);
    let woken = calls.load(Relaxed);
    assert_eq!(trial.first_byte(due), Change::Returned);
    assert_eq!(trial.first_byte(due), Change::None);
    assert_eq!(calls.load(Relaxed), woken + 1);
    assert_eq!(state(&pool, "10.0.0.1", due), PeerState::SlowStart);
    drop(trial);

    let leases: Vec<Lease> = (0..110).map(|_| lease(&pool, due + S)).collect();
    let share = leases
        .iter()
        .filter(|lease| lease.addr() == addr("10.0.0.1"))
        .count();
    assert_eq!(share, 10, "a tenth of the weight at first");
    drop(leases);
    let later = due + 30 * S;
    assert_eq!(state(&pool, "10.0.0.1", later), PeerState::Unknown);
    let leases: Vec<Lease> = (0..100).map(|_| lease(&pool, later)).collect();
    assert_eq!(view(&pool, "10.0.0.1", later).in_flight, 50);
    drop(leases);
}

#[test]
fn a_failed_trial_ejects_again_and_for_longer() {
    let now = Instant::now();
    let pool = pool(&[peer("10.0.0.1"), peer("10.0.0.2")], now);
    let _ = fail(&pool, "10.0.0.1", now);
    let due = now + 11 * S;
    let mut trial = lease_on(&pool, "10.0.0.1", due);
    match pool.report(&mut trial, Outcome::Failed(Failure::Status), due) {
        Change::Ejected(time) => assert!((18 * S..=22 * S).contains(&time), "{time:?}"),
        other => panic!("{other:?}"),
    }
    drop(trial);
    assert_eq!(state(&pool, "10.0.0.1", due + 17 * S), PeerState::Ejected);
}

#[test]
fn a_trial_whose_client_left_decides_nothing_and_the_next_one_may_try() {
    let now = Instant::now();
    let pool = pool(&[peer("10.0.0.1"), peer("10.0.0.2")], now);
    let _ = fail(&pool, "10.0.0.1", now);
    let due = now + 11 * S;
    drop(lease_on(&pool, "10.0.0.1", due));
    assert_eq!(state(&pool, "10.0.0.1", due), PeerState::HalfOpen);
    assert!(lease_on(&pool, "10.0.0.1", due).is_trial());
}

#[test]
fn the_last_usable_peer_is_never_ejected() {
    let now = Instant::now();
    let pool = pool(
        &[peer("10.0.0.1"), peer("10.0.0.2"), backup("10.0.0.9")],
        now,
    );
    assert!(matches!(fail(&pool, "10.0.0.1", now), Change::Ejected(_)));
    assert!(
        matches!(fail(&pool, "10.0.0.2", now), Change::Ejected(_)),
        "the backup stands in"
    );
    assert_eq!(fail(&pool, "10.0.0.9", now), Change::Spared);
    assert_eq!(lease(&pool, now).addr(), addr("10.0.0.9"));
}

#[test]
fn when_probes_take_the_rest_out_an_ejected_peer_is_tried_at_once() {
    let now = Instant::now();
    let pool = pool(&[peer("10.0.0.1"), peer("10.0.0.2")], now);
    let _ = fail(&pool, "10.0.0.1", now);
    probe_down(&pool, "10.0.0.2", now);
    let mut trial = lease(&pool, now);
    assert!(trial.is_trial());
    assert!(
        matches!(pool.pick(&DEMAND, &[], now), Pick::Busy),
        "the trial decides, others wait for it"
    );
    let _ = trial.first_byte(now);
    assert!(!lease(&pool, now).is_trial());
}

#[test]
fn a_success_in_between_starts_the_row_anew() {
    let now = Instant::now();
    let pool = pool(&[peer("10.0.0.1"), peer("10.0.0.2")], now);
    for outcome in [
        Outcome::Failed(Failure::Reset),
        Outcome::Failed(Failure::Status),
        Outcome::Succeeded,
    ]
    .repeat(5)
    {
        let mut lease = lease_on(&pool, "10.0.0.1", now);
        assert_eq!(pool.report(&mut lease, outcome, now), Change::None);
    }
    let view = view(&pool, "10.0.0.1", now);
    assert_eq!(view.last_failure, Some(Failure::Status));
    assert_eq!(
        (view.requests, view.failures, view.consecutive_failures),
        (15, 10, 0)
    );
}

#[test]
fn a_pause_that_the_peer_asks_for_is_kept() {
    let now = Instant::now();
    let pool = pool(&[peer("10.0.0.1"), peer("10.0.0.2")], now);
    let mut lease = lease_on(&pool, "10.0.0.1", now);
    assert_eq!(
        pool.report(&mut lease, paused(20 * S), now),
        Change::CoolingDown(20 * S)
    );
    drop(lease);
    let during = now + 19 * S;
    let view = view(&pool, "10.0.0.1", during);
    assert_eq!(view.state, PeerState::CoolingDown);
    assert_eq!(view.out_for, Some(S));
    assert_eq!(pool.next_return(during), Some(S));
    assert_eq!(pool.next_return(now + 20 * S), None);
    let picks: Vec<Lease> = (0..10).map(|_| self::lease(&pool, during)).collect();
    assert!(picks.iter().all(|lease| lease.addr() == addr("10.0.0.2")));
    drop(picks);
    let _ = lease_on(&pool, "10.0.0.1", now + 20 * S);
}

#[test]
fn streams_keep_a_peer_in_whose_health_page_is_silent() {
    let start = Instant::now();
    let pool = pool(&[peer("10.0.0.1")], start);
    let mut stream = lease(&pool, start);
    let peer = find(&pool, "10.0.0.1");
    for n in 1..20 {
        let now = start + n * 5 * S;
        stream.progress(u64::from(n), now - S);
        assert_eq!(pool.probed(&peer, Probe::Failed, now), Change::None);
    }
    for n in 20..23 {
        let _ = pool.probed(&peer, Probe::Failed, start + n * 5 * S);
    }
    assert_eq!(
        state(&pool, "10.0.0.1", start + 115 * S),
        PeerState::Unknown
    );
    let _ = pool.probed(&peer, Probe::Failed, start + 115 * S);
    assert_eq!(
        state(&pool, "10.0.0.1", start + 115 * S),
        PeerState::Unhealthy
    );
}

#[test]
fn probes_do_not_touch_the_load() {
    let now = Instant::now();
    let pool = pool(&[peer("10.0.0.1"), peer("10.0.0.2")], now);
    let held = lease_on(&pool, "10.0.0.1", now);
    let load = pool.totals();
    probe_down(&pool, "10.0.0.1", now);
    assert_eq!(pool.totals(), load);
    drop(held);
    assert_eq!(pool.totals(), Totals::default());
}

#[test]
fn only_one_lease_of_a_half_open_peer_exists_whoever_asks() {
    let now = Instant::now();
    let pool = pool(&[peer("10.0.0.1"), peer("10.0.0.2")], now);
    let _ = fail(&pool, "10.0.0.1", now);
    let ejected = find(&pool, "10.0.0.1");
    let take = |at| Lease::take(&ejected, &DEMAND, &pool.shared, at);
    assert!(take(now).is_err());
    let due = now + 11 * S;
    let mut trial = take(due).unwrap();
    assert!(trial.is_trial() && take(due).is_err());
    assert_eq!(ejected.in_flight(), 1);
    let _ = trial.first_byte(due);
    assert!(!take(due).unwrap().is_trial());
}

#[test]
fn a_request_whose_own_trial_failed_does_not_end_the_ejection_again() {
    let now = Instant::now();
    let pool = pool(&[peer("10.0.0.1"), peer("10.0.0.2")], now);
    let _ = fail(&pool, "10.0.0.1", now);
    probe_down(&pool, "10.0.0.2", now);
    let mut trial = lease(&pool, now);
    let _ = pool.report(&mut trial, Outcome::Failed(Failure::Connect), now);
    drop(trial);
    let tried = [addr("10.0.0.1")];
    assert!(matches!(pool.pick(&DEMAND, &tried, now), Pick::Down { .. }));
    assert_eq!(state(&pool, "10.0.0.1", now), PeerState::Ejected);
}

#[test]
fn backups_serve_while_the_trial_of_the_only_primary_runs() {
    let now = Instant::now();
    let pool = pool(
        &[peer("10.0.0.1"), peer("10.0.0.2"), backup("10.0.0.9")],
        now,
    );
    let _ = fail(&pool, "10.0.0.1", now);
    probe_down(&pool, "10.0.0.2", now);
    let due = now + 11 * S;
    let trial = lease(&pool, due);
    assert_eq!(trial.addr(), addr("10.0.0.1"));
    assert_eq!(lease(&pool, due).addr(), addr("10.0.0.9"));
}
