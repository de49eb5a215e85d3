//! The peer that would be done first with all it has, this request included.

use super::{Candidate, Policy, Rotor};
use crate::balance::pool::Demand;

/// Least (queued + own prompt + own output) over weight; then fewest requests; then in turn.
///
/// The request itself is part of the sum: on an idle fleet of unequal peers it belongs on the fastest.
#[derive(Debug, Default)]
pub(super) struct LeastTokens(Rotor);

impl Policy for LeastTokens {
    fn pick(&self, candidates: &[Candidate<'_>], demand: &Demand) -> Option<usize> {
        self.0.least(candidates, |candidate| {
            (candidate.tokens_with(demand), candidate.requests_with())
        })
    }
}
