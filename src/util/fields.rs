//! Header fields of our own, on their way into an answer.

use std::fmt::{self, Write};
use std::ops::Range;

use super::decimal;

/// Fields with fixed names, in order; one that is given again keeps its place and takes the later value.
#[derive(Debug, Default)]
pub struct Fields {
    values: String,
    places: Vec<(&'static str, Range<usize>)>,
}

impl Fields {
    /// None yet, and room for what most answers have.
    pub fn with_room() -> Self {
        Self {
            values: String::with_capacity(256),
            places: Vec::with_capacity(16),
        }
    }

    /// Sets a field. A value that no header can have is left out with its name.
    pub fn set(&mut self, name: &'static str, value: &str) {
        let start = self.values.len();
        self.values.push_str(value);
        self.place(name, start);
    }

    /// `set` with what `value` prints.
    pub fn print(&mut self, name: &'static str, value: fmt::Arguments<'_>) {
        let start = self.values.len();
        // A string takes all that is written to it.
        let _ = self.values.write_fmt(value);
        self.place(name, start);
    }

    /// `set` with what `put` appends.
    pub fn with(&mut self, name: &'static str, put: impl FnOnce(&mut String)) {
        let start = self.values.len();
        put(&mut self.values);
        self.place(name, start);
    }

    /// `set` with a number.
    pub fn number(&mut self, name: &'static str, value: u64) {
        let start = self.values.len();
        decimal::push(value, &mut self.values);
        self.keep(name, start);
    }

    fn place(&mut self, name: &'static str, start: usize) {
        let plain = |byte: u8| byte == b'\t' || (byte >= b' ' && byte != 0x7f);
        // To the end, whatever is found: so many bytes are looked at at once.
        let value = &self.values.as_bytes()[start..];
        match value.iter().fold(true, |all, byte| all & plain(*byte)) {
            true => self.keep(name, start),
            false => self.values.truncate(start),
        }
    }

    fn keep(&mut self, name: &'static str, start: usize) {
        let range = start..self.values.len();
        match self.places.iter_mut().find(|(known, _)| *known == name) {
            Some(place) => place.1 = range,
            None => self.places.push((name, range)),
        }
    }

    /// Bytes that they take on the wire, roughly.
    pub fn size(&self) -> usize {
        self.values.len() + 32 * self.places.len()
    }

    /// Whether a field has this name, which is in lower case.
    pub fn has(&self, name: &str) -> bool {
        self.places.iter().any(|(known, _)| *known == name)
    }

    /// Names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.places
            .iter()
            .map(|(name, range)| (*name, &self.values[range.clone()]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_value_takes_the_place_of_an_earlier_one() {
        let mut fields = Fields::default();
        fields.set("x-cache-status", "MISS");
        fields.number("age", 0);
        fields.number("x-most", u64::MAX);
        fields.print("x-cache-status", format_args!("{}", "BYPASS"));
        assert_eq!(
            fields.iter().collect::<Vec<_>>(),
            [
                ("x-cache-status", "BYPASS"),
                ("age", "0"),
                ("x-most", "18446744073709551615")
            ]
        );
    }

    #[test]
    fn a_value_cannot_begin_a_line_of_its_own() {
        let mut fields = Fields::default();
        fields.set("x-a", "1\r\nx-b: 2");
        fields.set("x-c", "kept");
        assert_eq!(fields.iter().collect::<Vec<_>>(), [("x-c", "kept")]);
        assert!(!fields.has("x-a"));
    }
}
