//! An answer's body, put together from its parts.

use bytes::Bytes;

/// Parts in order. One that stays alone is shared, not copied.
#[derive(Debug, Default)]
pub struct Collected {
    first: Bytes,
    /// All of it, once there is more than one part.
    all: Vec<u8>,
}

impl Collected {
    /// Appends a part.
    pub fn push(&mut self, part: &Bytes) {
        if self.is_empty() {
            self.first = part.clone();
            return;
        }
        if self.all.is_empty() {
            self.all.reserve(2 * (self.first.len() + part.len()));
            self.all.extend_from_slice(&std::mem::take(&mut self.first));
        }
        self.all.extend_from_slice(part);
    }

    /// Whether nothing came yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Its length so far, in bytes.
    pub fn len(&self) -> usize {
        self.as_slice().len()
    }

    /// What came so far.
    pub fn as_slice(&self) -> &[u8] {
        match self.all.is_empty() {
            true => &self.first,
            false => &self.all,
        }
    }

    /// All of it. Whoever keeps it for long has to copy it, for it may keep the buffer alive that it was read into.
    pub fn into_bytes(self) -> Bytes {
        match self.all.is_empty() {
            true => self.first,
            false => self.all.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_come_out_as_one() {
        let mut collected = Collected::default();
        assert!(collected.is_empty());
        for part in ["", "a", "bc", "d"] {
            collected.push(&Bytes::from_static(part.as_bytes()));
        }
        assert_eq!(collected.as_slice(), b"abcd");
        assert_eq!(collected.into_bytes(), "abcd");
    }

    #[test]
    fn a_single_part_is_not_copied() {
        let part = Bytes::from(vec![b'x'; 100]);
        let mut collected = Collected::default();
        collected.push(&part);
        assert_eq!(collected.as_slice().as_ptr(), part.as_ptr());
        assert_eq!(collected.into_bytes().as_ptr(), part.as_ptr());
    }
}
