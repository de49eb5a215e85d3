use super::*;
use proptest::prelude::*;

/// A fleet to pick from: every pick stays in flight.
struct Fleet {
    weights: Vec<f64>,
    in_flight: Vec<u32>,
    tokens: Vec<u64>,
    turns: Vec<AtomicI64>,
}

impl Fleet {
    fn of(weights: &[f64]) -> Self {
        Self {
            weights: weights.to_vec(),
            in_flight: vec![0; weights.len()],
            tokens: vec![0; weights.len()],
            turns: weights.iter().map(|_| AtomicI64::new(0)).collect(),
        }
    }

    fn candidates(&self) -> Vec<Candidate<'_>> {
        (0..self.weights.len())
            .map(|n| Candidate {
                id: crate::util::hash::mix(n as u64 + 1),
                weight: self.weights[n],
                in_flight: self.in_flight[n],
                queued_tokens: self.tokens[n],
                turn: &self.turns[n],
                member: n,
            })
            .collect()
    }

    fn pick(&mut self, policy: &dyn Policy, demand: Demand) -> usize {
        let chosen = policy.pick(&self.candidates(), &demand).unwrap();
        self.in_flight[chosen] += 1;
        self.tokens[chosen] += demand.prompt_tokens + demand.output_tokens;
        chosen
    }
}

fn demand(n: u64) -> Demand {
    Demand {
        prompt_tokens: 100,
        output_tokens: 50,
        client_hash: n,
    }
}

const ALL: [Balance; 6] = [
    Balance::LeastTokens,
    Balance::LeastRequests,
    Balance::RoundRobin,
    Balance::Random,
    Balance::PowerOfTwo,
    Balance::IpHash,
];

#[test]
fn round_robin_gives_nginx_its_sequence() {
    let mut fleet = Fleet::of(&[5.0, 1.0, 1.0]);
    let policy = of(Balance::RoundRobin);
    let order: String = (0..14)
        .map(|n| ['a', 'b', 'c'][fleet.pick(&*policy, demand(n))])
        .collect();
    assert_eq!(order, "aabacaaaabacaa");
}

#[test]
fn every_policy_honours_weight_within_a_tenth() {
    fastrand::seed(7);
    for balance in ALL {
        let mut fleet = Fleet::of(&[1.0, 2.0, 3.0, 4.0]);
        let policy = of(balance);
        for n in 0..10_000 {
            fleet.pick(&*policy, demand(n));
        }
        for (weight, taken) in fleet.weights.iter().zip(&fleet.in_flight) {
            let share = f64::from(*taken) / (1000.0 * weight);
            assert!(
                (0.9..1.1).contains(&share),
                "{balance:?}: {:?}",
                fleet.in_flight
            );
        }
    }
}

#[test]
fn a_burst_at_one_instant_is_spread_and_not_herded() {
    for balance in [
        Balance::LeastTokens,
        Balance::LeastRequests,
        Balance::RoundRobin,
    ] {
        let mut fleet = Fleet::of(&[1.0; 8]);
        let policy = of(balance);
        for n in 0..1000 {
            fleet.pick(&*policy, demand(n));
        }
        assert_eq!(fleet.in_flight, [125; 8], "{balance:?}");
    }
}

#[test]
fn least_tokens_sees_work_where_least_requests_sees_numbers() {
    let mut fleet = Fleet::of(&[1.0, 1.0]);
    fleet.in_flight = vec![1, 5];
    fleet.tokens = vec![20_000, 500];
    assert_eq!(fleet.pick(&*of(Balance::LeastTokens), demand(0)), 1);
    assert_eq!(fleet.pick(&*of(Balance::LeastRequests), demand(0)), 0);
}

#[test]
fn an_idle_fleet_of_unequals_serves_from_the_fastest() {
    let mut fleet = Fleet::of(&[1.0, 4.0, 2.0]);
    assert_eq!(fleet.pick(&*of(Balance::LeastTokens), demand(0)), 1);
}

#[test]
fn equals_take_turns() {
    let policy = of(Balance::LeastTokens);
    let chosen: Vec<usize> = (0..6)
        .map(|n| Fleet::of(&[1.0; 3]).pick(&*policy, demand(n)))
        .collect();
    assert_eq!(chosen, [0, 1, 2, 0, 1, 2]);
}

#[test]
fn equal_tokens_go_to_fewest_requests() {
    let mut fleet = Fleet::of(&[1.0, 1.0]);
    fleet.tokens = vec![500, 500];
    fleet.in_flight = vec![4, 2];
    for _ in 0..4 {
        let candidates = fleet.candidates();
        assert_eq!(
            of(Balance::LeastTokens).pick(&candidates, &demand(0)),
            Some(1)
        );
    }
}

#[test]
fn power_of_two_avoids_the_loaded_one() {
    fastrand::seed(3);
    let mut fleet = Fleet::of(&[1.0, 1.0]);
    fleet.tokens = vec![10_000, 0];
    for n in 0..10 {
        assert_eq!(fleet.pick(&*of(Balance::PowerOfTwo), demand(n)), 1);
    }
}

#[test]
fn a_client_keeps_its_peer_and_a_lost_peer_moves_only_its_own() {
    let fleet = Fleet::of(&[1.0, 2.0, 1.0, 3.0]);
    let policy = of(Balance::IpHash);
    let all = fleet.candidates();
    let without: Vec<_> = all.iter().copied().filter(|c| c.member != 1).collect();
    for client in 0..2000 {
        let before = all[policy.pick(&all, &demand(client)).unwrap()].member;
        assert_eq!(
            all[policy.pick(&all, &demand(client)).unwrap()].member,
            before
        );
        let after = without[policy.pick(&without, &demand(client)).unwrap()].member;
        assert!(before == 1 || after == before);
    }
}

proptest! {
    #[test]
    fn every_policy_chooses_one_of_the_candidates(
        peers in proptest::collection::vec((0.001f64..1000.0, 0u32..100, 0u64..1 << 40), 0..40),
        tokens in 0u64..1 << 32, client in any::<u64>(), seed in any::<u64>(),
    ) {
        fastrand::seed(seed);
        let mut fleet = Fleet::of(&peers.iter().map(|p| p.0).collect::<Vec<_>>());
        fleet.in_flight = peers.iter().map(|p| p.1).collect();
        fleet.tokens = peers.iter().map(|p| p.2).collect();
        let demand = Demand { prompt_tokens: tokens, output_tokens: 1, client_hash: client };
        for balance in ALL {
            let chosen = of(balance).pick(&fleet.candidates(), &demand);
            prop_assert_eq!(chosen.is_none(), peers.is_empty());
            prop_assert!(chosen.is_none_or(|index| index < peers.len()));
        }
    }

    #[test]
    fn round_robin_standings_always_sum_to_zero(
        weights in proptest::collection::vec(1u32..50, 1..12), picks in 1u64..300,
    ) {
        let mut fleet = Fleet::of(&weights.iter().map(|w| f64::from(*w)).collect::<Vec<_>>());
        let policy = of(Balance::RoundRobin);
        for n in 0..picks {
            fleet.pick(&*policy, demand(n));
        }
        prop_assert_eq!(fleet.turns.iter().map(|turn| turn.load(Relaxed)).sum::<i64>(), 0);
    }
}
