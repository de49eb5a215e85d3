//! Vectors of texts seen before, bounded in bytes.
//!
//! They belong to one embedder and so to one model. `moka` keeps what is asked for often.

use std::sync::Arc;

use moka::sync::Cache;

use super::queue::Key;

/// What a vector takes besides its components, in bytes, roughly: its key twice, its counts and links.
const AROUND: usize = 256;

/// Vectors by the hash of their text.
#[derive(Debug)]
pub(super) struct Memory {
    vectors: Option<Cache<Key, Arc<[f32]>>>,
}

impl Memory {
    /// A memory of at most `max_bytes` bytes; with 0 it remembers nothing.
    pub(super) fn new(max_bytes: u64) -> Self {
        let weight = |_: &Key, vector: &Arc<[f32]>| {
            u32::try_from(size_of_val(&**vector) + AROUND).unwrap_or(u32::MAX)
        };
        let cache = || {
            Cache::builder()
                .max_capacity(max_bytes)
                .weigher(weight)
                .build()
        };
        Self {
            vectors: (max_bytes > 0).then(cache),
        }
    }

    pub(super) fn get(&self, key: &Key) -> Option<Arc<[f32]>> {
        self.vectors.as_ref()?.get(key)
    }

    pub(super) fn put(&self, key: Key, vector: Arc<[f32]>) {
        if let Some(vectors) = &self.vectors {
            vectors.insert(key, vector);
        }
    }

    pub(super) fn vectors(&self) -> u64 {
        self.vectors.as_ref().map_or(0, |vectors| {
            vectors.run_pending_tasks();
            vectors.entry_count()
        })
    }

    pub(super) fn bytes(&self) -> u64 {
        self.vectors.as_ref().map_or(0, |vectors| {
            vectors.run_pending_tasks();
            vectors.weighted_size()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vector(x: f32) -> Arc<[f32]> {
        Arc::from(vec![x; 100])
    }

    #[test]
    fn what_was_put_is_remembered_within_the_bytes_allowed() {
        let memory = Memory::new(50_000);
        for n in 0..=255 {
            memory.put([n; 32], vector(f32::from(n)));
        }
        assert!(memory.bytes() <= 50_000, "{}", memory.bytes());
        assert!(
            (20..=76).contains(&memory.vectors()),
            "{}",
            memory.vectors()
        );
        memory.put([7; 32], vector(7.5));
        let held = memory.get(&[7; 32]).map_or(7.5, |vector| vector[0]);
        assert!((held - 7.5).abs() < f32::EPSILON);
    }

    #[test]
    fn a_memory_of_no_bytes_remembers_nothing() {
        let memory = Memory::new(0);
        memory.put([1; 32], vector(1.0));
        assert!(memory.get(&[1; 32]).is_none());
        assert_eq!((memory.vectors(), memory.bytes()), (0, 0));
    }
}
