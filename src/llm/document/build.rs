//! Fills the list while `scan` reads, or `serde_json` what is not for `scan`.

use std::fmt;

use bytes::Bytes;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::{Document, NONE, Number, Span, Token, scan};

/// Tokens there is room for at first: those of a short chat.
const FIRST_TOKENS: usize = 48;

/// Names there is room for at first, and bytes of texts with escapes.
const FIRST_NAMES: usize = 16;
const FIRST_TEXT: usize = 64 * 1024;

pub(super) fn document(body: &Bytes) -> Result<Document, serde_json::Error> {
    match std::str::from_utf8(body) {
        // All at once is quicker than text by text.
        Ok(text) => {
            let mut builder = Builder::new(body);
            match scan::read(text, &mut builder) {
                Ok(()) => Ok(builder.done(body)),
                Err(scan::Odd) => read(body, serde_json::Deserializer::from_str(text)),
            }
        }
        // Says what is wrong and where.
        Err(_) => read(body, serde_json::Deserializer::from_slice(body)),
    }
}

fn read<'b, R: serde_json::de::Read<'b>>(
    body: &'b Bytes,
    mut reader: serde_json::Deserializer<R>,
) -> Result<Document, serde_json::Error> {
    let mut builder = Builder::new(body);
    Value(&mut builder).deserialize(&mut reader)?;
    reader.end()?;
    Ok(builder.done(body))
}

/// A document under way.
pub(super) struct Builder<'b> {
    body: &'b [u8],
    pub(super) unescaped: String,
    tokens: Vec<Token>,
    /// Positions of the names of all objects under way, the innermost last.
    names: Vec<u32>,
}

impl<'b> Builder<'b> {
    fn new(body: &'b [u8]) -> Self {
        Self {
            body,
            unescaped: String::new(),
            tokens: Vec::with_capacity(FIRST_TOKENS),
            names: Vec::with_capacity(FIRST_NAMES),
        }
    }

    fn done(self, body: &Bytes) -> Document {
        Document {
            body: body.clone(),
            unescaped: self.unescaped,
            tokens: self.tokens,
        }
    }

    /// Appends a token; `None` when there are too many.
    pub(super) fn put(&mut self, token: Token) -> Option<u32> {
        let at = self.end()?;
        self.tokens.push(token);
        Some(at)
    }

    /// Where the next token will be.
    pub(super) fn end(&self) -> Option<u32> {
        u32::try_from(self.tokens.len()).ok()
    }

    /// Puts a token in the place of an earlier one.
    pub(super) fn fill(&mut self, at: u32, token: Token) {
        self.tokens[at as usize] = token;
    }

    /// How many names are under way.
    pub(super) fn names(&self) -> usize {
        self.names.len()
    }

    /// Adds a name to those under way.
    pub(super) fn name(&mut self, at: u32) {
        self.names.push(at);
    }

    /// A part of the body.
    pub(super) fn span(&self, start: usize, length: usize) -> Option<Span> {
        Some(Span {
            start: u32::try_from(start).ok()?,
            length: u32::try_from(length).ok()?,
        })
    }

    /// Begins a text behind the body. Gives back where.
    pub(super) fn write_out(&mut self) -> usize {
        if self.unescaped.is_empty() {
            self.unescaped.reserve(self.body.len().min(FIRST_TEXT));
        }
        self.unescaped.len()
    }

    /// The text behind the body that was begun there.
    pub(super) fn written_out(&self, begun: usize) -> Option<Span> {
        self.span(self.body.len() + begun, self.unescaped.len() - begun)
    }

    fn push<E: Error>(&mut self, token: Token) -> Result<u32, E> {
        let at = short(self.tokens.len())?;
        self.tokens.push(token);
        Ok(at)
    }

    /// A text that lies in the body.
    fn borrowed<E: Error>(&mut self, text: &str) -> Result<Span, E> {
        let start = text.as_ptr().addr().checked_sub(self.body.as_ptr().addr());
        match start.filter(|start| start + text.len() <= self.body.len()) {
            Some(start) => Ok(Span {
                start: short(start)?,
                length: short(text.len())?,
            }),
            None => self.copied(text),
        }
    }

