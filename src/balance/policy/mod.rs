//! How one of several usable peers is chosen. One rule a file; all are pure picks over numbers handed in.

mod ip_hash;
mod least_requests;
mod least_tokens;
mod power_of_two;
mod random;
mod round_robin;

use std::fmt::Debug;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering::Relaxed};

use super::pool::Demand;
use crate::config::model::Balance;

/// A peer that could take the request.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a> {
    /// Which one, the same in every process and after every reload.
    pub id: u64,
    /// Share relative to the others, > 0, slow start applied.
    pub weight: f64,
    /// Requests in flight.
    pub in_flight: u32,
    /// Tokens charged and not yet drawn down.
    pub queued_tokens: u64,
    /// Standing in the smooth round robin, kept with the peer.
    pub turn: &'a AtomicI64,
    /// Place in the pool's list.
    pub(super) member: usize,
}

/// Turn of the [`FILLER`].
static NO_TURN: AtomicI64 = AtomicI64::new(0);

/// Stands in places that hold no candidate.
pub(super) const FILLER: Candidate<'static> = Candidate {
    id: 0,
    weight: 1.0,
    in_flight: 0,
    queued_tokens: 0,
    turn: &NO_TURN,
    member: 0,
};

impl Candidate<'_> {
    /// Tokens over weight if it took `demand` as well: the smaller, the sooner served.
    fn tokens_with(&self, demand: &Demand) -> f64 {
        let own = demand.prompt_tokens.saturating_add(demand.output_tokens);
        self.queued_tokens.saturating_add(own) as f64 / self.weight
    }

    /// Requests over weight if it took one more.
    fn requests_with(&self) -> f64 {
        (f64::from(self.in_flight) + 1.0) / self.weight
    }
}

/// A rule.
pub trait Policy: Debug + Send + Sync {
    /// Index of the chosen candidate; `None` only for an empty list.
    fn pick(&self, candidates: &[Candidate<'_>], demand: &Demand) -> Option<usize>;
}

/// The rule that the configuration names.
pub fn of(balance: Balance) -> Box<dyn Policy> {
    match balance {
        Balance::LeastTokens => Box::<least_tokens::LeastTokens>::default(),
        Balance::LeastRequests => Box::<least_requests::LeastRequests>::default(),
        Balance::RoundRobin => Box::new(round_robin::RoundRobin),
        Balance::Random => Box::new(random::Random),
        Balance::PowerOfTwo => Box::new(power_of_two::PowerOfTwo),
        Balance::IpHash => Box::new(ip_hash::IpHash),
    }
}

/// Gives equals their turns.
#[derive(Debug, Default)]
struct Rotor(AtomicUsize);

impl Rotor {
    /// Index of the least cost; of several with the same, the next in turn.
    fn least<C: PartialOrd>(
        &self,
        candidates: &[Candidate<'_>],
        cost: impl Fn(&Candidate<'_>) -> C,
    ) -> Option<usize> {
        let mut best = cost(candidates.first()?);
        let (mut first, mut equals) = (0, 1);
        for (index, candidate) in candidates.iter().enumerate().skip(1) {
            let cost = cost(candidate);
            if cost < best {
                (best, first, equals) = (cost, index, 1);
            } else if cost == best {
                equals += 1;
            }
        }
        if equals == 1 {
            return Some(first);
        }
        let nth = self.0.fetch_add(1, Relaxed) % equals;
        candidates
            .iter()
            .enumerate()
            .skip(first)
            .filter(|(_, candidate)| cost(candidate) == best)
            .map(|(index, _)| index)
            .nth(nth)
    }
}

/// A candidate drawn at random by weight, leaving out the one at `without`.
fn draw(candidates: &[Candidate<'_>], without: Option<usize>) -> Option<usize> {
    let open = || {
        candidates
            .iter()
            .enumerate()
            .filter(move |(index, _)| Some(*index) != without)
    };
    let total: f64 = open().map(|(_, candidate)| candidate.weight).sum();
    let mut point = fastrand::f64() * total;
    let mut last = None;
    for (index, candidate) in open() {
        last = Some(index);
        point -= candidate.weight;
        if point < 0.0 {
            break;
        }
    }
    last
}

#[cfg(test)]
mod tests;
