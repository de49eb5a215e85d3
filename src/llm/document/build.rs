//! Fills the list while `serde_json` reads.

use std::fmt;

use bytes::Bytes;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::{Document, NONE, Number, Span, Token};

/// Tokens there is room for at first: those of a short chat.
const FIRST_TOKENS: usize = 48;

/// Names there is room for at first, and bytes of texts with escapes.
const FIRST_NAMES: usize = 16;
const FIRST_TEXT: usize = 64 * 1024;

pub(super) fn document(body: &Bytes) -> Result<Document, serde_json::Error> {
    match std::str::from_utf8(body) {
        // All at once is quicker than text by text.
        Ok(text) => read(body, serde_json::Deserializer::from_str(text)),
        // Says what is wrong and where.
        Err(_) => read(body, serde_json::Deserializer::from_slice(body)),
    }
}

fn read<'b, R: serde_json::de::Read<'b>>(
    body: &'b Bytes,
    mut reader: serde_json::Deserializer<R>,
) -> Result<Document, serde_json::Error> {
    let mut builder = Builder {
        body,
        unescaped: String::new(),
        tokens: Vec::with_capacity(FIRST_TOKENS),
        names: Vec::with_capacity(FIRST_NAMES),
    };
    Value(&mut builder).deserialize(&mut reader)?;
    reader.end()?;
    let Builder {
        unescaped, tokens, ..
    } = builder;
    Ok(Document {
        body: body.clone(),
        unescaped,
        tokens,
    })
}

struct Builder<'b> {
    body: &'b [u8],
    unescaped: String,
    tokens: Vec<Token>,
    /// Positions of the names of all objects under way, the innermost last.
    names: Vec<u32>,
}

impl Builder<'_> {
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
        if self.unescaped.is_empty() {
            self.unescaped.reserve(self.body.len().min(FIRST_TEXT));
        }
        let start = self.body.len() + self.unescaped.len();
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
    fn link(&mut self, from: usize) -> (u32, u32) {
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
struct Value<'a, 'b>(&'a mut Builder<'b>);

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