    /// A text that does not.
    fn copied<E: Error>(&mut self, text: &str) -> Result<Span, E> {
        let start = self.body.len() + self.write_out();
        self.unescaped.push_str(text);
        Ok(Span {
            start: short(start)?,
            length: short(text.len())?,
        })
    }

    fn bytes(&self, name: u32) -> &[u8] {
        let Some(Token::Name { text, .. }) = self.tokens.get(name as usize) else {
            return &[];
        };
        let (start, length) = (text.start as usize, text.length as usize);
        let all = match start.checked_sub(self.body.len()) {
            None => &self.body[start..],
            Some(start) => &self.unescaped.as_bytes()[start..],
        };
        &all[..length]
    }

    /// Links the names from `from` on in order, of equal ones only the last. Gives back the first and how many there are.
    pub(super) fn link(&mut self, from: usize) -> (u32, u32) {
        let mut names = std::mem::take(&mut self.names);
        let own = &mut names[from..];
        if !own.is_sorted_by(|a, b| self.bytes(*a) < self.bytes(*b)) {
            // The order of the list among equals, so that the last of them is the last written.
            own.sort_by(|a, b| self.bytes(*a).cmp(self.bytes(*b)));
        }
        let (mut first, mut fields) = (NONE, 0);
        for place in (0..own.len()).rev() {
            let name = own[place];
            if first != NONE && self.bytes(name) == self.bytes(first) {
                continue;
            }
            if let Some(Token::Name { next, .. }) = self.tokens.get_mut(name as usize) {
                *next = first;
            }
            first = name;
            fields += 1;
        }
        names.truncate(from);
        self.names = names;
        (first, fields)
    }
}

fn short<E: Error>(position: usize) -> Result<u32, E> {
    u32::try_from(position).map_err(|_| E::custom("more than 4 GiB"))
}

/// Any value.
pub(super) struct Value<'a, 'b>(pub(super) &'a mut Builder<'b>);

impl<'de> DeserializeSeed<'de> for Value<'_, '_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Value<'_, '_> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }
    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.0.push(Token::Null).map(drop)
    }
    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        self.0.push(Token::Bool(value)).map(drop)
    }
    fn visit_u64<E: Error>(self, number: u64) -> Result<(), E> {
        let number = Number::Unsigned(number);
        self.0.push(Token::Number(number)).map(drop)
    }
    fn visit_i64<E: Error>(self, number: i64) -> Result<(), E> {
        let number = u64::try_from(number).map_or(Number::Negative(number), Number::Unsigned);
        self.0.push(Token::Number(number)).map(drop)
    }
    fn visit_f64<E: Error>(self, number: f64) -> Result<(), E> {
        self.0.push(Token::Number(Number::Float(number))).map(drop)
    }
    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<(), E> {
        let span = self.0.borrowed(text)?;
        self.0.push(Token::Text(span)).map(drop)
    }
    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        let span = self.0.copied(text)?;
        self.0.push(Token::Text(span)).map(drop)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let Self(builder) = self;
        let at = builder.push(Token::Null)?;
        let mut items = 0;
        while seq.next_element_seed(Value(builder))?.is_some() {
            items += 1;
        }
        let end = short(builder.tokens.len())?;
        builder.tokens[at as usize] = Token::Array { items, end };
        Ok(())
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self(builder) = self;
        let at = builder.push(Token::Null)?;
        let from = builder.names.len();
        while map.next_key_seed(Name(builder))?.is_some() {
            map.next_value_seed(Value(builder))?;
        }
        let end = short(builder.tokens.len())?;
        let (first, fields) = builder.link(from);
        builder.tokens[at as usize] = Token::Object { fields, first, end };
        Ok(())
    }
}

/// The name of a field.
struct Name<'a, 'b>(&'a mut Builder<'b>);

impl Name<'_, '_> {
    fn push<E: Error>(self, text: Span) -> Result<(), E> {
        let at = self.0.push(Token::Name { text, next: NONE })?;
        self.0.names.push(at);
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Name<'_, '_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Name<'_, '_> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string key")
    }
    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<(), E> {
        let span = self.0.borrowed(text)?;
        self.push(span)
    }
    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        let span = self.0.copied(text)?;
        self.push(span)
    }
}
