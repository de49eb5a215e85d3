//! The better of two: near the best choice, and safe where several gateways cannot see each other's load.

use super::{Candidate, Policy, draw};
use crate::balance::pool::Demand;

/// Two different peers drawn by weight; of these the one with fewer tokens over weight, then fewer requests, then the
/// one drawn first.
#[derive(Debug)]
pub(super) struct PowerOfTwo;

impl Policy for PowerOfTwo {
    fn pick(&self, candidates: &[Candidate<'_>], demand: &Demand) -> Option<usize> {
        let first = draw(candidates, None)?;
        let Some(second) = draw(candidates, Some(first)) else {
            return Some(first);
        };
        let load = |index: usize| {
            let candidate = &candidates[index];
            (candidate.tokens_with(demand), candidate.requests_with())
        };
        Some(if load(second) < load(first) {
            second
        } else {
            first
        })
    }
}
