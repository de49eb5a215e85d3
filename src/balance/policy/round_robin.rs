//! Each in its turn, the heavy ones more often.

use std::sync::atomic::Ordering::Relaxed;

use super::{Candidate, Policy};
use crate::balance::pool::Demand;

/// Smooth weighted round robin, in nginx's order: every standing grows by its weight, the highest is chosen and pays
/// what all grew by. Weights 5, 1, 1 give a a b a c a a.
///
/// Standings are atomics kept with the peers. Threads that pick at once may swap places in the order; the shares stay,
/// since what one pick adds it also takes.
#[derive(Debug)]
pub(super) struct RoundRobin;

/// Standings are whole numbers of thousandths.
const SCALE: f64 = 1000.0;

impl Policy for RoundRobin {
    fn pick(&self, candidates: &[Candidate<'_>], _: &Demand) -> Option<usize> {
        let mut total = 0;
        let mut best: Option<(usize, i64)> = None;
        for (index, candidate) in candidates.iter().enumerate() {
            let weight = ((candidate.weight * SCALE).round() as i64).clamp(1, 1 << 40);
            total += weight;
            let standing = candidate.turn.fetch_add(weight, Relaxed) + weight;
            if best.is_none_or(|(_, highest)| standing > highest) {
                best = Some((index, standing));
            }
        }
        let (chosen, _) = best?;
        candidates[chosen].turn.fetch_sub(total, Relaxed);
        Some(chosen)
    }
}
