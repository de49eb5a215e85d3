use super::*;
use proptest::prelude::*;

#[derive(Debug, Clone)]
enum Step {
    Pick { exclude: bool, tokens: u64 },
    FirstByte(usize),
    Progress(usize, u64),
    Report(usize, u8),
    Drop(usize),
    Probe(usize, bool),
    Reload(u8),
    Resolve(u8),
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (any::<bool>(), 0u64..5000).prop_map(|(exclude, tokens)| Step::Pick { exclude, tokens }),
        2 => any::<usize>().prop_map(Step::FirstByte),
        3 => (any::<usize>(), 0u64..5000).prop_map(|(n, tokens)| Step::Progress(n, tokens)),
        4 => (any::<usize>(), 0u8..6).prop_map(|(n, outcome)| Step::Report(n, outcome)),
        4 => any::<usize>().prop_map(Step::Drop),
        2 => (any::<usize>(), any::<bool>()).prop_map(|(n, passed)| Step::Probe(n, passed)),
        1 => any::<u8>().prop_map(Step::Reload),
        1 => any::<u8>().prop_map(Step::Resolve),
        1 => (0u64..40).prop_map(Step::Wait),
    ]
}

/// One of 256 configurations over the same few peers.
fn some_config(bits: u8) -> model::Pool {
    let set = |bit: u8| bits & 1 << bit != 0;
    let mut peers = vec![capped("10.0.0.1", 2)];
    if set(0) {
        peers.push(peer("10.0.0.2"));
    }
    if set(1) {
        peers.push(backup("10.0.0.3"));
    }
    if set(2) {
        peers.push(capped("gpu.example", 1));
    }
    if set(3) {
        peers[0].weight = 3.0;
        peers[0].max_requests = Some(4);
    }
    let mut config = config(&peers);
    config.balance = [
        model::Balance::LeastTokens,
        model::Balance::RoundRobin,
        model::Balance::PowerOfTwo,
        model::Balance::IpHash,
    ][usize::from(bits >> 4 & 3)];
    if set(6) {
        config.health = None;
    }
    config
}

struct World {
    pool: Pool,
    /// Kept, since requests may hold an older configuration.
    older: Vec<Pool>,
    leases: Vec<Lease>,
    /// Every peer that was ever leased.
    seen: Vec<Arc<Peer>>,
    now: Instant,
}

impl World {
    fn new(bits: u8) -> Self {
        let now = Instant::now();
        Self {
            pool: Pool::new(&some_config(bits), silent(), now),
            older: Vec::new(),
            leases: Vec::new(),
            seen: Vec::new(),
            now,
        }
    }

    fn lease(&mut self, n: usize) -> Option<&mut Lease> {
        let count = self.leases.len();
        (count > 0).then(|| &mut self.leases[n % count])
    }

    fn pick(&mut self, exclude: bool, tokens: u64) {
        let demand = Demand {
            prompt_tokens: tokens,
            output_tokens: tokens / 3,
            client_hash: tokens,
        };
        let pools = self.older.last().filter(|_| tokens.is_multiple_of(7));
        let pool = pools.unwrap_or(&self.pool);
        let excluded = if exclude {
            vec![addr("10.0.0.1")]
        } else {
            vec![]
        };
        match pool.pick(&demand, &excluded, self.now) {
            Pick::Lease(lease) => {
                assert!(!excluded.contains(&lease.addr()));
                let peer = Arc::clone(lease.peer());
                let max = peer.view(self.now).max_requests.unwrap_or(u32::MAX);
                assert!(peer.in_flight() <= max);
                self.seen.push(peer);
                self.leases.push(lease);
            }
            Pick::Busy => assert!(pool.totals().in_flight > 0, "nobody would wake who waits"),
            Pick::Exhausted => assert!(exclude),
            Pick::Down { retry_after, .. } => assert!(retry_after >= S),
        }
    }

