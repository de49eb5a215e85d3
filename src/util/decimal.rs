//! Numbers in decimal.

/// Appends the digits of `number`.
pub fn push(number: u64, text: &mut String) {
    if number < 10 {
        return text.push(char::from(b'0' + number as u8));
    }
    // The largest has 20.
    let mut digits = [0_u8; 20];
    let mut at = digits.len();
    let mut left = number;
    while left > 0 {
        at -= 1;
        digits[at] = b'0' + (left % 10) as u8;
        left /= 10;
    }
    // Digits are text.
    text.push_str(std::str::from_utf8(&digits[at..]).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn digits_are_those_that_the_standard_library_prints(number: u64, shift in 0_u32..64) {
            let number = number >> shift;
            let mut text = String::new();
            super::push(number, &mut text);
            prop_assert_eq!(text, number.to_string());
        }
    }
}
