//! Tokens and words of the simulation.
//!
//! The counting rule is fixed and simple: **four bytes of rendered text are one token**, rounded up. Generated text
//! keeps to it exactly (every token is four ASCII bytes), so an answer that comes back as part of the next prompt has
//! the same token boundaries and finds its blocks in the prefix cache.

/// Bytes of text that make one token.
pub const TOKEN_BYTES: usize = 4;

/// Words of one token each, without the space that follows.
const SHORT: [&str; 32] = [
    "the", "and", "for", "our", "sea", "sun", "fog", "oak", "elm", "ash", "bay", "cup", "day",
    "ear", "fig", "gem", "hat", "ice", "jar", "key", "log", "map", "net", "owl", "pen", "red",
    "sky", "tin", "urn", "van", "web", "yak",
];

/// Words of two tokens each, without the space that follows.
const LONG: [&str; 16] = [
    "harvest", "journey", "lantern", "mineral", "network", "orchard", "passage", "quarter",
    "railway", "shelter", "texture", "uniform", "village", "weather", "crystal", "balance",
];

/// Tokens in a text, by the rule of this module.
pub fn count(text: &str) -> u32 {
    u32::try_from(text.len().div_ceil(TOKEN_BYTES)).unwrap_or(u32::MAX)
}

/// A stable 64-bit hash of bytes after an earlier hash; the same in every process and on every machine.
pub fn hash(earlier: u64, bytes: &[u8]) -> u64 {
    let mut state = earlier ^ 0x9e37_79b9_7f4a_7c15 ^ (bytes.len() as u64);
    let mut words = bytes.chunks_exact(8);
    for word in &mut words {
        let mut eight = [0_u8; 8];
        eight.copy_from_slice(word);
        state = mix(state ^ u64::from_le_bytes(eight));
    }
    let mut last = [0_u8; 8];
    last[..words.remainder().len()].copy_from_slice(words.remainder());
    mix(state ^ u64::from_le_bytes(last))
}

fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// Chained hashes of the whole blocks of a text: equal hashes mean an equal text up to there.
pub fn blocks(text: &str, tokens_per_block: u32) -> Vec<u64> {
    let mut chain = 0;
    let block_bytes = tokens_per_block as usize * TOKEN_BYTES;
    let whole = text.as_bytes().chunks_exact(block_bytes);
    whole
        .map(|block| {
            chain = hash(chain, block);
            chain
        })
        .collect()
}

/// Words for exactly `tokens` tokens, decided by the seed alone. Plain ASCII: letters, spaces and a closing full stop.
pub fn words(seed: u64, tokens: u32) -> String {
    let target = tokens as usize * TOKEN_BYTES;
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut text = String::with_capacity(target);
    while text.len() < target {
        let two_tokens = target - text.len() >= 2 * TOKEN_BYTES && rng.u8(..4) == 0;
        text.push_str(if two_tokens {
            LONG[rng.usize(..LONG.len())]
        } else {
            SHORT[rng.usize(..SHORT.len())]
        });
        text.push(' ');
    }
    if text.pop().is_some() {
        text.push('.');
    }
    text
}

/// An output length for a seed: exponential about a mean of 128 tokens, between 8 and 1,024.
pub fn natural_length(seed: u64) -> u32 {
    let uniform = fastrand::Rng::with_seed(seed ^ 0x006c_656e_6774_6800).f64();
    let drawn = -128.0 * (1.0 - uniform).ln();
    drawn.clamp(8.0, 1024.0) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn four_bytes_are_a_token_and_a_rest_counts_as_one() {
        assert_eq!(
            [count(""), count("a"), count("abcd"), count("abcde")],
            [0, 1, 1, 2]
        );
    }

    #[test]
    fn the_mean_natural_length_is_near_its_stated_mean() {
        let total: u64 = (0..20_000_u64)
            .map(|i| u64::from(natural_length(hash(1, &i.to_le_bytes()))))
            .sum();
        let mean = total as f64 / 20_000.0;
        assert!((120.0..136.0).contains(&mean), "{mean}");
    }

    proptest! {
        #[test]
        fn words_have_exactly_the_asked_tokens_and_only_plain_bytes(seed: u64, tokens in 0_u32..600) {
            let text = words(seed, tokens);
            prop_assert_eq!(text.len(), tokens as usize * TOKEN_BYTES);
            prop_assert_eq!(count(&text), tokens);
            prop_assert!(text.bytes().all(|b| b.is_ascii_lowercase() || b == b' ' || b == b'.'));
            prop_assert_eq!(&text, &words(seed, tokens));
        }

        #[test]
        fn block_hashes_agree_exactly_as_far_as_the_texts_do(a in "[a-c]{0,200}", b in "[a-c]{0,200}") {
            let (left, right) = (blocks(&a, 2), blocks(&b, 2));
            let same_bytes = a.bytes().zip(b.bytes()).take_while(|(x, y)| x == y).count();
            let same_blocks = left.iter().zip(&right).take_while(|(x, y)| x == y).count();
            prop_assert_eq!(same_blocks, (same_bytes / 8).min(left.len()).min(right.len()));
        }
    }
}
