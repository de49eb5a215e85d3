//! A `usearch` graph that several threads may use.
//!
//! Searches and additions go on beside each other. What must not: growing, which moves what others read, and writing a
//! vector into the place of a removed one, since a search might take one half for the old and the other for the new. Both
//! have the graph for themselves, for a millisecond.

use std::path::Path;

use parking_lot::RwLock;
use usearch::{Index, IndexOptions, MetricKind, ScalarKind};

/// Threads that use one graph at the same time: more would wait for each other's memory.
pub(super) const THREADS: usize = 32;

/// Room that is made at first.
const FIRST: usize = 512;

/// Neighbours of a vector in the graph, and candidates that are kept in mind while adding and searching. Measured at 50,000
/// vectors in heaps of twenty: of the nearest eight 0.996 are found with 32 candidates, all with 64. More are for more
/// vectors.
const CONNECTIVITY: usize = 16;
const EXPANSION_ADD: usize = 128;
const EXPANSION_SEARCH: usize = 96;

pub(super) struct Graph(RwLock<Inner>);

struct Inner {
    index: Index,
    /// Places of removed vectors.
    free: usize,
}

impl std::fmt::Debug for Graph {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Graph").field("len", &self.len()).finish()
    }
}

impl Inner {
    /// Whether all who may add at this moment find a new place.
    fn has_room(&self) -> bool {
        self.index.size() + self.free + THREADS < self.index.capacity()
    }

    fn reserve(&self, capacity: usize) -> Result<(), String> {
        self.index
            .reserve_capacity_and_threads(capacity, THREADS)
            .map_err(said)
    }
}

impl Graph {
    pub(super) fn new(dimensions: usize) -> Result<Self, String> {
        let inner = Inner {
            index: empty(dimensions)?,
            free: 0,
        };
        inner.reserve(FIRST)?;
        Ok(Self(RwLock::new(inner)))
    }

    pub(super) fn len(&self) -> usize {
        self.0.read().index.size()
    }

    pub(super) fn bytes(&self) -> usize {
        self.0.read().index.memory_usage()
    }

    pub(super) fn contains(&self, number: u64) -> bool {
        self.0.read().index.contains(number)
    }

    pub(super) fn add(&self, number: u64, vector: &[f32]) -> Result<(), String> {
        {
            let inner = self.0.read();
            if inner.free == 0 && inner.has_room() {
                return inner.index.add(number, vector).map_err(said);
            }
        }
        let mut inner = self.0.write();
        if inner.free > 0 {
            inner.free -= 1;
        } else if !inner.has_room() {
            // `usearch` does not grow by itself.
            inner.reserve(inner.index.capacity() * 2)?;
        }
        inner.index.add(number, vector).map_err(said)
    }

    pub(super) fn remove(&self, number: u64) -> Result<(), String> {
        let mut inner = self.0.write();
        inner.free += inner.index.remove(number).map_err(said)?;
        Ok(())
    }

    /// Number and similarity of the nearest, nearest first.
    pub(super) fn nearest(&self, vector: &[f32], count: usize) -> Result<Vec<(u64, f32)>, String> {
        let found = self.0.read().index.search(vector, count).map_err(said)?;
        let similarities = found.distances.into_iter().map(|distance| 1.0 - distance);
        Ok(found.keys.into_iter().zip(similarities).collect())
    }

    /// All that are at least this similar, in no order. Looks at each one.
    pub(super) fn within(&self, vector: &[f32], radius: f32) -> Result<Vec<(u64, f32)>, String> {
        let inner = self.0.read();
        let size = inner.index.size();
        let mut count = FIRST.min(size);
        loop {
            let found = inner.index.exact_search(vector, count).map_err(said)?;
            let last = found.distances.last().map_or(-1.0, |last| 1.0 - last);
            if last < radius || count >= size || found.keys.len() >= size {
                let near = found.keys.into_iter().zip(found.distances);
                let near = near.map(|(number, distance)| (number, 1.0 - distance));
                return Ok(near.filter(|(_, near)| *near >= radius).collect());
            }
            count = (count * 16).min(size);
        }
    }

    /// Writes it to a file; additions and removals wait meanwhile, searches do not. How many places of removed vectors are
    /// in it.
    pub(super) fn save(&self, path: &Path) -> Result<usize, String> {
        let inner = self.0.upgradable_read();
        inner.index.save(&text(path)?).map_err(said)?;
        Ok(inner.free)
    }

    /// Reads it from a file, which must be one that [`Self::save`] wrote, bit by bit.
    pub(super) fn load(path: &Path, dimensions: usize, free: usize) -> Result<Self, String> {
        let index = empty(dimensions)?;
        index.load(&text(path)?).map_err(said)?;
        if index.dimensions() != dimensions {
            return Err("of other dimensions".to_owned());
        }
        index.change_expansion_add(EXPANSION_ADD);
        index.change_expansion_search(EXPANSION_SEARCH);
        let inner = Inner { index, free };
        let room = inner.index.size() + free + 2 * THREADS;
        inner.reserve(room.max(FIRST))?;
        Ok(Self(RwLock::new(inner)))
    }
}

fn empty(dimensions: usize) -> Result<Index, String> {
    Index::new(&IndexOptions {
        dimensions,
        metric: MetricKind::Cos,
        quantization: ScalarKind::F16,
        connectivity: CONNECTIVITY,
        expansion_add: EXPANSION_ADD,
        expansion_search: EXPANSION_SEARCH,
        ..IndexOptions::default()
    })
    .map_err(said)
}

fn text(path: &Path) -> Result<String, String> {
    let text = path.to_str().map(str::to_owned);
    text.ok_or_else(|| format!("{} is not UTF-8", path.display()))
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn said(error: impl ToString) -> String {
    error.to_string()
}