    fn take(&mut self, step: Step) {
        let now = self.now;
        match step {
            Step::Pick { exclude, tokens } => self.pick(exclude, tokens),
            Step::FirstByte(n) => {
                if let Some(lease) = self.lease(n) {
                    let _ = lease.first_byte(now);
                }
            }
            Step::Progress(n, tokens) => {
                if let Some(lease) = self.lease(n) {
                    lease.progress(tokens, now);
                }
            }
            Step::Report(n, outcome) => {
                let outcome = match outcome {
                    0..3 => Outcome::Failed(Failure::Reset),
                    3 => paused(20 * S),
                    _ => Outcome::Succeeded,
                };
                let count = self.leases.len();
                if count > 0 {
                    let _ = self.pool.report(&mut self.leases[n % count], outcome, now);
                }
            }
            Step::Drop(n) => {
                if !self.leases.is_empty() {
                    drop(self.leases.swap_remove(n % self.leases.len()));
                }
            }
            Step::Probe(n, passed) => {
                let peers = self.pool.peers();
                let probe = if passed { Probe::Passed } else { Probe::Failed };
                if !peers.is_empty() {
                    let _ = self.pool.probed(&peers[n % peers.len()], probe, now);
                }
            }
            Step::Reload(bits) => {
                let new = Pool::reconfigured(&self.pool, &some_config(bits), None, now);
                self.older.push(std::mem::replace(&mut self.pool, new));
            }
            Step::Resolve(bits) => {
                let addrs: Vec<SocketAddr> = (0..3)
                    .filter(|bit| bits & 1 << bit != 0)
                    .map(|bit| addr(&format!("10.0.1.{bit}")))
                    .collect();
                let _ = self.pool.set_resolved("gpu.example:8000", &addrs, now);
            }
            Step::Wait(seconds) => self.now += Duration::from_secs(seconds),
        }
    }

    /// What a peer says it carries is what the leases on it say.
    fn check(&self) {
        for peer in &self.seen {
            let on_it = || {
                self.leases
                    .iter()
                    .filter(|lease| Arc::ptr_eq(lease.peer().live(), peer.live()))
            };
            assert_eq!(peer.in_flight() as usize, on_it().count());
            assert_eq!(
                peer.queued_tokens(),
                on_it().map(Lease::tokens).sum::<u64>()
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn whatever_happens_every_count_is_exact_and_ends_at_zero(
        bits in any::<u8>(), seed in any::<u64>(), steps in proptest::collection::vec(step(), 0..120),
    ) {
        fastrand::seed(seed);
        let mut world = World::new(bits);
        for step in steps {
            world.take(step);
            world.check();
        }
        world.leases.clear();
        world.check();
        prop_assert_eq!(world.pool.totals(), Totals::default());
        prop_assert!(world.pool.views(world.now).iter().all(|view| !view.draining));
    }

    #[test]
    fn failed_requests_alone_never_leave_a_pool_without_a_peer(
        steps in proptest::collection::vec((0u8..6, any::<usize>(), 0u64..15), 0..150), seed in any::<u64>(),
        max_ejected in 0.0f64..=1.0,
    ) {
        fastrand::seed(seed);
        let mut now = Instant::now();
        let mut config = config(&[peer("10.0.0.1"), peer("10.0.0.2"), peer("10.0.0.3"), backup("10.0.0.9")]);
        config.eject.max_ejected = max_ejected;
        let pool = Pool::new(&config, silent(), now);
        let mut leases: Vec<Lease> = Vec::new();
        for (what, n, seconds) in steps {
            now += Duration::from_secs(seconds);
            let picked = lease(&pool, now);
            leases.push(picked);
            let index = n % leases.len();
            match what {
                0..4 => { let _ = pool.report(&mut leases[index], Outcome::Failed(Failure::Reset), now); }
                4 => { let _ = leases[index].first_byte(now); }
                _ => {
                    let guess = Pause { status: 429, time: None };
                    let _ = pool.report(&mut leases[index], Outcome::Paused(guess), now);
                }
            }
            let views = pool.views(now);
            for (backup, all) in [(false, 3.0), (true, 1.0)] {
                let is_out = |view: &&PeerView| matches!(view.state, PeerState::Ejected | PeerState::HalfOpen);
                let out = views.iter().filter(|view| view.backup == backup).filter(is_out).count();
                prop_assert!(out as f64 <= (max_ejected * all).ceil(), "{out} of {all} are out");
            }
            if n % 2 == 0 {
                drop(leases.swap_remove(index));
            }
        }
    }
}
