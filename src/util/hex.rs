//! Ids in hexadecimal.

/// Appends the last `digits` digits of `id`, in lower case.
pub fn push(id: u128, digits: u32, text: &mut String) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut all = [0; 32];
    for (pair, byte) in all.chunks_exact_mut(2).zip(id.to_be_bytes()) {
        pair.copy_from_slice(&[
            DIGITS[usize::from(byte >> 4)],
            DIGITS[usize::from(byte & 15)],
        ]);
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
