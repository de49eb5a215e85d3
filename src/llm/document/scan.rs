//! The JSON that nearly everybody sends, read in one walk over its bytes. Whatever is out of the ordinary is left to
//! `serde_json`, which decides whether it is JSON and says what is wrong with it.

use serde::de::DeserializeSeed;

use super::build::{Builder, Value};
use super::{NONE, Span, Token};
use crate::util::json_text::first_mark;

/// Levels that are read here; no request has as many.
const MOST_DEEP: u32 = 96;
/// Bytes of a text that are looked at in words; most names end before.
const SHORT: usize = 24;

/// Not read here. What the builder holds is worth nothing then.
#[derive(Debug)]
pub(in crate::llm) struct Odd;

/// Reads all of `text`, which is the builder's body.
pub(super) fn read<'b>(text: &'b str, builder: &mut Builder<'b>) -> Result<(), Odd> {
    let mut scan = Scan {
        text,
        bytes: text.as_bytes(),
        at: 0,
        builder,
    };
    let first = scan.next()?;
    scan.value(first, MOST_DEEP)?;
    match scan.next() {
        Err(Odd) if scan.at == text.len() => Ok(()),
        _ => Err(Odd),
    }
}

/// How many bytes there are before the next quote or backslash; none of them may be a control.
pub(in crate::llm) fn plain(rest: &[u8]) -> Result<usize, Odd> {
    let length = match first_mark(&rest[..rest.len().min(SHORT)]) {
        Some(length) => length,
        None => {
            let long = rest.get(SHORT..).ok_or(Odd)?;
            let more = memchr::memchr2(b'"', b'\\', long).ok_or(Odd)?;
            // To the end, whatever is found: so many bytes are looked at at once.
            let least = long[..more]
                .iter()
                .fold(u8::MAX, |least, byte| least.min(*byte));
            if least < 0x20 {
                return Err(Odd);
            }
            SHORT + more
        }
    };
    match rest[length] {
        b'"' | b'\\' => Ok(length),
        _ => Err(Odd),
    }
}

struct Scan<'a, 'b> {
    text: &'b str,
    bytes: &'b [u8],
    at: usize,
    builder: &'a mut Builder<'b>,
}

