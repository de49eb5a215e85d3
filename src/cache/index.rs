//! Vectors by class: the nearest neighbours of a vector among those that may be compared with it.
//!
//! Each class has a store of its own, so that no search can ever reach another class's entry. A small class is a list,
//! scanned whole (exact, and about 40 us for 256 vectors); a larger one is a `usearch` graph. One filtered graph over all
//! classes would have to wander through most of it to find the few of a small class.
//!
//! Any thread may add, search and remove, and none waits long for another: what takes its time, which is moving vectors
//! into graphs and out of them, is left to who calls [`Index::settle`]. A vector that was removed is not found from that
//! moment on, whether or not its graph still has it.

mod class;
mod graph;
mod saved;
mod within;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};

use class::{Added, Class};
pub use class::{pack, unpack};
pub use saved::Saved;

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
    maps: RwLock<Maps>,
    due: Mutex<Due>,
    max: usize,
    /// The first number that it gives.
    first: u64,
}

#[derive(Debug, Default)]
struct Maps {
    /// By number, and numbers grow, so the first is the oldest.
    items: BTreeMap<u64, Item>,
    numbers: HashMap<[u8; 32], u64>,
    classes: HashMap<[u8; 32], Kept>,
    next: u64,
}

#[derive(Debug, Clone)]
struct Kept {
    class: Arc<Class>,
    items: usize,
}

#[derive(Debug, Clone, Copy)]
struct Item {
    class: [u8; 32],
    exact: [u8; 32],
}

/// What [`Index::settle`] is to do.
#[derive(Debug, Default)]
struct Due {
    lists: HashMap<[u8; 32], Arc<Class>>,
    dead: Vec<(Arc<Class>, u64)>,
}

/// How a vector goes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// Into the list, at once.
    Quick,
    /// Into the graph if there is one; the caller has time.
    Patient,
}

impl Index {
    /// An index of at most `max` vectors.
    #[must_use]
    pub fn new(max: usize) -> Self {
        Self::counting_from(0, max)
    }

    /// The same, whose numbers begin with `first`: above all that were given before to vectors that [`Self::load`] is to
    /// bring back.
    #[must_use]
    pub fn counting_from(first: u64, max: usize) -> Self {
        Self {
            maps: RwLock::new(Maps {
                next: first,
                ..Maps::default()
            }),
            due: Mutex::default(),
            max: max.max(1),
            first,
        }
    }

