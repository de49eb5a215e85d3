//! A `usearch` graph that several threads may use.
//!
//! Searches and additions go on beside each other. What must not: growing, which moves what others read, and writing a
//! vector into the place of a removed one, since a search might take one half for the old and the other for the new. Both
//! have the graph for themselves, for a millisecond. A vector that is on its way in is counted before it is there, so nothing
//! that goes through all of them may run beside additions: neither writing to a file nor exact search, nor `usearch`'s own
//! sum of its memory, which is never asked for.

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

/// Vectors that so many candidates are enough for. More want more of them, by the root of how many more: measured at a
/// million, 0.867 of the nearest sixteen are found with 96 candidates, 0.963 with 439 and 0.978 with 622 (`docs/cache-latency.md`).
const ENOUGH_FOR: usize = 25_000;

/// What a graph keeps for a vector beside it, in bytes: key, level and twice `CONNECTIVITY` neighbours of four bytes, as
/// many again for the one in sixteen that stands on the next level, and its places in the tables of nodes, vectors and keys.
const NODE_BYTES: usize = 10 + (4 + 8 * CONNECTIVITY) + 9 + 8 + 8 + 32;

pub(super) struct Graph {
    inner: RwLock<Inner>,
    /// Shared by all who change it, taken alone by who must see it at rest while searches go on. Always before `inner`.
    changes: RwLock<()>,
    dimensions: usize,
}

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
            .map_err(said)?;
        self.index
            .change_expansion_search(expansion_search(self.index.capacity()));
        Ok(())
    }
}

impl Graph {
    pub(super) fn new(dimensions: usize) -> Result<Self, String> {
        let inner = Inner {
            index: empty(dimensions)?,
            free: 0,
        };
        inner.reserve(FIRST)?;
        Ok(Self::of(inner, dimensions))
    }

    fn of(inner: Inner, dimensions: usize) -> Self {
        Self {
            inner: RwLock::new(inner),
            changes: RwLock::default(),
            dimensions,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.inner.read().index.size()
    }

    /// Memory that its vectors and the places of removed ones take, in bytes, roughly.
    pub(super) fn bytes(&self) -> usize {
        let inner = self.inner.read();
        (inner.index.size() + inner.free) * (self.dimensions * size_of::<u16>() + NODE_BYTES)
    }

    pub(super) fn contains(&self, number: u64) -> bool {
        self.inner.read().index.contains(number)
    }

    pub(super) fn add(&self, number: u64, vector: &[f32]) -> Result<(), String> {
        let _change = self.changes.read();
        {
            let inner = self.inner.read();
            if inner.free == 0 && inner.has_room() {
                return inner.index.add(number, vector).map_err(said);
            }
        }
        let mut inner = self.inner.write();
        if inner.free > 0 {
            inner.free -= 1;
        } else if !inner.has_room() {
            // `usearch` does not grow by itself.
            inner.reserve(inner.index.capacity() * 2)?;
        }
        inner.index.add(number, vector).map_err(said)
    }

    pub(super) fn remove(&self, number: u64) -> Result<(), String> {
        let _change = self.changes.read();
        let mut inner = self.inner.write();
        inner.free += inner.index.remove(number).map_err(said)?;
        Ok(())
    }

    /// Number and similarity of the nearest, nearest first.
    pub(super) fn nearest(&self, vector: &[f32], count: usize) -> Result<Vec<(u64, f32)>, String> {
        let found = self
            .inner
            .read()
            .index
            .search(vector, count)
            .map_err(said)?;
        let similarities = found.distances.into_iter().map(|distance| 1.0 - distance);
        Ok(found.keys.into_iter().zip(similarities).collect())
    }

    /// All that are at least this similar, in no order. Looks at each one; additions and removals wait meanwhile.
    pub(super) fn within(&self, vector: &[f32], radius: f32) -> Result<Vec<(u64, f32)>, String> {
        let _at_rest = self.changes.write();
        let inner = self.inner.read();
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
        let _at_rest = self.changes.write();
        let inner = self.inner.read();
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
        let inner = Inner { index, free };
        let room = inner.index.size() + free + 2 * THREADS;
        inner.reserve(room.max(FIRST))?;
        Ok(Self::of(inner, dimensions))
    }
}

/// Candidates that are kept in mind while searching a graph with room for so many vectors.
fn expansion_search(capacity: usize) -> usize {
    (EXPANSION_SEARCH * EXPANSION_SEARCH * capacity / ENOUGH_FOR)
        .isqrt()
        .max(EXPANSION_SEARCH)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_larger_graph_is_searched_with_more_candidates() {
        assert_eq!(expansion_search(FIRST), EXPANSION_SEARCH);
        assert_eq!(expansion_search(ENOUGH_FOR), EXPANSION_SEARCH);
        assert!((600..700).contains(&expansion_search(1 << 20)));
        let graph = Graph::new(8).unwrap();
        assert_eq!(
            graph.inner.read().index.expansion_search(),
            EXPANSION_SEARCH
        );
        graph.inner.write().reserve(4 * ENOUGH_FOR).unwrap();
        assert!(graph.inner.read().index.expansion_search() >= 2 * EXPANSION_SEARCH);
    }
}
