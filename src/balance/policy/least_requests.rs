//! The peer with the fewest requests.

use super::{Candidate, Policy, Rotor};
use crate::balance::pool::Demand;

/// Least (in flight + 1) over weight; then in turn.
#[derive(Debug, Default)]
pub(super) struct LeastRequests(Rotor);

impl Policy for LeastRequests {
    fn pick(&self, candidates: &[Candidate<'_>], _: &Demand) -> Option<usize> {
        self.0
            .least(candidates, |candidate| candidate.requests_with())
    }
}