    /// Vectors held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.maps.read().items.len()
    }

    /// Memory that they take, in bytes, roughly.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let classes = self.all().iter().map(|class| class.bytes()).sum::<usize>();
        classes + self.len() * ITEM_BYTES
    }

    /// Vectors that wait for [`Self::settle`] to move them into a graph.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.all().iter().map(|class| class.waiting()).sum()
    }

    fn all(&self) -> Vec<Arc<Class>> {
        let maps = self.maps.read();
        let classes = maps.classes.values();
        classes.map(|kept| Arc::clone(&kept.class)).collect()
    }

    /// Whether no vector is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether a request has a vector.
    #[must_use]
    pub fn holds(&self, exact: &[u8; 32]) -> bool {
        self.maps.read().numbers.contains_key(exact)
    }

    /// Classes that have vectors.
    #[must_use]
    pub fn classes(&self) -> usize {
        self.maps.read().classes.len()
    }

    /// Adds the vector of a request, in place of any it had before; when the index is full the oldest leaves. Whether there
    /// was room for it: none is when its class has too many that wait for [`Self::settle`].
    ///
    /// # Errors
    /// When the vector does not fit its class.
    pub fn add(&self, class: [u8; 32], exact: [u8; 32], vector: &[f32]) -> Result<bool, String> {
        self.put(class, exact, vector, Way::Quick)
    }

    /// Adds a vector and waits for room, if need be. For several threads that fill the index at the same time.
    ///
    /// # Errors
    /// When the vector does not fit its class, or `usearch` says so.
    pub fn insert(&self, class: [u8; 32], exact: [u8; 32], vector: &[f32]) -> Result<(), String> {
        while !self.put(class, exact, vector, Way::Patient)? {
            let kept = self.maps.read().classes.get(&class).cloned();
            if let Some(kept) = kept {
                kept.class.settle()?;
            }
        }
        Ok(())
    }

    fn put(
        &self,
        class: [u8; 32],
        exact: [u8; 32],
        vector: &[f32],
        way: Way,
    ) -> Result<bool, String> {
        let (number, kept) = self.number(class, exact, vector.len());
        let added = match way {
            Way::Quick => kept.add(number, vector),
            Way::Patient => kept.insert(number, vector),
        };
        if matches!(added, Ok(Added::Yes | Added::Listed))
            && !self.maps.read().items.contains_key(&number)
        {
            // It was removed before it was in.
            self.bury([(Arc::clone(&kept), number)]);
        }
        match added {
            Ok(Added::Yes) => Ok(true),
            Ok(Added::Listed) => {
                self.due.lock().lists.insert(class, kept);
                Ok(true)
            }
            Ok(Added::Full) => {
                self.due.lock().lists.insert(class, kept);
                self.remove(number);
                Ok(false)
            }
            Err(error) => {
                self.remove(number);
                Err(error)
            }
        }
    }

    /// Gives a request a number, and its class if that is new.
    fn number(&self, class: [u8; 32], exact: [u8; 32], dimensions: usize) -> (u64, Arc<Class>) {
        let mut gone = Vec::new();
        let mut maps = self.maps.write();
        if let Some(number) = maps.numbers.get(&exact).copied() {
            gone.extend(maps.remove(number));
        }
        while maps.items.len() >= self.max {
            let Some((&oldest, _)) = maps.items.first_key_value() else {
                break;
            };
            gone.extend(maps.remove(oldest));
        }
        let number = maps.next;
        maps.next += 1;
        let made = maps.enter(number, class, exact, || Class::new(dimensions));
        drop(maps);
        self.bury(gone);
        (number, made)
    }

    /// Takes a vector out. Nothing happens if it is gone already.
    pub fn remove(&self, number: u64) {
        let gone = self.maps.write().remove(number);
        self.bury(gone);
    }

    /// Takes the vector of a request out, if it has one.
    pub fn forget(&self, exact: &[u8; 32]) {
        let number = self.maps.read().numbers.get(exact).copied();
        if let Some(number) = number {
            self.remove(number);
        }
    }

    /// What the maps no longer know leaves the lists now and the graphs later.
    fn bury(&self, gone: impl IntoIterator<Item = (Arc<Class>, u64)>) {
        for (class, number) in gone {
            if !class.unlist(number) {
                self.due.lock().dead.push((class, number));
            }
        }
    }

    /// Whether there is something for [`Self::settle`] to do.
    #[must_use]
    pub fn is_due(&self) -> bool {
        let due = self.due.lock();
        !due.lists.is_empty() || !due.dead.is_empty()
    }

    /// Moves into the graphs what waits in lists, and out of them what was removed. Takes about a millisecond for each. For
    /// one thread, the one that also saves: what another is still about to take out would be saved.
    ///
    /// # Errors
    /// What `usearch` says; the other classes are settled all the same.
    pub fn settle(&self) -> Result<(), String> {
        let due = std::mem::take(&mut *self.due.lock());
        let mut failed = None;
        for class in due.lists.values() {
            failed = class.settle().err().or(failed);
        }
        for (class, number) in due.dead {
            class.bury(number);
        }
        failed.map_or(Ok(()), Err)
    }

    /// Whether a search in this class is a look through a short list and no more.
    #[must_use]
    pub fn is_small(&self, class: &[u8; 32]) -> bool {
        let kept = self.maps.read().classes.get(class).cloned();
        kept.is_none_or(|kept| kept.class.is_small())
    }

    /// The nearest of a class, nearest first, at most [`NEIGHBOURS`] of them.
    ///
    /// # Errors
    /// What `usearch` says when it cannot search.
    pub fn nearest(&self, class: &[u8; 32], vector: &[f32]) -> Result<Vec<Neighbour>, String> {
        let Some(kept) = self.maps.read().classes.get(class).cloned() else {
            return Ok(Vec::new());
        };
        let near = kept.class.nearest(vector, NEIGHBOURS)?;
        let maps = self.maps.read();
        let known = near.into_iter().filter_map(|(number, similarity)| {
            let item = maps.items.get(&number)?;
            (item.class == *class).then_some(Neighbour {
                number,
                exact: item.exact,
                similarity,
            })
        });
        Ok(known.collect())
    }
}

impl Maps {
    fn enter(
        &mut self,
        number: u64,
        class: [u8; 32],
        exact: [u8; 32],
        make: impl FnOnce() -> Class,
    ) -> Arc<Class> {
        let kept = self.classes.entry(class).or_insert_with(|| Kept {
            class: Arc::new(make()),
            items: 0,
        });
        kept.items += 1;
        let made = Arc::clone(&kept.class);
        self.items.insert(number, Item { class, exact });
        self.numbers.insert(exact, number);
        made
    }

    /// A class without vectors goes as a whole; otherwise where the vector still lies.
    fn remove(&mut self, number: u64) -> Option<(Arc<Class>, u64)> {
        let item = self.items.remove(&number)?;
        self.numbers.remove(&item.exact);
        let kept = self.classes.get_mut(&item.class)?;
        kept.items -= 1;
        if kept.items == 0 {
            self.classes.remove(&item.class);
            return None;
        }
        Some((Arc::clone(&kept.class), number))
    }
}

#[cfg(test)]
mod tests;
