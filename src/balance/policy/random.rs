//! Any peer, the heavy ones more often.

use super::{Candidate, Policy, draw};
use crate::balance::pool::Demand;

/// Drawn by weight.
#[derive(Debug)]
pub(super) struct Random;

impl Policy for Random {
    fn pick(&self, candidates: &[Candidate<'_>], _: &Demand) -> Option<usize> {
        draw(candidates, None)
    }
}
