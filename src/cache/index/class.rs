//! The vectors of one class: a list while they are few, a graph once they are many.
//!
//! A graph has a list beside it: what is added can be found at once, since the list is searched too, and moves into the
//! graph when the thread that does this comes round. So nobody who adds or searches waits for the graph to take one in.

use std::sync::Arc;

use parking_lot::{Mutex, RwLock};

use super::graph::Graph;

/// Vectors from which on a class is a graph.
pub(super) const GRAPH_FROM: usize = 256;

/// Vectors that wait in the list at most; the list is searched whole.
pub(super) const LIST: usize = 2048;

/// Full scale of a stored component. Vectors have length 1, so components lie within -1 to 1, and 16 bits of fixed point
/// resolve them finer than a 16-bit float.
const SCALE: f32 = 32_767.0;

/// The vectors of one class, each with its number.
#[derive(Debug)]
pub(super) struct Class {
    dimensions: usize,
    parts: RwLock<Parts>,
    /// Held by who moves vectors from the list to the graph.
    moving: Mutex<()>,
}

#[derive(Debug, Default)]
struct Parts {
    list: Vec<Listed>,
    graph: Option<Arc<Graph>>,
}

impl Parts {
    /// Whether they are so few that the list is all there is to be.
    fn is_small(&self) -> bool {
        self.graph.is_none() && self.list.len() <= GRAPH_FROM
    }
}

type Listed = (u64, Arc<[i16]>);

/// What came of adding a vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Added {
    /// It is in.
    Yes,
    /// It is in, and the list is ready to be moved: [`Class::settle`].
    Listed,
    /// Too many wait in the list.
    Full,
}

impl Class {
    pub(super) fn new(dimensions: usize) -> Self {
        Self {
            dimensions,
            parts: RwLock::default(),
            moving: Mutex::default(),
        }
    }

    /// Takes a graph that was kept, unless there is one by now.
    pub(super) fn take(&self, graph: Graph) -> bool {
        let mut parts = self.parts.write();
        if parts.graph.is_some() || self.moving.is_locked() {
            return false;
        }
        parts.graph = Some(Arc::new(graph));
        true
    }

    pub(super) fn dimensions(&self) -> usize {
        self.dimensions
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        let parts = self.parts.read();
        parts.list.len() + parts.graph.as_ref().map_or(0, |graph| graph.len())
    }

    /// Memory that it takes, in bytes. What it holds for itself without any vector is not counted.
    pub(super) fn bytes(&self) -> usize {
        let parts = self.parts.read();
        let each = size_of::<Listed>() + 16 + self.dimensions * size_of::<i16>();
        parts.list.len() * each + parts.graph.as_ref().map_or(0, |graph| graph.bytes())
    }

    /// Vectors that wait in the list for the graph.
    pub(super) fn waiting(&self) -> usize {
        let parts = self.parts.read();
        if parts.is_small() {
            0
        } else {
            parts.list.len()
        }
    }

    pub(super) fn graph(&self) -> Option<Arc<Graph>> {
        self.parts.read().graph.clone()
    }

    /// Whether a search is a look through a short list and no more.
    pub(super) fn is_small(&self) -> bool {
        self.parts.read().is_small()
    }

    /// Adds a vector to the list.
    pub(super) fn add(&self, number: u64, vector: &[f32]) -> Result<Added, String> {
        self.check(vector)?;
        let packed = pack(vector).into();
        let mut parts = self.parts.write();
        if parts.list.len() >= LIST {
            return Ok(Added::Full);
        }
        parts.list.push((number, packed));
        let due = parts.graph.is_some() || parts.list.len() > GRAPH_FROM;
        Ok(if due { Added::Listed } else { Added::Yes })
    }

    /// Adds a vector to the graph at once if there is one, which may take a millisecond.
    pub(super) fn insert(&self, number: u64, vector: &[f32]) -> Result<Added, String> {
        self.check(vector)?;
        match self.graph() {
            Some(graph) => graph.add(number, vector).map(|()| Added::Yes),
            None => self.add(number, vector),
        }
    }

    /// Takes a vector out of the list; `false` when it is, or may be, in the graph.
    pub(super) fn unlist(&self, number: u64) -> bool {
        let mut parts = self.parts.write();
        let at = parts.list.iter().position(|(listed, _)| *listed == number);
        if let Some(at) = at {
            parts.list.swap_remove(at);
        }
        parts.graph.is_none() && !self.moving.is_locked()
    }

    /// Takes a vector out of the graph.
    pub(super) fn bury(&self, number: u64) {
        if let Some(graph) = self.graph()
            && let Err(error) = graph.remove(number)
        {
            log::warn!("semantic index: removing a vector: {error}");
        }
    }

