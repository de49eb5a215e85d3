use super::*;

#[test]
fn a_lease_charges_its_peer_and_gives_back_exactly_that() {
    let now = Instant::now();
    let pool = pool(&[peer("10.0.0.1")], now);
    let first = lease(&pool, now);
    let second = lease(&pool, now);
    let full = Totals {
        in_flight: 2,
        queued_tokens: 2400,
    };
    assert_eq!(pool.totals(), full);
    drop(first);
    drop(second);
    assert_eq!(pool.totals(), Totals::default());
}

#[test]
fn the_first_byte_releases_the_prompt_once() {
    let now = Instant::now();
    let pool = pool(&[peer("10.0.0.1")], now);
    let mut lease = lease(&pool, now);
    let _ = lease.first_byte(now);
    let _ = lease.first_byte(now);
    assert_eq!(pool.totals().queued_tokens, 200);
}

#[test]
fn the_stream_draws_the_output_down_to_a_twentieth() {
    let now = Instant::now();
    let pool = pool(&[peer("10.0.0.1")], now);
    let mut lease = lease(&pool, now);
    let left = |lease: &mut Lease, so_far| {
        lease.progress(so_far, now);
        pool.totals().queued_tokens
    };
    assert_eq!(left(&mut lease, 0), 200);
    assert_eq!(left(&mut lease, 50), 150);
    assert_eq!(left(&mut lease, 20), 150);
    assert_eq!(left(&mut lease, 190), 10);
    assert_eq!(left(&mut lease, 100_000), 10);
    assert_eq!(pool.totals().in_flight, 1);
    drop(lease);
    assert_eq!(pool.totals(), Totals::default());
}

#[test]
fn a_request_without_output_is_free_after_its_first_byte() {
    let now = Instant::now();
    let pool = pool(&[peer("10.0.0.1")], now);
    let demand = Demand {
        output_tokens: 0,
        ..DEMAND
    };
    let Pick::Lease(mut lease) = pool.pick(&demand, &[], now) else {
        panic!("no lease");
    };
    lease.progress(5, now);
    assert_eq!(pool.totals().queued_tokens, 0);
}

#[test]
fn absurd_demands_do_not_overflow() {
    let now = Instant::now();
    let pool = pool(&[peer("10.0.0.1")], now);
    let demand = Demand {
        prompt_tokens: u64::MAX,
        output_tokens: u64::MAX,
        client_hash: 0,
    };
    let mut leases: Vec<_> = (0..100).map(|_| pool.pick(&demand, &[], now)).collect();
    for pick in &mut leases {
        if let Pick::Lease(lease) = pick {
            lease.progress(1 << 40, now);
        }
    }
    drop(leases);
    assert_eq!(pool.totals(), Totals::default());
}

#[test]
fn the_hook_is_called_once_a_lease_and_when_the_place_is_free() {
    let now = Instant::now();
    let slot: Arc<parking_lot::Mutex<Option<Arc<Peer>>>> = Arc::default();
    let seen: Arc<parking_lot::Mutex<Vec<(u32, u64)>>> = Arc::default();
    let (watched, log) = (Arc::clone(&slot), Arc::clone(&seen));
    let hook: ReleaseHook = Arc::new(move || {
        if let Some(peer) = &*watched.lock() {
            log.lock().push((peer.in_flight(), peer.queued_tokens()));
        }
    });
    let pool = Pool::new(&config(&[peer("10.0.0.1")]), hook, now);
    *slot.lock() = Some(find(&pool, "10.0.0.1"));
    let (first, second) = (lease(&pool, now), lease(&pool, now));
    drop(first);
    drop(second);
    assert_eq!(*seen.lock(), [(1, 1200), (0, 0)]);
}

#[test]
fn a_panic_on_the_way_gives_the_lease_back() {
    let now = Instant::now();
    let pool = pool(&[peer("10.0.0.1")], now);
    let taken = lease(&pool, now);
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
        let _taken = taken;
        panic!("on purpose");
    }));
    assert!(result.is_err());
    assert_eq!(pool.totals(), Totals::default());
}