impl<'b> Scan<'_, 'b> {
    /// Takes the next byte that is no space.
    fn next(&mut self) -> Result<u8, Odd> {
        loop {
            let byte = *self.bytes.get(self.at).ok_or(Odd)?;
            self.at += 1;
            if !matches!(byte, b' ' | b'\n' | b'\t' | b'\r') {
                return Ok(byte);
            }
        }
    }

    fn push(&mut self, token: Token) -> Result<u32, Odd> {
        self.builder.put(token).ok_or(Odd)
    }

    /// Reads a value that begins with `first`, which is taken.
    fn value(&mut self, first: u8, deep: u32) -> Result<(), Odd> {
        match first {
            b'"' => {
                let span = self.text()?;
                self.push(Token::Text(span)).map(drop)
            }
            b'{' => self.object(deep.checked_sub(1).ok_or(Odd)?),
            b'[' => self.array(deep.checked_sub(1).ok_or(Odd)?),
            b'-' | b'0'..=b'9' => self.number(),
            b't' => self.word(b"rue", Token::Bool(true)),
            b'f' => self.word(b"alse", Token::Bool(false)),
            b'n' => self.word(b"ull", Token::Null),
            _ => Err(Odd),
        }
    }

    fn word(&mut self, rest: &[u8], token: Token) -> Result<(), Odd> {
        if !self.bytes[self.at..].starts_with(rest) {
            return Err(Odd);
        }
        self.at += rest.len();
        self.push(token).map(drop)
    }

    fn array(&mut self, deep: u32) -> Result<(), Odd> {
        let at = self.push(Token::Null)?;
        let mut items = 0;
        let mut first = self.next()?;
        while !(first == b']' && items == 0) {
            self.value(first, deep)?;
            items += 1;
            match self.next()? {
                b',' => first = self.next()?,
                b']' => break,
                _ => return Err(Odd),
            }
        }
        let end = self.builder.end().ok_or(Odd)?;
        self.builder.fill(at, Token::Array { items, end });
        Ok(())
    }

    fn object(&mut self, deep: u32) -> Result<(), Odd> {
        let at = self.push(Token::Null)?;
        let from = self.builder.names();
        let mut first = self.next()?;
        let mut any = false;
        while any || first != b'}' {
            if first != b'"' {
                return Err(Odd);
            }
            any = true;
            let text = self.text()?;
            let name = self.push(Token::Name { text, next: NONE })?;
            self.builder.name(name);
            if self.next()? != b':' {
                return Err(Odd);
            }
            let value = self.next()?;
            self.value(value, deep)?;
            match self.next()? {
                b',' => first = self.next()?,
                b'}' => break,
                _ => return Err(Odd),
            }
        }
        let end = self.builder.end().ok_or(Odd)?;
        let (first, fields) = self.builder.link(from);
        self.builder.fill(at, Token::Object { fields, first, end });
        Ok(())
    }

    fn number(&mut self) -> Result<(), Odd> {
        let start = self.at - 1;
        let rest = &self.bytes[start..];
        let part = |byte: &u8| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E');
        let length = rest.iter().take_while(|byte| part(byte)).count();
        self.at = start + length;
        let digits = &rest[..length];
        // 18 digits fit, and a zero in front is none of JSON unless it stands alone.
        let plain = length <= 18 && (digits[0] != b'0' || length == 1);
        if plain && digits.iter().all(u8::is_ascii_digit) {
            let add = |number: u64, digit: &u8| 10 * number + u64::from(digit - b'0');
            let number = super::Number::Unsigned(digits.iter().fold(0, add));
            return self.push(Token::Number(number)).map(drop);
        }
        let mut reader = serde_json::Deserializer::from_slice(digits);
        let read = Value(self.builder).deserialize(&mut reader);
        read.and_then(|()| reader.end()).map_err(|_| Odd)
    }

    /// A text whose opening quote is taken.
    fn text(&mut self) -> Result<Span, Odd> {
        let start = self.at;
        let length = plain(&self.bytes[self.at..])?;
        self.at = start + length + 1;
        match self.bytes[start + length] {
            b'"' => self.builder.span(start, length).ok_or(Odd),
            _ => self.escaped(start, length),
        }
    }

    /// A text that begins at `start`; its first backslash comes after `length` bytes and is taken.
    fn escaped(&mut self, start: usize, length: usize) -> Result<Span, Odd> {
        let begun = self.builder.write_out();
        self.copy(start, length)?;
        loop {
            let escape = *self.bytes.get(self.at).ok_or(Odd)?;
            self.at += 1;
            let meant = match escape {
                b'"' | b'\\' | b'/' => char::from(escape),
                b'b' => '\u{8}',
                b'f' => '\u{c}',
                b'n' => '\n',
                b'r' => '\r',
                b't' => '\t',
                b'u' => self.unicode()?,
                _ => return Err(Odd),
            };
            self.builder.unescaped.push(meant);
            let start = self.at;
            let length = plain(&self.bytes[self.at..])?;
            self.copy(start, length)?;
            self.at = start + length + 1;
            if self.bytes[start + length] == b'"' {
                return self.builder.written_out(begun).ok_or(Odd);
            }
        }
    }

    fn copy(&mut self, start: usize, length: usize) -> Result<(), Odd> {
        let text = self.text.get(start..start + length).ok_or(Odd)?;
        self.builder.unescaped.push_str(text);
        Ok(())
    }

    /// A character whose `\u` is taken, perhaps of two of them.
    fn unicode(&mut self) -> Result<char, Odd> {
        let first = self.four_digits()?;
        let code = match first {
            0xD800..=0xDBFF => {
                if !self.bytes[self.at..].starts_with(b"\\u") {
                    return Err(Odd);
                }
                self.at += 2;
                let second = self.four_digits()?;
                if !(0xDC00..=0xDFFF).contains(&second) {
                    return Err(Odd);
                }
                0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00)
            }
            code => code,
        };
        char::from_u32(code).ok_or(Odd)
    }

    fn four_digits(&mut self) -> Result<u32, Odd> {
        let digits = self.bytes.get(self.at..self.at + 4).ok_or(Odd)?;
        self.at += 4;
        digits.iter().try_fold(0, |code, digit| {
            Ok(code << 4 | char::from(*digit).to_digit(16).ok_or(Odd)?)
        })
    }
}
