//! JSON walked over in one go: what is asked for is read, of all else it is only seen that it is JSON. Whatever is out of
//! the ordinary is left to `serde_json`.

use super::document::scan::{Odd, plain};

/// Levels that are read here; no answer has as many.
const MOST_DEEP: u32 = 96;
/// Digits of an integer that every float holds.
const MOST_DIGITS: usize = 15;

/// Where the walk is.
pub(super) struct Skim<'a> {
    text: &'a str,
    at: usize,
}

/// Walks over `text`, which is one object. `field` is given each name and takes the value behind it.
pub(super) fn object<'a>(
    text: &'a str,
    field: impl FnMut(&mut Skim<'a>, &'a str) -> Result<(), Odd>,
) -> Result<(), Odd> {
    let mut skim = Skim { text, at: 0 };
    skim.object(field)?;
    match skim.next() {
        Err(Odd) if skim.at == text.len() => Ok(()),
        _ => Err(Odd),
    }
}

/// Keeps what is said once; who says it twice is understood in different ways.
pub(super) fn once<T>(place: &mut Option<T>, value: T) -> Result<(), Odd> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(Odd),
    }
}

impl<'a> Skim<'a> {
    /// Takes an object, as [`object`] does.
    pub(super) fn object(
        &mut self,
        mut field: impl FnMut(&mut Self, &'a str) -> Result<(), Odd>,
    ) -> Result<(), Odd> {
        self.take(b'{')?;
        let mut first = self.next()?;
        if first == b'}' {
            return Ok(());
        }
        loop {
            if first != b'"' {
                return Err(Odd);
            }
            let name = self.rest_of_text()?;
            self.take(b':')?;
            field(self, name)?;
            match self.next()? {
                b',' => first = self.next()?,
                b'}' => return Ok(()),
                _ => return Err(Odd),
            }
        }
    }

    /// Takes an array, of which `item` takes each item.
    pub(super) fn array(
        &mut self,
        mut item: impl FnMut(&mut Self) -> Result<(), Odd>,
    ) -> Result<(), Odd> {
        self.take(b'[')?;
        if self.peek()? == b']' {
            return self.take(b']');
        }
        loop {
            item(self)?;
            match self.next()? {
                b',' => {}
                b']' => return Ok(()),
                _ => return Err(Odd),
            }
        }
    }

    /// Takes a text without escapes; `None` is `null`.
    pub(super) fn text(&mut self) -> Result<Option<&'a str>, Odd> {
        if self.null()? {
            return Ok(None);
        }
        self.take(b'"')?;
        self.rest_of_text().map(Some)
    }

    /// Takes an integer from 0; `None` is `null`.
    pub(super) fn count(&mut self) -> Result<Option<u64>, Odd> {
        if self.null()? {
            return Ok(None);
        }
        let rest = self.rest();
        let length = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let zero = rest.first() == Some(&b'0') && length > 1;
        let more = matches!(rest.get(length), Some(b'.' | b'e' | b'E'));
        if !(1..=MOST_DIGITS).contains(&length) || zero || more {
            return Err(Odd);
        }
        self.at += length;
        let add = |number: u64, digit: &u8| 10 * number + u64::from(digit - b'0');
        Ok(Some(rest[..length].iter().fold(0, add)))
    }

    /// Takes a `null`, if there is one.
    pub(super) fn null(&mut self) -> Result<bool, Odd> {
        let null = self.peek()? == b'n';
        if null {
            self.word("null")?;
        }
        Ok(null)
    }

    /// Takes any value.
    pub(super) fn skip(&mut self) -> Result<(), Odd> {
        self.skip_within(MOST_DEEP)
    }

    fn skip_within(&mut self, deep: u32) -> Result<(), Odd> {
        let inside = || deep.checked_sub(1).ok_or(Odd);
        match self.peek()? {
            b'"' => self.skip_text(),
            b'{' => {
                let inside = inside()?;
                self.object(|skim, _| skim.skip_within(inside))
            }
            b'[' => {
                let inside = inside()?;
                self.array(|skim| skim.skip_within(inside))
            }
            b't' => self.word("true"),
            b'f' => self.word("false"),
            b'n' => self.word("null"),
            _ => self.skip_number(),
        }
    }

