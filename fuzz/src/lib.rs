//! What the targets share.

/// Splits the seed of a target's own draws off its input.
pub fn seeded(input: &[u8]) -> Option<(fastrand::Rng, &[u8])> {
    let (seed, rest) = input.split_first_chunk()?;
    Some((fastrand::Rng::with_seed(u64::from_le_bytes(*seed)), rest))
}