    /// Moves what is in the list into the graph, which is made when the list is long enough.
    pub(super) fn settle(&self) -> Result<(), String> {
        let _one_at_a_time = self.moving.lock();
        loop {
            let (graph, listed) = {
                let parts = self.parts.read();
                if parts.is_small() {
                    return Ok(());
                }
                (parts.graph.clone(), parts.list.clone())
            };
            if listed.is_empty() {
                return Ok(());
            }
            let graph = match graph {
                Some(graph) => graph,
                None => Arc::new(Graph::new(self.dimensions)?),
            };
            for (number, vector) in &listed {
                // Some are in when an earlier try failed half-way.
                if !graph.contains(*number) {
                    graph.add(*number, &unpack(vector))?;
                }
            }
            self.moved(&graph, &listed);
        }
    }

    /// The graph has these now, so they leave the list; what has left the list meanwhile leaves the graph.
    fn moved(&self, graph: &Arc<Graph>, moved: &[Listed]) {
        let mut parts = self.parts.write();
        let before = std::mem::take(&mut parts.list);
        let mut known: std::collections::HashSet<u64> =
            moved.iter().map(|(number, _)| *number).collect();
        for (number, vector) in before {
            if !known.remove(&number) {
                parts.list.push((number, vector));
            }
        }
        parts.graph = Some(Arc::clone(graph));
        drop(parts);
        for number in known {
            if let Err(error) = graph.remove(number) {
                log::warn!("semantic index: removing a vector: {error}");
            }
        }
    }

    /// Number and similarity of the nearest, nearest first.
    pub(super) fn nearest(&self, vector: &[f32], count: usize) -> Result<Vec<(u64, f32)>, String> {
        self.check(vector)?;
        let (mut found, graph) = {
            let parts = self.parts.read();
            (scan(&parts.list, vector, count), parts.graph.clone())
        };
        // After the list: what moves in between is in both, not in none.
        if let Some(graph) = graph {
            for near in graph.nearest(vector, count)? {
                if found.iter().all(|(number, _)| *number != near.0) {
                    found.push(near);
                }
            }
            sort(&mut found, count);
        }
        Ok(found)
    }

    /// Number and similarity of all that are at least this similar, in no order. None is overlooked.
    pub(super) fn within(&self, vector: &[f32], radius: f32) -> Result<Vec<(u64, f32)>, String> {
        self.check(vector)?;
        let (mut found, graph) = {
            let parts = self.parts.read();
            let all = scan(&parts.list, vector, parts.list.len());
            (all, parts.graph.clone())
        };
        found.retain(|(_, similarity)| *similarity >= radius);
        if let Some(graph) = graph {
            found.extend(graph.within(vector, radius)?);
        }
        Ok(found)
    }

    fn check(&self, vector: &[f32]) -> Result<(), String> {
        if vector.len() == self.dimensions {
            return Ok(());
        }
        Err(format!(
            "a vector of {} dimensions where {} are",
            vector.len(),
            self.dimensions
        ))
    }
}

/// A vector of length 1 in half the bytes.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the value is clamped to what fits"
)]
#[must_use]
pub fn pack(vector: &[f32]) -> Vec<i16> {
    let pack = |x: &f32| (x.clamp(-1.0, 1.0) * SCALE).round() as i16;
    vector.iter().map(pack).collect()
}

/// The vector that was packed.
#[must_use]
pub fn unpack(packed: &[i16]) -> Vec<f32> {
    packed.iter().map(|x| f32::from(*x) / SCALE).collect()
}

fn scan(list: &[Listed], vector: &[f32], count: usize) -> Vec<(u64, f32)> {
    let mut all: Vec<_> = list
        .iter()
        .map(|(number, other)| (*number, dot(other, vector) / SCALE))
        .collect();
    sort(&mut all, count);
    all
}

fn sort(found: &mut Vec<(u64, f32)>, count: usize) {
    found.sort_unstable_by(|a, b| b.1.total_cmp(&a.1));
    found.truncate(count);
}

/// Eight sums side by side, since one sum in order could not be spread over vector lanes.
fn dot(packed: &[i16], vector: &[f32]) -> f32 {
    let mut sums = [0f32; 8];
    let (left, right) = (packed.chunks_exact(8), vector.chunks_exact(8));
    let rest: f32 = left
        .remainder()
        .iter()
        .zip(right.remainder())
        .map(|(a, b)| f32::from(*a) * b)
        .sum();
    for (a, b) in left.zip(right) {
        for lane in 0..8 {
            sums[lane] += f32::from(a[lane]) * b[lane];
        }
    }
    sums.iter().sum::<f32>() + rest
}
