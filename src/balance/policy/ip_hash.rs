//! The same client to the same peer.

use super::{Candidate, Policy};
use crate::balance::pool::Demand;
use crate::util::hash::mix;

/// Weighted rendezvous hashing: each peer draws a number from (client, peer), the least over weight wins. A peer that
/// leaves moves only its own clients, and a new one takes only its share; no table, no ring.
#[derive(Debug)]
pub(super) struct IpHash;

impl Policy for IpHash {
    fn pick(&self, candidates: &[Candidate<'_>], demand: &Demand) -> Option<usize> {
        let drawn = |candidate: &Candidate<'_>| {
            let hash = mix(mix(demand.client_hash) ^ candidate.id);
            // In (0, 1): the upper 53 bits are what an f64 holds exactly.
            let uniform = ((hash >> 11) as f64 + 0.5) / (1u64 << 53) as f64;
            -uniform.ln() / candidate.weight
        };
        let mut best: Option<(usize, f64)> = None;
        for (index, candidate) in candidates.iter().enumerate() {
            let drawn = drawn(candidate);
            if best.is_none_or(|(_, least)| drawn < least) {
                best = Some((index, drawn));
            }
        }
        best.map(|(index, _)| index)
    }
}
