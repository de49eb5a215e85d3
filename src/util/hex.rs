//! Ids in hexadecimal.

/// The digits of each byte.
const PAIRS: [[u8; 2]; 256] = {
    let digits = *b"0123456789abcdef";
    let mut pairs = [[0; 2]; 256];
    let mut byte = 0;
    while byte < pairs.len() {
        pairs[byte] = [digits[byte >> 4], digits[byte & 15]];
        byte += 1;
    }
    pairs
};

/// Appends the last `digits` digits of `id`, in lower case.
pub fn push(id: u128, digits: u32, text: &mut String) {
    let mut all = [0; 32];
    for (pair, byte) in all.as_chunks_mut().0.iter_mut().zip(id.to_be_bytes()) {
        *pair = PAIRS[usize::from(byte)];
    }
    let skipped = all.len().saturating_sub(digits as usize);
    // Digits are text.
    text.push_str(std::str::from_utf8(&all[skipped..]).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn digits_are_those_that_the_standard_library_prints(id: u128) {
            let mut text = String::new();
            super::push(id, 32, &mut text);
            prop_assert_eq!(text, format!("{id:032x}"));
        }
    }
}
