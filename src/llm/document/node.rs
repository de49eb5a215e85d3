//! Walking through a document.

use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};

use super::{Document, NONE, Token};

/// A value in a document.
#[derive(Clone, Copy)]
pub struct Node<'d> {
    document: &'d Document,
    at: u32,
}

/// What a value is. Texts are UTF-8.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind<'d> {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number.
    Number(Number),
    /// A string, unescaped.
    Text(&'d [u8]),
    /// An array.
    Array(Items<'d>),
    /// An object.
    Object(Fields<'d>),
}

/// A number as it was read: integers within 64 bits as they are, all others rounded to a float.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Number {
    /// An integer from 0.
    Unsigned(u64),
    /// An integer below 0.
    Negative(i64),
    /// Anything else.
    Float(f64),
}

impl Number {
    /// The number if it is an integer from 0.
    #[must_use]
    pub fn as_u64(self) -> Option<u64> {
        match self {
            Self::Unsigned(number) => Some(number),
            Self::Negative(_) | Self::Float(_) => None,
        }
    }

    /// The nearest float.
    #[must_use]
    pub fn as_f64(self) -> f64 {
        match self {
            Self::Unsigned(number) => number as f64,
            Self::Negative(number) => number as f64,
            Self::Float(number) => number,
        }
    }
}

impl<'d> Node<'d> {
    pub(super) fn new(document: &'d Document, at: u32) -> Self {
        Self { document, at }
    }

    /// What it is.
    #[must_use]
    pub fn kind(self) -> Kind<'d> {
        match self.document.token(self.at) {
            Token::Null => Kind::Null,
            Token::Bool(value) => Kind::Bool(value),
            Token::Number(number) => Kind::Number(number),
            Token::Text(span) | Token::Name { text: span, .. } => {
                Kind::Text(self.document.bytes(span))
            }
            Token::Array { items, .. } => Kind::Array(Items {
                next: Self::new(self.document, self.at + 1),
                left: items,
            }),
            Token::Object { fields, first, .. } => Kind::Object(Fields {
                document: self.document,
                next: first,
                left: fields,
            }),
        }
    }

    /// A string's bytes, which are UTF-8.
    #[must_use]
    pub fn bytes(self) -> Option<&'d [u8]> {
        match self.document.token(self.at) {
            Token::Text(span) => Some(self.document.bytes(span)),
            _ => None,
        }
    }

    /// A string.
    #[must_use]
    pub fn as_str(self) -> Option<&'d str> {
        std::str::from_utf8(self.bytes()?).ok()
    }

    /// A number.
    #[must_use]
    pub fn as_number(self) -> Option<Number> {
        match self.document.token(self.at) {
            Token::Number(number) => Some(number),
            _ => None,
        }
    }

    /// The field of that name, if this is an object that has one.
    #[must_use]
    pub fn get(self, name: &str) -> Option<Self> {
        self.fields()
            .find_map(|(found, value)| (found == name.as_bytes()).then_some(value))
    }

    /// The items of an array; nothing for any other value.
    #[must_use]
    pub fn items(self) -> Items<'d> {
        match self.kind() {
            Kind::Array(items) => items,
            _ => Items {
                next: self,
                left: 0,
            },
        }
    }

    /// The fields of an object; nothing for any other value.
    #[must_use]
    pub fn fields(self) -> Fields<'d> {
        match self.kind() {
            Kind::Object(fields) => fields,
            _ => Fields {
                document: self.document,
                next: NONE,
                left: 0,
            },
        }
    }

    /// Whether it is an object.
    #[must_use]
    pub fn is_object(self) -> bool {
        matches!(self.document.token(self.at), Token::Object { .. })
    }

    /// Whether it is `null`.
    #[must_use]
    pub fn is_null(self) -> bool {
        matches!(self.document.token(self.at), Token::Null)
    }

    /// Which value of its document it is: greater for one that begins later.
    #[must_use]
    pub fn place(self) -> u32 {
        self.at
    }
}

impl PartialEq for Node<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.kind() == other.kind()
    }
}

impl std::fmt::Debug for Node<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.kind().fmt(f)
    }
}

/// The items of an array in their order.
#[derive(Clone)]
pub struct Items<'d> {
    next: Node<'d>,
    left: u32,
}

impl<'d> Iterator for Items<'d> {
    type Item = Node<'d>;

    fn next(&mut self) -> Option<Node<'d>> {
        self.left = self.left.checked_sub(1)?;
        let item = self.next;
        self.next.at = match item.document.token(item.at) {
            Token::Array { end, .. } | Token::Object { end, .. } => end,
            _ => item.at + 1,
        };
        Some(item)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left as usize, Some(self.left as usize))
    }
}

impl ExactSizeIterator for Items<'_> {}

impl PartialEq for Items<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.clone().eq(other.clone())
    }
}

impl std::fmt::Debug for Items<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.clone()).finish()
    }
}

/// The fields of an object in the order of their names.
#[derive(Clone)]
pub struct Fields<'d> {
    document: &'d Document,
    next: u32,
    left: u32,
}

impl<'d> Iterator for Fields<'d> {
    type Item = (&'d [u8], Node<'d>);

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let Token::Name { text, next } = self.document.token(self.next) else {
            return None;
        };
        let value = Node::new(self.document, self.next + 1);
        self.next = next;
        Some((self.document.bytes(text), value))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left as usize, Some(self.left as usize))
    }
}

impl ExactSizeIterator for Fields<'_> {}

impl PartialEq for Fields<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.clone().eq(other.clone())
    }
}

impl std::fmt::Debug for Fields<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text =
            |(name, value): (&'_ [u8], _)| (String::from_utf8_lossy(name).into_owned(), value);
        f.debug_map().entries(self.clone().map(text)).finish()
    }
}

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match *self {
            Self::Unsigned(number) => serializer.serialize_u64(number),
            Self::Negative(number) => serializer.serialize_i64(number),
            Self::Float(number) => serializer.serialize_f64(number),
        }
    }
}

impl Serialize for Node<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let utf8 = |bytes| std::str::from_utf8(bytes).map_err(serde::ser::Error::custom);
        match self.kind() {
            Kind::Null => serializer.serialize_unit(),
            Kind::Bool(value) => serializer.serialize_bool(value),
            Kind::Number(number) => number.serialize(serializer),
            Kind::Text(text) => serializer.serialize_str(utf8(text)?),
            Kind::Array(items) => {
                let mut seq = serializer.serialize_seq(Some(items.len()))?;
                for item in items {
                    seq.serialize_element(&item)?;
                }
                seq.end()
            }
            Kind::Object(fields) => {
                let mut map = serializer.serialize_map(Some(fields.len()))?;
                for (name, value) in fields {
                    map.serialize_entry(utf8(name)?, &value)?;
                }
                map.end()
            }
        }
    }
}
