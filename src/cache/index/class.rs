//! The vectors of one class: a list while they are few, a graph once they are many.

use usearch::{Index as Graph, IndexOptions, MetricKind, ScalarKind};

/// Vectors from which on a class is a graph.
pub(super) const GRAPH_FROM: usize = 256;

/// Full scale of a stored component. Vectors have length 1, so components lie within -1 to 1, and 16 bits of fixed point
/// resolve them finer than a 16-bit float.
const SCALE: f32 = 32_767.0;

/// Only the index's own thread uses a graph.
const THREADS: usize = 1;

/// The vectors of one class, each with its number.
pub(super) struct Class {
    dimensions: usize,
    store: Store,
}

enum Store {
    List(Vec<(u64, Box<[i16]>)>),
    Graph(Graph),
}

impl std::fmt::Debug for Class {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Class")
            .field("dimensions", &self.dimensions)
            .field("len", &self.len())
            .finish()
    }
}

impl Class {
    pub(super) fn new(dimensions: usize) -> Self {
        Self {
            dimensions,
            store: Store::List(Vec::new()),
        }
    }

    pub(super) fn len(&self) -> usize {
        match &self.store {
            Store::List(list) => list.len(),
            Store::Graph(graph) => graph.size(),
        }
    }

    /// Memory that it takes, in bytes. What it holds for itself without any vector is not counted.
    pub(super) fn bytes(&self) -> usize {
        match &self.store {
            Store::List(list) => {
                list.len() * (size_of::<(u64, Box<[i16]>)>() + self.dimensions * size_of::<i16>())
            }
            Store::Graph(graph) => graph.memory_usage(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn add(&mut self, number: u64, vector: &[f32]) -> Result<(), String> {
        self.check(vector)?;
        if let Store::List(list) = &self.store
            && list.len() >= GRAPH_FROM
        {
            self.store = Store::Graph(graph_of(self.dimensions, list)?);
        }
        match &mut self.store {
            Store::List(list) => list.push((number, pack(vector).into())),
            Store::Graph(graph) => insert(graph, number, vector)?,
        }
        Ok(())
    }

    pub(super) fn remove(&mut self, number: u64) {
        match &mut self.store {
            // Numbers are added in rising order and order is kept, so that the search can halve.
            Store::List(list) => {
                if let Ok(at) = list.binary_search_by_key(&number, |(number, _)| *number) {
                    list.remove(at);
                }
            }
            Store::Graph(graph) => {
                if let Err(error) = graph.remove(number) {
                    log::warn!("semantic index: removing a vector: {error}");
                }
            }
        }
    }

    /// Number and similarity of the nearest, nearest first.
    pub(super) fn nearest(&self, vector: &[f32], count: usize) -> Result<Vec<(u64, f32)>, String> {
        self.check(vector)?;
        match &self.store {
            Store::List(list) => Ok(scan(list, vector, count)),
            Store::Graph(graph) => {
                let found = graph
                    .search(vector, count)
                    .map_err(|error| error.to_string())?;
                Ok(found
                    .keys
                    .into_iter()
                    .zip(found.distances.into_iter().map(|distance| 1.0 - distance))
                    .collect())
            }
        }
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

fn graph_of(dimensions: usize, list: &[(u64, Box<[i16]>)]) -> Result<Graph, String> {
    let options = IndexOptions {
        dimensions,
        metric: MetricKind::Cos,
        quantization: ScalarKind::F16,
        ..IndexOptions::default()
    };
    let graph = Graph::new(&options).map_err(|error| error.to_string())?;
    reserve(&graph, 2 * GRAPH_FROM)?;
    for (number, vector) in list {
        insert(&graph, *number, &unpack(vector))?;
    }
    Ok(graph)
}

/// `usearch` writes out of bounds rather than grow by itself, so room is made first.
fn insert(graph: &Graph, number: u64, vector: &[f32]) -> Result<(), String> {
    if graph.size() + 1 >= graph.capacity() {
        reserve(graph, graph.capacity() * 2)?;
    }
    graph.add(number, vector).map_err(|error| error.to_string())
}

fn reserve(graph: &Graph, capacity: usize) -> Result<(), String> {
    graph
        .reserve_capacity_and_threads(capacity, THREADS)
        .map_err(|error| error.to_string())
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

fn scan(list: &[(u64, Box<[i16]>)], vector: &[f32], count: usize) -> Vec<(u64, f32)> {
    let mut all: Vec<_> = list
        .iter()
        .map(|(number, other)| (*number, dot(other, vector) / SCALE))
        .collect();
    all.sort_unstable_by(|a, b| b.1.total_cmp(&a.1));
    all.truncate(count);
    all
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
