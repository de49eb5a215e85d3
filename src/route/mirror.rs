//! Which requests are copied.

use crate::config::model;

/// A pool that gets copies of a share of a route's requests.
#[derive(Debug, Clone, PartialEq)]
pub struct Mirror {
    /// Name of the pool.
    pub pool: String,
    share: f64,
}

impl Mirror {
    pub(super) fn new(conf: &model::Mirror) -> Self {
        Self {
            pool: conf.pool.clone(),
            share: conf.share,
        }
    }

    /// Whether a request is copied. `random` is even over all of `u64`: a random number for a share of the requests, a hash of
    /// the client for all requests of a share of the clients.
    pub fn takes(&self, random: u64) -> bool {
        // The upper 53 bits are what a double holds exactly: 0 to just below 1.
        const STEPS: f64 = (1u64 << 53) as f64;
        ((random >> 11) as f64) / STEPS < self.share
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::util::hash::mix;

    fn mirror(share: f64) -> Mirror {
        Mirror::new(&model::Mirror {
            pool: "canary".to_owned(),
            share,
        })
    }

    #[test]
    fn a_whole_share_takes_all_and_a_small_one_its_part() {
        assert!(mirror(1.0).takes(u64::MAX) && mirror(1.0).takes(0));
        assert!(mirror(1e-9).takes(0) && !mirror(0.999).takes(u64::MAX));
        let taken = (0..100_000).filter(|n| mirror(0.05).takes(mix(*n))).count();
        assert!((4_700..=5_300).contains(&taken), "{taken}");
    }

    #[test]
    fn a_larger_share_takes_all_that_a_smaller_one_takes() {
        for n in (0..1000).map(mix) {
            assert!(!mirror(0.1).takes(n) || mirror(0.2).takes(n));
        }
    }
}
