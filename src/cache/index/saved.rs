//! Large graphs, kept in a folder: building one of a million vectors anew takes a core ten minutes and more.
//!
//! Each class has two files, `CLASS.graph` as `usearch` writes it and `CLASS.keys` with what the vectors are vectors of:
//!
//! ```text
//!  magic 8 │ model 32 │ class 32 │ dimensions 4 │ free 8 │ hash of the graph 32 │ (number 8, key 32)* │ hash of all that 32
//! ```
//!
//! Files that are not whole, or of another model, are as good as none. What was kept need not be the newest: a vector counts
//! only once its entry is known to be there ([`Index::adopt`]), those that are missing are added, the others leave.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;

use super::graph::Graph;
use super::{Class, Index, Kept};

const MAGIC: &[u8; 8] = b"tgindex1";

/// In place of the key of a request: this one was removed, and is still in the graph. No request has it, since keys are hashes.
const REMOVED: [u8; 32] = [0xff; 32];

/// Smaller graphs are built anew in less time than it takes to read many files.
const WORTH_IT: usize = 1024;

/// Items looked at under one lock.
const PART: usize = 10_000;

/// Vectors that lie in graphs which were read, and wait for their entries.
#[derive(Debug, Default)]
pub struct Saved {
    /// Class and number by the key of the request.
    waiting: HashMap<[u8; 32], ([u8; 32], u64)>,
}

impl Saved {
    /// How many wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

struct Keys {
    class: [u8; 32],
    dimensions: usize,
    free: usize,
    graph: [u8; 32],
    items: Vec<(u64, [u8; 32])>,
}

impl Index {
    /// Keeps the large graphs in a folder, in place of what is there; how many vectors. Nothing may be added to graphs
    /// meanwhile.
    ///
    /// # Errors
    /// When something cannot be written.
    pub fn save(&self, folder: &Path, model: &[u8; 32]) -> io::Result<usize> {
        let graphs: HashMap<[u8; 32], (usize, Arc<Graph>)> = {
            let maps = self.maps.read();
            let classes = maps.classes.iter();
            let graphs = classes.filter_map(|(class, kept)| {
                let graph = kept.class.graph()?;
                Some((*class, (kept.class.dimensions(), graph)))
            });
            graphs
                .filter(|(_, (_, graph))| graph.len() >= WORTH_IT)
                .collect()
        };
        if graphs.is_empty() && !folder.exists() {
            return Ok(0);
        }
        let mut make = fs::DirBuilder::new();
        // What was asked can be guessed from vectors.
        make.recursive(true).mode(0o700).create(folder)?;
        let mut items = self.items_of(&graphs);
        for (class, number) in self.removed_of(&graphs) {
            items.entry(class).or_default().push((number, REMOVED));
        }
        let mut names = HashSet::new();
        let mut saved = 0;
        for (class, (dimensions, graph)) in graphs {
            let items = items.remove(&class).unwrap_or_default();
            let name = blake3::Hash::from(class).to_hex();
            let (into, keys) = (
                folder.join(format!("{name}.graph")),
                folder.join(format!("{name}.keys")),
            );
            let partial = folder.join(format!("{name}.partial"));
            let free = graph.save(&partial).map_err(io::Error::other)?;
            let hash = hash_of(&partial)?;
            fs::rename(&partial, &into)?;
            saved += items.len();
            let bytes = Keys {
                class,
                dimensions,
                free,
                graph: hash,
                items,
            }
            .bytes(model);
            fs::File::create(&partial)?.write_all(&bytes)?;
            fs::rename(&partial, &keys)?;
            names.insert(into);
            names.insert(keys);
        }
        for file in fs::read_dir(folder)?.flatten() {
            if !names.contains(&file.path()) {
                fs::remove_file(file.path())?;
            }
        }
        Ok(saved)
    }

    fn items_of(
        &self,
        graphs: &HashMap<[u8; 32], (usize, Arc<Graph>)>,
    ) -> HashMap<[u8; 32], Vec<(u64, [u8; 32])>> {
        let mut items: HashMap<_, Vec<_>> = HashMap::new();
        let mut from = 0;
        loop {
            let part: Vec<_> = {
                let maps = self.maps.read();
                let part = maps.items.range(from..).take(PART);
                part.map(|(number, item)| (*number, *item)).collect()
            };
            let Some((last, _)) = part.last() else {
                return items;
            };
            from = last + 1;
            for (number, item) in part {
                if let Some((_, graph)) = graphs.get(&item.class)
                    && graph.contains(number)
                {
                    let of_class = items.entry(item.class).or_default();
                    of_class.push((number, item.exact));
                }
            }
        }
    }

    /// Those that left since the last [`Index::settle`].
    fn removed_of(&self, graphs: &HashMap<[u8; 32], (usize, Arc<Graph>)>) -> Vec<([u8; 32], u64)> {
        let of = graphs
            .iter()
            .map(|(class, (_, graph))| (Arc::as_ptr(graph), *class));
        let of: HashMap<_, _> = of.collect();
        let due = self.due.lock();
        let removed = due.dead.iter().filter_map(|(class, number)| {
            let graph = class.graph().filter(|graph| graph.contains(*number))?;
            Some((*of.get(&Arc::as_ptr(&graph))?, *number))
        });
        removed.collect()
    }

