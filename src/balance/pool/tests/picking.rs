use super::*;

#[test]
fn requests_at_the_cap_wait_and_a_release_makes_room() {
    let now = Instant::now();
    let pool = pool(&[capped("10.0.0.1", 2), capped("10.0.0.2", 1)], now);
    let mut leases: Vec<Lease> = (0..3).map(|_| lease(&pool, now)).collect();
    assert!(matches!(pool.pick(&DEMAND, &[], now), Pick::Busy));
    let freed = leases.remove(0).addr();
    assert_eq!(lease(&pool, now).addr(), freed);
}

#[test]
fn excluded_peers_are_not_picked_again() {
    let now = Instant::now();
    let pool = pool(&[peer("10.0.0.1"), peer("10.0.0.2")], now);
    let first = lease(&pool, now).addr();
    let second = lease_except(&pool, &[first], now).addr();
    assert_ne!(first, second);
    assert!(matches!(
        pool.pick(&DEMAND, &[first, second], now),
        Pick::Exhausted
    ));
}

#[test]
fn a_backup_serves_only_while_no_primary_can() {
    let now = Instant::now();
    let pool = pool(&[capped("10.0.0.1", 1), backup("10.0.0.9")], now);
    let held = lease(&pool, now);
    assert_eq!(held.addr(), addr("10.0.0.1"));
    assert_eq!(
        lease(&pool, now).addr(),
        addr("10.0.0.9"),
        "a full primary is a reason, as in nginx"
    );
    drop(held);
    assert_eq!(lease(&pool, now).addr(), addr("10.0.0.1"));
    assert_eq!(
        lease_except(&pool, &[addr("10.0.0.1")], now).addr(),
        addr("10.0.0.9"),
        "a primary that failed this request is"
    );
    probe_down(&pool, "10.0.0.1", now);
    assert_eq!(lease(&pool, now).addr(), addr("10.0.0.9"));
}

#[test]
fn when_all_are_down_the_answer_says_when_to_ask_again() {
    let now = Instant::now();
    let pool = pool(&[peer("10.0.0.1"), peer("10.0.0.2")], now);
    probe_down(&pool, "10.0.0.1", now);
    probe_down(&pool, "10.0.0.2", now);
    match pool.pick(&DEMAND, &[], now) {
        Pick::Down { retry_after, .. } => assert_eq!(retry_after, 10 * S, "two probes, 5 s apart"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_pool_without_addresses_is_down_until_names_are_resolved() {
    let now = Instant::now();
    let pool = pool(&[peer("gpu.example")], now);
    match pool.pick(&DEMAND, &[], now) {
        Pick::Down { retry_after, .. } => assert_eq!(retry_after, 30 * S),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_thousand_requests_at_one_instant_are_spread_by_weight() {
    let now = Instant::now();
    let peers: Vec<model::Peer> = [(1, 1.0), (2, 2.0), (3, 2.0), (4, 5.0)]
        .iter()
        .map(|(n, weight)| model::Peer {
            weight: *weight,
            ..peer(&format!("10.0.0.{n}"))
        })
        .collect();
    let pool = pool(&peers, now);
    let leases: Vec<Lease> = (0..1000).map(|_| lease(&pool, now)).collect();
    let taken: Vec<u32> = pool.views(now).iter().map(|view| view.in_flight).collect();
    assert_eq!(taken, [100, 200, 200, 500]);
    drop(leases);
    assert_eq!(pool.totals(), Totals::default());
}

#[test]
fn a_pool_larger_than_the_stack_list_uses_all_its_peers() {
    let now = Instant::now();
    let peers: Vec<model::Peer> = (1..=100).map(|n| peer(&format!("10.0.0.{n}"))).collect();
    let pool = pool(&peers, now);
    let _leases: Vec<Lease> = (0..100).map(|_| lease(&pool, now)).collect();
    assert!(pool.views(now).iter().all(|view| view.in_flight == 1));
}

#[test]
fn ip_hash_goes_elsewhere_only_while_its_peer_is_full() {
    let now = Instant::now();
    let mut by_hash = config(&[capped("10.0.0.1", 1), capped("10.0.0.2", 1)]);
    by_hash.balance = model::Balance::IpHash;
    let pool = Pool::new(&by_hash, silent(), now);
    let first = lease(&pool, now);
    let home = first.addr();
    let second = lease(&pool, now);
    assert_ne!(second.addr(), home);
    drop(first);
    assert_eq!(lease(&pool, now).addr(), home);
}

/// Chooses the first candidate, but at its first pick a rival takes a place before.
#[derive(Debug)]
struct Raced {
    rival: Pool,
    taken: parking_lot::Mutex<Option<Lease>>,
}

impl Policy for Raced {
    fn pick(&self, candidates: &[policy::Candidate<'_>], _: &Demand) -> Option<usize> {
        let mut taken = self.taken.lock();
        if taken.is_none() {
            *taken = Some(lease(&self.rival, Instant::now()));
        }
        (!candidates.is_empty()).then_some(0)
    }
}

#[test]
fn a_peer_that_fills_up_while_it_is_chosen_is_passed_over() {
    let now = Instant::now();
    for (second_cap, expected) in [(1, Some(addr("10.0.0.2"))), (0, None)] {
        let peers = [capped("10.0.0.1", 1), capped("10.0.0.2", second_cap)];
        let mut pool = pool(&peers, now);
        pool.policy = Box::new(Raced {
            rival: Pool::reconfigured(&pool, &config(&peers[..1]), None, now),
            taken: parking_lot::Mutex::default(),
        });
        match (pool.pick(&DEMAND, &[], now), expected) {
            (Pick::Lease(lease), Some(expected)) => assert_eq!(lease.addr(), expected),
            (Pick::Busy, None) => {}
            other => panic!("{other:?}"),
        }
    }
}
