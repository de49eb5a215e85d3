//! Ids in hexadecimal.

/// Appends the last `digits` digits of `id`, in lower case.
pub fn push(id: u128, digits: u32, text: &mut String) {
    for place in (0..digits).rev() {
        let digit = (id >> (4 * place)) & 15;
        text.push(char::from(b"0123456789abcdef"[digit as usize]));
    }
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
