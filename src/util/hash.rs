//! Hashes that are the same in every process, so that several gateways agree without talking; and maps for the way of
//! every request, whose hashes nobody outside can foresee.

use std::collections::{HashMap, HashSet};

use dashmap::DashMap;
use foldhash::quality::RandomState;

/// A map that costs a lookup a fraction of the standard library's.
pub type Map<K, V> = HashMap<K, V, RandomState>;

/// The same without values.
pub type Set<K> = HashSet<K, RandomState>;

/// The same for many threads at once.
pub type SharedMap<K, V> = DashMap<K, V, RandomState>;

/// FNV-1a of `bytes`, finished with [`mix`]. Not for keys an attacker may choose.
pub fn stable(bytes: &[u8]) -> u64 {
    let fnv = bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    mix(fnv)
}

/// Spreads every bit of `x` over the whole word (SplitMix64's finaliser); one to one.
pub fn mix(x: u64) -> u64 {
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_never_changes_between_versions() {
        assert_eq!(stable(b""), mix(0xcbf2_9ce4_8422_2325));
        assert_eq!(stable(b"a"), mix(0xaf63_dc4c_8601_ec8c));
    }

    #[test]
    fn neighbours_differ_in_about_half_their_bits() {
        let mean = (0..1000u64)
            .map(|n| (mix(n) ^ mix(n + 1)).count_ones())
            .sum::<u32>()
            / 1000;
        assert!((28..=36).contains(&mean), "{mean}");
    }
}
