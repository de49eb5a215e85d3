//! Vectors by class: the nearest neighbours of a vector among those that may be compared with it.
//!
//! Each class has a store of its own, so that no search can ever reach another class's entry. A small class is a list,
//! scanned whole (exact, and about 40 us for 256 vectors); a larger one is a `usearch` graph. One filtered graph over all
//! classes would have to wander through most of it to find the few of a small class.
//!
//! Owned and used by one thread ([`super::semantic`]), so nothing here locks.

mod class;

use std::collections::{BTreeMap, HashMap};

use class::Class;
pub use class::{pack, unpack};

/// Neighbours that a search returns at most.
pub const NEIGHBOURS: usize = 16;

/// What the three maps keep for an item, roughly: its key three times, its number twice, and some air.
const ITEM_BYTES: usize = 3 * 32 + 2 * 8 + 64;

/// A vector near the one searched for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Neighbour {
    /// Its number in the index, for [`Index::remove`].
    pub number: u64,
    /// Key of the request that it belongs to.
    pub exact: [u8; 32],
    /// Cosine similarity, -1 to 1.
    pub similarity: f32,
}

/// Vectors, each with the key of its request, in classes.
#[derive(Debug)]
pub struct Index {
    /// By number, and numbers grow, so the first is the oldest.
    items: BTreeMap<u64, Item>,
    numbers: HashMap<[u8; 32], u64>,
    classes: HashMap<[u8; 32], Class>,
    next: u64,
    max: usize,
    /// Of all classes together.
    bytes: usize,
}

#[derive(Debug)]
struct Item {
    class: [u8; 32],
    exact: [u8; 32],
}

impl Index {
    /// An index of at most `max` vectors.
    #[must_use]
    pub fn new(max: usize) -> Self {
        Self {
            items: BTreeMap::new(),
            numbers: HashMap::new(),
            classes: HashMap::new(),
            next: 0,
            max: max.max(1),
            bytes: 0,
        }
    }

    /// Vectors held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Memory that they take, in bytes, roughly.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes + self.items.len() * ITEM_BYTES
    }

    /// Whether no vector is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Classes that have vectors.
    #[must_use]
    pub fn classes(&self) -> usize {
        self.classes.len()
    }

    /// Adds the vector of a request to its class, in place of an earlier one of the same request. The oldest leave for it
    /// where the index is full.
    ///
    /// # Errors
    /// What `usearch` says when it cannot take the vector. The index is then as if the request had never been added.
    pub fn add(&mut self, class: [u8; 32], exact: [u8; 32], vector: &[f32]) -> Result<(), String> {
        if let Some(number) = self.numbers.get(&exact).copied() {
            self.remove(number);
        }
        while self.items.len() >= self.max {
            let Some((&oldest, _)) = self.items.first_key_value() else {
                break;
            };
            self.remove(oldest);
        }
        let number = self.next;
        self.next += 1;
        let kept = self
            .classes
            .entry(class)
            .or_insert_with(|| Class::new(vector.len()));
        let before = kept.bytes();
        let added = kept.add(number, vector);
        self.bytes = self.bytes + kept.bytes() - before;
        if added.is_ok() {
            self.items.insert(number, Item { class, exact });
            self.numbers.insert(exact, number);
        }
        self.forget_if_empty(&class);
        added
    }

    /// Takes a vector out. Nothing happens if it is gone already.
    pub fn remove(&mut self, number: u64) {
        let Some(item) = self.items.remove(&number) else {
            return;
        };
        self.numbers.remove(&item.exact);
        if let Some(class) = self.classes.get_mut(&item.class) {
            let before = class.bytes();
            class.remove(number);
            self.bytes = self.bytes + class.bytes() - before;
        }
        self.forget_if_empty(&item.class);
    }

    /// Takes the vector of a request out, if it has one.
    pub fn forget(&mut self, exact: &[u8; 32]) {
        if let Some(number) = self.numbers.get(exact).copied() {
            self.remove(number);
        }
    }

    /// The nearest of a class, nearest first, at most [`NEIGHBOURS`] of them.
    ///
    /// # Errors
    /// What `usearch` says when it cannot search.
    pub fn nearest(&self, class: &[u8; 32], vector: &[f32]) -> Result<Vec<Neighbour>, String> {
        let Some(class) = self.classes.get(class) else {
            return Ok(Vec::new());
        };
        let near = class.nearest(vector, NEIGHBOURS)?;
        let known = near.into_iter().filter_map(|(number, similarity)| {
            let exact = self.items.get(&number)?.exact;
            Some(Neighbour {
                number,
                exact,
                similarity,
            })
        });
        Ok(known.collect())
    }

    fn forget_if_empty(&mut self, class: &[u8; 32]) {
        if self.classes.get(class).is_some_and(Class::is_empty)
            && let Some(gone) = self.classes.remove(class)
        {
            self.bytes -= gone.bytes();
        }
    }
}

#[cfg(test)]
mod tests;
