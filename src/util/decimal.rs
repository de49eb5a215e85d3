//! Numbers in decimal.

/// Appends the digits of `number`.
pub fn push(number: u64, text: &mut String) {
    text.push_str(itoa::Buffer::new().format(number));
}
