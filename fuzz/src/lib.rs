//! The rooms under test, taken in by their path: they need neither the proxy engine nor the embedder, without which the
//! targets build in a minute.

#![allow(dead_code, reason = "parts of the rooms are for others")]

#[path = "../../src/cache/key.rs"]
pub mod cache_key;
#[path = "../../src/config/mod.rs"]
pub mod config;
#[path = "../../src/llm/mod.rs"]
pub mod llm;
#[path = "../../src/util/mod.rs"]
pub mod util;

/// Splits the seed of a target's own draws off its input.
pub fn seeded(input: &[u8]) -> Option<(fastrand::Rng, &[u8])> {
    let (seed, rest) = input.split_first_chunk()?;
    Some((fastrand::Rng::with_seed(u64::from_le_bytes(*seed)), rest))
}
