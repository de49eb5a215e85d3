use super::*;

fn reload(old: &Pool, peers: &[model::Peer], now: Instant) -> Pool {
    Pool::reconfigured(old, &config(peers), None, now)
}

#[test]
fn peers_that_stay_keep_load_health_and_totals_under_new_settings() {
    let now = Instant::now();
    let old = pool(&[peer("10.0.0.1"), peer("10.0.0.2")], now);
    let _ = fail(&old, "10.0.0.1", now);
    let held = lease(&old, now);
    let mut changed = config(&[capped("10.0.0.2", 1), peer("10.0.0.1")]);
    changed.balance = model::Balance::RoundRobin;
    let new = Pool::reconfigured(&old, &changed, None, now);
    assert_eq!(state(&new, "10.0.0.1", now), PeerState::Ejected);
    assert_eq!(view(&new, "10.0.0.1", now).failures, 3);
    assert_eq!(view(&new, "10.0.0.2", now).in_flight, 1);
    assert!(matches!(new.pick(&DEMAND, &[], now), Pick::Busy));
    drop(held);
    let _ = lease(&new, now);
    assert_eq!(new.totals(), Totals::default());
}

#[test]
fn the_old_pool_goes_on_under_its_settings() {
    let now = Instant::now();
    let old = pool(&[capped("10.0.0.1", 1)], now);
    let new = reload(&old, &[peer("10.0.0.2")], now);
    let held = lease(&old, now);
    assert!(matches!(old.pick(&DEMAND, &[], now), Pick::Busy));
    assert_eq!(lease(&new, now).addr(), addr("10.0.0.2"));
    drop(held);
}

#[test]
fn a_removed_peer_drains_and_is_then_forgotten() {
    let now = Instant::now();
    let old = pool(&[peer("10.0.0.1"), peer("10.0.0.2")], now);
    let held = lease_on(&old, "10.0.0.1", now);
    let new = reload(&old, &[peer("10.0.0.2")], now);
    let draining = view(&new, "10.0.0.1", now);
    assert!(draining.draining && draining.in_flight == 1);
    assert_eq!(new.totals().in_flight, 1);
    assert_eq!(new.peers().len(), 1);
    let newer = reload(&new, &[peer("10.0.0.2")], now);
    assert_eq!(newer.views(now).len(), 2);
    drop(held);
    assert_eq!(newer.views(now).len(), 1);
    assert_eq!(newer.totals(), Totals::default());
}

#[test]
fn a_peer_that_returns_while_draining_has_its_load_still() {
    let now = Instant::now();
    let first = pool(&[peer("10.0.0.1"), peer("10.0.0.2")], now);
    let held = lease_on(&first, "10.0.0.1", now);
    let second = reload(&first, &[peer("10.0.0.2")], now);
    let third = reload(&second, &[peer("10.0.0.2"), peer("10.0.0.1")], now);
    assert_eq!(view(&third, "10.0.0.1", now).in_flight, 1);
    assert_eq!(third.views(now).len(), 2);
    drop(held);
    assert_eq!(third.totals(), Totals::default());
}

#[test]
fn a_new_peer_in_a_running_pool_starts_slowly() {
    let now = Instant::now();
    let old = pool(&[peer("10.0.0.1")], now);
    let new = reload(&old, &[peer("10.0.0.1"), peer("10.0.0.2")], now);
    assert_eq!(state(&new, "10.0.0.1", now), PeerState::Unknown);
    assert_eq!(state(&new, "10.0.0.2", now), PeerState::SlowStart);
    let half = now + 15 * S;
    let _leases: Vec<Lease> = (0..30).map(|_| lease(&new, half)).collect();
    assert_eq!(view(&new, "10.0.0.2", half).in_flight, 10);
}

#[test]
fn what_was_learnt_stays_when_the_balance_changes() {
    let now = Instant::now();
    let old = pool(&[peer("10.0.0.1")], now);
    for _ in 0..50 {
        old.estimator().learn("m", 4000, 0, 2000, 10, now);
    }
    let mut changed = config(&[peer("10.0.0.3")]);
    changed.balance = model::Balance::Random;
    let new = Pool::reconfigured(&old, &changed, None, now);
    assert_eq!(
        new.estimator().prompt_tokens("m", 4000, 0),
        old.estimator().prompt_tokens("m", 4000, 0)
    );
    assert_ne!(new.estimator().prompt_tokens("m", 4000, 0), 1000);
}

#[test]
fn health_checks_that_are_switched_off_no_longer_keep_a_peer_out() {
    let now = Instant::now();
    let old = pool(&[peer("10.0.0.1")], now);
    probe_down(&old, "10.0.0.1", now);
    assert!(matches!(old.pick(&DEMAND, &[], now), Pick::Down { .. }));
    let mut off = config(&[peer("10.0.0.1")]);
    off.health = None;
    let new = Pool::reconfigured(&old, &off, None, now);
    let _ = lease(&new, now);
    assert_eq!(state(&new, "10.0.0.1", now), PeerState::Unknown);
}

#[test]
fn leases_of_before_wake_the_new_hook() {
    let now = Instant::now();
    let (first, first_calls) = counted();
    let (second, second_calls) = counted();
    let old = Pool::new(&config(&[peer("10.0.0.1")]), first, now);
    let held = lease(&old, now);
    let _new = Pool::reconfigured(&old, &config(&[peer("10.0.0.1")]), Some(second), now);
    drop(held);
    assert_eq!(
        (first_calls.load(Relaxed), second_calls.load(Relaxed)),
        (0, 1)
    );
}