    fn skip_text(&mut self) -> Result<(), Odd> {
        self.take(b'"')?;
        loop {
            let length = plain(self.rest())?;
            self.at += length + 1;
            if self.rest_from(self.at - 1).first() == Some(&b'"') {
                return Ok(());
            }
            match self.rest() {
                [b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', ..] => self.at += 1,
                [b'u', a, b, c, d, ..] if [a, b, c, d].iter().all(|it| it.is_ascii_hexdigit()) => {
                    self.at += 5;
                }
                _ => return Err(Odd),
            }
        }
    }

    fn skip_number(&mut self) -> Result<(), Odd> {
        if self.rest().first() == Some(&b'-') {
            self.at += 1;
        }
        match self.rest() {
            [b'0', ..] => self.at += 1,
            _ => self.digits()?,
        }
        if self.rest().first() == Some(&b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.rest().first() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.rest().first() {
                self.at += 1;
            }
            self.digits()?;
        }
        match self.rest().first() {
            // Behind a zero.
            Some(b'0'..=b'9') => Err(Odd),
            _ => Ok(()),
        }
    }

    fn digits(&mut self) -> Result<(), Odd> {
        let rest = self.rest();
        let length = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at += length;
        match length {
            0 => Err(Odd),
            _ => Ok(()),
        }
    }

    /// A text without escapes whose opening quote is taken.
    fn rest_of_text(&mut self) -> Result<&'a str, Odd> {
        let (start, length) = (self.at, plain(self.rest())?);
        self.at += length;
        self.take(b'"')?;
        self.text.get(start..start + length).ok_or(Odd)
    }

    fn word(&mut self, word: &str) -> Result<(), Odd> {
        if !self.rest().starts_with(word.as_bytes()) {
            return Err(Odd);
        }
        self.at += word.len();
        Ok(())
    }

    /// Takes this byte, which must be the next that is no space.
    fn take(&mut self, byte: u8) -> Result<(), Odd> {
        match self.next()? == byte {
            true => Ok(()),
            false => Err(Odd),
        }
    }

    /// Takes the next byte that is no space.
    fn next(&mut self) -> Result<u8, Odd> {
        let byte = self.peek()?;
        self.at += 1;
        Ok(byte)
    }

    /// Goes on to the next byte that is no space.
    fn peek(&mut self) -> Result<u8, Odd> {
        loop {
            let byte = *self.text.as_bytes().get(self.at).ok_or(Odd)?;
            if !matches!(byte, b' ' | b'\n' | b'\t' | b'\r') {
                return Ok(byte);
            }
            self.at += 1;
        }
    }

    fn rest(&self) -> &'a [u8] {
        self.rest_from(self.at)
    }

    fn rest_from(&self, at: usize) -> &'a [u8] {
        self.text.as_bytes().get(at..).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn whole(text: &str) -> Result<(), Odd> {
        object(text, |skim, _| skim.skip())
    }

    #[test]
    fn what_is_no_json_is_not_taken_for_it() {
        for value in [
            "",
            "01",
            "-",
            "1.",
            ".5",
            "1e",
            "1e+",
            "+1",
            "tru",
            "nul",
            "\"a",
            "\"\\x\"",
            "\"\\u12g4\"",
            "\"\t\"",
            "[1,]",
            "[,1]",
            "[1 2]",
            "{\"a\"}",
            "{\"a\":}",
            "{a:1}",
            "{\"a\":1,}",
            "1}",
            "NaN",
            "[",
        ] {
            assert!(whole(&format!("{{\"x\":{value}}}")).is_err(), "{value}");
        }
        for text in ["{", "{}x", "[]", "1", "{\"a\":1}}", ""] {
            assert!(whole(text).is_err(), "{text}");
        }
        let deep = format!("{{\"x\":{}{}}}", "[".repeat(5000), "]".repeat(5000));
        assert!(whole(&deep).is_err());
    }

    #[test]
    fn what_is_json_is_walked_over() {
        for value in [
            "0",
            "-0",
            "12",
            "-1.5e-7",
            "1E9",
            "true",
            "false",
            "null",
            "\"\"",
            "\"a\\n\\\"\\u00e4\\\\\"",
            " [ 1 , [ ] , { } ] ",
            "{\"a\" : {\"b\" : [ null ]}}",
        ] {
            assert!(
                whole(&format!(" {{ \"x\" : {value} }} \n")).is_ok(),
                "{value}"
            );
        }
    }

    proptest! {
        #[test]
        fn it_takes_nothing_that_a_json_reader_refuses(text in r#"\{("[a-c]{0,2}"|[\[\]{}:,"\\ntrue0-9eE+.-]|null|true| ){0,12}\}"#) {
            if whole(&text).is_ok() {
                prop_assert!(serde_json::from_str::<Value>(&text).is_ok() || text.contains(['e', 'E']), "{text}");
            }
        }
    }
}
