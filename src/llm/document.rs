//! A JSON text read once, into one flat list instead of a tree of allocations.
//!
//! ```text
//!  {"b": [1, "x"], "a": null}   ->   Object first=4 | Name "b" next=- | Array | 1 | Text "x" | Name "a" next=1 | Null
//! ```
//!
//! Texts stay where they are in the body; only those with escapes are written out, once, behind it. The fields of an
//! object are linked in the order of their names, so that whoever walks a document meets equal objects in equal order,
//! and of fields with one name the last, as in the JSON readers of the engines.

mod build;
mod node;
pub(in crate::llm) mod scan;
#[cfg(test)]
mod tests;

use bytes::Bytes;

pub use node::{Fields, Items, Kind, Node, Number};

/// A JSON value, whole. Cloning copies the list but not the body.
#[derive(Clone)]
pub struct Document {
    body: Bytes,
    /// Texts that had escapes; addressed as if they followed the body.
    unescaped: String,
    /// The root first; never empty.
    tokens: Vec<Token>,
}

/// One entry of the list. Positions are in the list.
#[derive(Debug, Clone, Copy)]
enum Token {
    Null,
    Bool(bool),
    Number(Number),
    Text(Span),
    /// The items follow, up to `end`.
    Array {
        items: u32,
        end: u32,
    },
    /// Each field is a `Name` and what follows it. `first` is the one with the least name.
    Object {
        fields: u32,
        first: u32,
        end: u32,
    },
    Name {
        text: Span,
        next: u32,
    },
}

/// No field.
const NONE: u32 = 0;

/// Where a text is, in bytes: in the body or, from its length on, in what was unescaped.
#[derive(Debug, Clone, Copy)]
struct Span {
    start: u32,
    length: u32,
}

impl Document {
    /// Reads a JSON text, nested at most 128 deep.
    ///
    /// # Errors
    /// What is wrong and where. A body of 4 GiB or more is too large.
    pub fn parse(body: &Bytes) -> Result<Self, serde_json::Error> {
        build::document(body)
    }

    /// The whole value.
    #[must_use]
    pub fn root(&self) -> Node<'_> {
        Node::new(self, 0)
    }

    /// Bytes of all its text, roughly.
    #[must_use]
    pub fn size(&self) -> usize {
        self.body.len() + self.unescaped.len()
    }

    /// Memory that it takes beside the body, in bytes.
    #[must_use]
    pub fn bytes_held(&self) -> usize {
        self.unescaped.capacity() + self.tokens.capacity() * size_of::<Token>()
    }

    fn token(&self, at: u32) -> Token {
        self.tokens.get(at as usize).copied().unwrap_or(Token::Null)
    }

    fn bytes(&self, span: Span) -> &[u8] {
        let (start, length) = (span.start as usize, span.length as usize);
        let text = match start.checked_sub(self.body.len()) {
            None => self.body.get(start..start + length),
            Some(start) => self.unescaped.as_bytes().get(start..start + length),
        };
        text.unwrap_or_default()
    }
}

impl PartialEq for Document {
    /// Equal values, however they are written.
    fn eq(&self, other: &Self) -> bool {
        self.root() == other.root()
    }
}

impl std::fmt::Debug for Document {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Document").field(&self.root()).finish()
    }
}
