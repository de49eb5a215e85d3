//! An answer's body, put together from its parts.

use bytes::Bytes;

/// Bytes of a piece: a size that the allocator gives out as it is. What grows by moving, leaves its former places behind.
const PIECE: usize = 4096;

/// Parts in order. One that stays alone is shared, not copied.
#[derive(Debug, Default)]
pub struct Collected {
    first: Bytes,
    /// All of it, once there is more than one part; all pieces but the last are full.
    pieces: Vec<Vec<u8>>,
}

impl Collected {
    /// Appends a part.
    pub fn push(&mut self, part: &Bytes) {
        if self.is_empty() {
            self.first = part.clone();
            return;
        }
        let first = std::mem::take(&mut self.first);
        self.append(&first);
        self.append(part);
    }

    fn append(&mut self, mut part: &[u8]) {
        while !part.is_empty() {
            let room = self.pieces.last().map_or(0, |last| PIECE - last.len());
            if room == 0 {
                self.pieces.push(Vec::with_capacity(PIECE));
                continue;
            }
            let (now, rest) = part.split_at(part.len().min(room));
            if let Some(last) = self.pieces.last_mut() {
                last.extend_from_slice(now);
            }
            part = rest;
        }
    }

    /// Whether nothing came yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Its length so far, in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        match self.pieces.split_last() {
            Some((last, full)) => full.len() * PIECE + last.len(),
            None => self.first.len(),
        }
    }

    /// What came so far from byte `from` on, at most `most` bytes; `None` if it is not that long yet.
    #[must_use]
    pub fn read(&self, from: usize, most: usize) -> Option<Bytes> {
        let size = self.len().checked_sub(from)?.min(most);
        if self.pieces.is_empty() {
            return Some(self.first.slice(from..from + size));
        }
        let mut read = Vec::with_capacity(size);
        while read.len() < size {
            let at = from + read.len();
            let rest = &self.pieces[at / PIECE][at % PIECE..];
            read.extend_from_slice(&rest[..rest.len().min(size - read.len())]);
        }
        Some(read.into())
    }

    /// All of it. Whoever keeps it for long has to copy it, for it may keep the buffer alive that it was read into.
    #[must_use]
    pub fn into_bytes(mut self) -> Bytes {
        match self.pieces.len() {
            0 => self.first,
            1 => self.pieces.swap_remove(0).into(),
            _ => self.pieces.concat().into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn parts_come_out_as_one_from_wherever_they_are_read(
            sizes in proptest::collection::vec(prop_oneof![0..20_usize, 4090..4100_usize, 8000..9000_usize], 0..6),
            from in 0..30_000_usize,
            most in 0..20_000_usize,
        ) {
            let mut collected = Collected::default();
            let mut whole = Vec::new();
            for size in sizes {
                let part: Vec<u8> = (whole.len()..whole.len() + size).map(|at| (at % 251) as u8).collect();
                collected.push(&Bytes::copy_from_slice(&part));
                whole.extend_from_slice(&part);
            }
            prop_assert_eq!(collected.len(), whole.len());
            let read = whole.get(from..).map(|rest| &rest[..rest.len().min(most)]);
            prop_assert_eq!(collected.read(from, most), read.map(Bytes::copy_from_slice));
            prop_assert_eq!(collected.into_bytes(), whole);
        }
    }

    #[test]
    fn a_single_part_is_not_copied() {
        let part = Bytes::from(vec![b'x'; 100]);
        let mut collected = Collected::default();
        collected.push(&part);
        assert_eq!(
            collected.read(10, 5).expect("there").as_ptr(),
            part[10..].as_ptr()
        );
        assert_eq!(collected.into_bytes().as_ptr(), part.as_ptr());
    }
}
