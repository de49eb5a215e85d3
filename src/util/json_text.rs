//! Where a JSON text has a byte that means something, looked for eight bytes at a time.

/// One in each byte.
const EACH: u64 = u64::MAX / 0xff;

/// Bytes before the first control, quote or backslash; `None` where there is none.
#[must_use]
pub fn first_mark(text: &[u8]) -> Option<usize> {
    let (words, rest) = text.as_chunks();
    for (n, word) in words.iter().enumerate() {
        let marks = marks(u64::from_le_bytes(*word));
        if marks != 0 {
            return Some(8 * n + marks.trailing_zeros() as usize / 8);
        }
    }
    let odd = |byte: &u8| matches!(byte, ..0x20 | b'"' | b'\\');
    let behind = rest.iter().position(odd)?;
    Some(text.len() - rest.len() + behind)
}

/// The highest bit of the lowest byte that is one of them; what stands above that bit means nothing.
fn marks(word: u64) -> u64 {
    let less = |word: u64, bound: u64| word.wrapping_sub(EACH * bound) & !word & (EACH << 7);
    let is = |byte: u8| less(word ^ (EACH * u64::from(byte)), 1);
    less(word, 0x20) | is(b'"') | is(b'\\')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_first_is_the_one_that_is_found_byte_by_byte(
            text in prop::collection::vec(prop_oneof![8 => any::<u8>(), 8 => 0x21u8..0xff, 1 => Just(b'"'), 1 => Just(b'\\'), 1 => 0x1eu8..0x22], 0..40),
        ) {
            let slow = text.iter().position(|byte| *byte < 0x20 || b"\"\\".contains(byte));
            prop_assert_eq!(first_mark(&text), slow);
        }
    }
}