    /// Reads the graphs that were kept of this model. Their vectors are not found before they are adopted.
    #[must_use]
    pub fn load(&self, folder: &Path, model: &[u8; 32]) -> Saved {
        let mut saved = Saved::default();
        let Ok(files) = fs::read_dir(folder) else {
            return saved;
        };
        for file in files.flatten() {
            let path = file.path();
            if path.extension().is_none_or(|ending| ending != "keys") {
                continue;
            }
            match self.load_one(&path, model) {
                Ok(keys) => {
                    let items = keys.items.into_iter().filter(|(_, key)| *key != REMOVED);
                    let items = items.map(|(number, exact)| (exact, (keys.class, number)));
                    saved.waiting.extend(items);
                }
                Err(error) => log::warn!(
                    "semantic index: {}: {error}; building it anew",
                    path.display()
                ),
            }
        }
        saved
    }

    fn load_one(&self, path: &Path, model: &[u8; 32]) -> io::Result<Keys> {
        let keys = Keys::read(&fs::read(path)?, model)
            .ok_or_else(|| io::Error::other("not what was written for this model"))?;
        if keys.items.iter().any(|(number, _)| *number >= self.first) {
            return Err(io::Error::other("of a later time than now"));
        }
        let graph = path.with_extension("graph");
        // `usearch` believes what it reads.
        if hash_of(&graph)? != keys.graph {
            return Err(io::Error::other("its graph is not what was written"));
        }
        let graph = Graph::load(&graph, keys.dimensions, keys.free).map_err(io::Error::other)?;
        let mut maps = self.maps.write();
        let kept = maps.classes.entry(keys.class).or_insert_with(|| Kept {
            class: Arc::new(Class::new(keys.dimensions)),
            items: 0,
        });
        if kept.class.dimensions() != keys.dimensions || !kept.class.take(graph) {
            return Err(io::Error::other("its class has a graph already"));
        }
        let class = Arc::clone(&kept.class);
        drop(maps);
        let removed = keys.items.iter().filter(|(_, key)| *key == REMOVED);
        let removed = removed.map(|(number, _)| (Arc::clone(&class), *number));
        self.due.lock().dead.extend(removed);
        Ok(keys)
    }

    /// Has the vector of a request found again if it is among those that were kept; whether it is.
    pub fn adopt(&self, saved: &mut Saved, class: [u8; 32], exact: [u8; 32]) -> bool {
        let Some((of, number)) = saved.waiting.get(&exact).copied() else {
            return false;
        };
        let mut maps = self.maps.write();
        // Newer ones have come in the meantime.
        if of != class || maps.numbers.contains_key(&exact) || maps.items.len() >= self.max {
            return false;
        }
        let Some(graph) = maps.classes.get(&class).and_then(|kept| kept.class.graph()) else {
            return false;
        };
        if !graph.contains(number) {
            return false;
        }
        saved.waiting.remove(&exact);
        let dimensions = 0;
        maps.enter(number, class, exact, || Class::new(dimensions));
        true
    }

    /// Removes those that were kept and whose entries are gone.
    pub fn release(&self, saved: Saved) {
        let mut due = self.due.lock();
        let mut maps = self.maps.write();
        for (class, number) in saved.waiting.into_values() {
            if let Some(kept) = maps.classes.get(&class) {
                due.dead.push((Arc::clone(&kept.class), number));
            }
        }
        maps.classes.retain(|_, kept| kept.items > 0);
    }
}

impl Keys {
    fn bytes(&self, model: &[u8; 32]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(160 + 40 * self.items.len());
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(model);
        bytes.extend_from_slice(&self.class);
        bytes.extend_from_slice(&u32::try_from(self.dimensions).unwrap_or(0).to_le_bytes());
        bytes.extend_from_slice(&(self.free as u64).to_le_bytes());
        bytes.extend_from_slice(&self.graph);
        for (number, exact) in &self.items {
            bytes.extend_from_slice(&number.to_le_bytes());
            bytes.extend_from_slice(exact);
        }
        let hash = blake3::hash(&bytes);
        bytes.extend_from_slice(hash.as_bytes());
        bytes
    }

    fn read(bytes: &[u8], model: &[u8; 32]) -> Option<Self> {
        let (bytes, hash) = bytes.split_last_chunk::<32>()?;
        if blake3::hash(bytes).as_bytes() != hash {
            return None;
        }
        let (magic, rest) = bytes.split_first_chunk::<8>()?;
        let (of, rest) = rest.split_first_chunk::<32>()?;
        if magic != MAGIC || of != model {
            return None;
        }
        let (class, rest) = rest.split_first_chunk::<32>()?;
        let (dimensions, rest) = rest.split_first_chunk::<4>()?;
        let (free, rest) = rest.split_first_chunk::<8>()?;
        let (graph, rest) = rest.split_first_chunk::<32>()?;
        let items = rest.chunks_exact(40).map(|item| {
            let (number, exact) = item.split_first_chunk::<8>()?;
            Some((u64::from_le_bytes(*number), *exact.first_chunk::<32>()?))
        });
        Some(Self {
            class: *class,
            dimensions: u32::from_le_bytes(*dimensions).try_into().ok()?,
            free: u64::from_le_bytes(*free).try_into().ok()?,
            graph: *graph,
            items: items.collect::<Option<_>>()?,
        })
    }
}

fn hash_of(path: &Path) -> io::Result<[u8; 32]> {
    let mut file = fs::File::open(path)?;
    let mut hash = blake3::Hasher::new();
    let mut part = vec![0; 1 << 20];
    loop {
        match file.read(&mut part)? {
            0 => return Ok(*hash.finalize().as_bytes()),
            read => hash.update(&part[..read]),
        };
    }
}

#[cfg(test)]
mod tests;
