use super::*;

const LABEL: &str = "gpu.example:8000";

#[test]
fn a_name_is_usable_once_resolved_and_each_address_is_a_peer() {
    let now = Instant::now();
    let (hook, calls) = counted();
    let pool = Pool::new(&config(&[capped("gpu.example", 1)]), hook, now);
    assert_eq!(
        pool.names().map(|name| &**name).collect::<Vec<_>>(),
        [LABEL]
    );
    let both = [addr("10.0.0.2"), addr("10.0.0.1"), addr("10.0.0.2")];
    let changes = pool.set_resolved(LABEL, &both, now);
    assert_eq!(changes.added, [addr("10.0.0.1"), addr("10.0.0.2")]);
    assert_eq!(calls.load(Relaxed), 1);
    let _leases = [lease(&pool, now), lease(&pool, now)];
    assert!(matches!(pool.pick(&DEMAND, &[], now), Pick::Busy));
    assert_eq!(
        state(&pool, "10.0.0.1", now),
        PeerState::Unknown,
        "the first ones start in full"
    );
}

#[test]
fn a_failed_lookup_keeps_the_addresses() {
    let now = Instant::now();
    let pool = pool(&[peer("gpu.example")], now);
    let _ = pool.set_resolved(LABEL, &[addr("10.0.0.1")], now);
    assert_eq!(pool.set_resolved(LABEL, &[], now), Resolved::default());
    assert_eq!(
        pool.set_resolved("other:8000", &[addr("10.0.0.5")], now),
        Resolved::default()
    );
    assert_eq!(lease(&pool, now).addr(), addr("10.0.0.1"));
}

#[test]
fn an_address_that_leaves_drains_and_one_that_stays_keeps_its_load() {
    let now = Instant::now();
    let pool = pool(&[peer("10.0.0.9"), peer("gpu.example")], now);
    let _ = pool.set_resolved(LABEL, &[addr("10.0.0.1"), addr("10.0.0.2")], now);
    let held = [
        lease_on(&pool, "10.0.0.1", now),
        lease_on(&pool, "10.0.0.2", now),
        lease_on(&pool, "10.0.0.9", now),
    ];
    let changes = pool.set_resolved(LABEL, &[addr("10.0.0.2"), addr("10.0.0.3")], now);
    assert_eq!(changes.added, [addr("10.0.0.3")]);
    assert_eq!(changes.removed, [addr("10.0.0.1")]);
    assert!(view(&pool, "10.0.0.1", now).draining);
    assert_eq!(view(&pool, "10.0.0.2", now).in_flight, 1);
    assert_eq!(view(&pool, "10.0.0.9", now).in_flight, 1);
    assert_eq!(pool.totals().in_flight, 3);
    drop(held);
    assert_eq!(pool.totals(), Totals::default());
    assert_eq!(pool.views(now).len(), 3);
}

#[test]
fn an_endpoint_that_flaps_never_underflows() {
    let now = Instant::now();
    let pool = pool(&[peer("gpu.example"), peer("10.0.0.9")], now);
    let mut held = Vec::new();
    for n in 0..200 {
        let addrs: &[SocketAddr] = match n % 3 {
            0 => &[addr("10.0.0.1")],
            1 => &[addr("10.0.0.1"), addr("10.0.0.2")],
            _ => &[addr("10.0.0.2")],
        };
        let _ = pool.set_resolved(LABEL, addrs, now);
        held.push(lease(&pool, now));
        if n % 4 == 3 {
            drop(held.remove(0));
            drop(held.remove(held.len() / 2));
        }
        assert_eq!(pool.totals().in_flight, held.len() as u64);
        assert!(pool.views(now).len() <= 3);
    }
    drop(held);
    assert_eq!(pool.totals(), Totals::default());
}

#[test]
fn resolved_addresses_survive_a_reload() {
    let now = Instant::now();
    let old = pool(&[peer("gpu.example")], now);
    let _ = old.set_resolved(LABEL, &[addr("10.0.0.1")], now);
    let held = lease(&old, now);
    let new = Pool::reconfigured(
        &old,
        &config(&[peer("gpu.example"), peer("new.example")]),
        None,
        now,
    );
    assert_eq!(lease(&new, now).addr(), addr("10.0.0.1"));
    assert_eq!(view(&new, "10.0.0.1", now).in_flight, 1);
    assert_eq!(new.names().count(), 2);
    drop(held);
}

#[test]
fn ipv6_addresses_are_peers_with_or_without_brackets() {
    let now = Instant::now();
    let pool = pool(&[peer("::1"), peer("[fe80::2]")], now);
    let labels: Vec<String> = pool.peers().iter().map(|p| p.label().to_string()).collect();
    assert_eq!(labels, ["[::1]:8000", "[fe80::2]:8000"]);
}
