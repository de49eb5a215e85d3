//! Writes values into a hash, each with a tag and a length, and a placeholder where a text is left out.

use std::io::Cursor;

use super::Unkeyable;
use crate::llm::document::{Kind, Node, Number};

/// Bytes gathered before they are hashed: BLAKE3 hashes many 1 KiB chunks at once, if it gets them at once.
const GATHERED: usize = 16 * 1024;

/// Texts from this size on, in bytes, are hashed where they lie.
const LONG: usize = 4 * 1024;

/// Least magnitude of a number that `serde_json` may have rounded: beyond it two integers can read alike.
const ROUNDED: f64 = 18_446_744_073_709_551_616.0;

/// A hash under way.
pub(super) struct Encoder {
    gathered: Vec<u8>,
    /// Made when more comes than is gathered; most requests are hashed in one go.
    hash: Option<Box<blake3::Hasher>>,
}

impl Encoder {
    /// With room for so many bytes at first.
    pub(super) fn with_room(bytes: usize) -> Self {
        Self {
            gathered: Vec::with_capacity(bytes.min(GATHERED)),
            hash: None,
        }
    }

    /// The hash of all so far; another one may begin.
    pub(super) fn finish(&mut self) -> [u8; 32] {
        let hash = match self.hash.take() {
            Some(mut hash) => hash.update(&self.gathered).finalize(),
            None => blake3::hash(&self.gathered),
        };
        self.gathered.clear();
        hash.into()
    }

    /// The hash of all so far and of `end`, which is not kept.
    pub(super) fn ending(&mut self, tag: u8, end: &[u8; 32]) -> [u8; 32] {
        let before = self.gathered.len();
        self.gathered.push(tag);
        self.gathered.extend_from_slice(end);
        let hash = match &self.hash {
            Some(hash) => hash.clone().update(&self.gathered).finalize(),
            None => blake3::hash(&self.gathered),
        };
        self.gathered.truncate(before);
        hash.into()
    }

    /// Bytes whose length is known.
    pub(super) fn raw(&mut self, bytes: &[u8]) {
        if bytes.len() < LONG {
            self.gathered.extend_from_slice(bytes);
        } else {
            self.pour().update(bytes);
        }
        if self.gathered.len() >= GATHERED {
            self.pour();
        }
    }

    /// Hashes what is gathered.
    fn pour(&mut self) -> &mut blake3::Hasher {
        let hash = self.hash.get_or_insert_default();
        hash.update(&self.gathered);
        self.gathered.clear();
        hash
    }

    /// A tag and a length: seven bits a byte, the lowest first, all but the last byte with the eighth bit set.
    pub(super) fn length(&mut self, tag: u8, length: usize) {
        self.gathered.push(tag);
        let mut left = length;
        while left >= 0x80 {
            self.gathered.push(left as u8 | 0x80);
            left >>= 7;
        }
        self.gathered.push(left as u8);
    }

    pub(super) fn text(&mut self, text: &[u8]) {
        self.length(b's', text.len());
        self.raw(text);
    }

    /// A whole body without the fields of the `ignored` names, and with a placeholder for each of the texts in
    /// `left_out`: places in the order in which they come, as all lie in one array and arrays keep their order.
    pub(super) fn root(
        &mut self,
        root: Node<'_>,
        ignored: &[&str],
        mut left_out: &[u32],
    ) -> Result<(), Unkeyable> {
        if !root.is_object() {
            return self.value(root, &mut left_out);
        }
        let counts = |name: &[u8]| !ignored.iter().any(|other| other.as_bytes() == name);
        let fields = || root.fields().filter(|(name, _)| counts(name));
        self.length(b'o', fields().count());
        for (name, value) in fields() {
            self.text(name);
            self.value(value, &mut left_out)?;
        }
        Ok(())
    }

    fn value(&mut self, value: Node<'_>, left_out: &mut &[u32]) -> Result<(), Unkeyable> {
        match value.kind() {
            Kind::Null => self.gathered.push(b'0'),
            Kind::Bool(true) => self.gathered.push(b't'),
            Kind::Bool(false) => self.gathered.push(b'f'),
            Kind::Number(number) => self.number(number)?,
            Kind::Text(text) => match left_out.split_first() {
                Some((next, later)) if *next == value.place() => {
                    *left_out = later;
                    self.gathered.push(b'_');
                }
                _ => self.text(text),
            },
            Kind::Array(items) => {
                self.length(b'a', items.len());
                for item in items {
                    self.value(item, left_out)?;
                    if self.gathered.len() >= GATHERED {
                        self.pour();
                    }
                }
            }
            Kind::Object(fields) => {
                self.length(b'o', fields.len());
                for (name, value) in fields {
                    self.text(name);
                    self.value(value, left_out)?;
                }
            }
        }
        Ok(())
    }

    fn number(&mut self, number: Number) -> Result<(), Unkeyable> {
        if matches!(number, Number::Float(float) if float.is_nan() || float.abs() >= ROUNDED) {
            return Err(Unkeyable::HugeNumber);
        }
        // The longest float has 24 characters.
        let mut text = Cursor::new([0; 32]);
        serde_json::to_writer(&mut text, &number).map_err(|_| Unkeyable::HugeNumber)?;
        let length = usize::try_from(text.position()).unwrap_or_default();
        self.length(b'n', length);
        self.gathered.extend_from_slice(&text.get_ref()[..length]);
        Ok(())
    }
}
