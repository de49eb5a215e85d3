//! The KV memory of a simulated engine: blocks, shared by hash, evicted least recently used first.
//!
//! A block is *private* (one sequence writes into it), *shared* (full, known by the chained hash of its text, counted by
//! the sequences that use it) or *idle* (shared, used by none, kept until its room is needed). The sum never exceeds the
//! capacity.

use std::collections::{BTreeMap, HashMap};

/// What one sequence holds in a [`KvPool`]. Given back by [`KvPool::release`].
#[derive(Debug, Default)]
pub(super) struct Held {
    shared: Vec<u64>,
    private: u32,
}

impl Held {
    /// Blocks in all.
    pub(super) fn blocks(&self) -> u32 {
        self.shared.len() as u32 + self.private
    }
}

#[derive(Debug)]
struct Shared {
    users: u32,
    /// Key into `KvPool::idle` while `users` is zero.
    idle_since: u64,
}

/// All KV blocks of one engine.
#[derive(Debug)]
pub(super) struct KvPool {
    capacity: u32,
    private: u32,
    shared: HashMap<u64, Shared>,
    idle: BTreeMap<u64, u64>,
    clock: u64,
}

impl KvPool {
    pub(super) fn new(capacity: u32) -> Self {
        Self {
            capacity,
            private: 0,
            shared: HashMap::new(),
            idle: BTreeMap::new(),
            clock: 0,
        }
    }

    /// Blocks that a running sequence holds. Idle ones do not count: their room is free for the asking.
    pub(super) fn used(&self) -> u32 {
        self.private + (self.shared.len() - self.idle.len()) as u32
    }

    /// Blocks that exist at all, idle ones included.
    pub(super) fn resident(&self) -> u32 {
        self.private + self.shared.len() as u32
    }

    pub(super) fn capacity(&self) -> u32 {
        self.capacity
    }

    /// Takes `total` blocks for a sequence whose first full blocks are `known`, and says how many of them were found in
    /// memory. `None`, and nothing is taken, when fewer than `reserve` blocks would stay free.
    pub(super) fn admit(&mut self, known: &[u64], total: u32, reserve: u32) -> Option<(Held, u32)> {
        let hits: Vec<u64> = known
            .iter()
            .copied()
            .take_while(|hash| self.shared.contains_key(hash))
            .collect();
        let woken = hits
            .iter()
            .filter(|hash| self.shared.get(hash).is_some_and(|block| block.users == 0))
            .count() as u32;
        let fresh = total.saturating_sub(hits.len() as u32);
        if self.used() + woken + fresh + reserve > self.capacity {
            return None;
        }
        for hash in &hits {
            self.use_shared(*hash);
        }
        self.make_room(fresh);
        self.private += fresh;
        let found = hits.len() as u32;
        Some((
            Held {
                shared: hits,
                private: fresh,
            },
            found,
        ))
    }

    /// Takes one more block for a sequence.
    ///
    /// # Errors
    /// [`Full`] when every block is in use.
    pub(super) fn grow(&mut self, held: &mut Held) -> Result<(), Full> {
        if self.used() >= self.capacity {
            return Err(Full);
        }
        self.make_room(1);
        self.private += 1;
        held.private += 1;
        Ok(())
    }

    /// Makes the sequence's first `full.len()` blocks findable by others. Those that another sequence published
    /// meanwhile are merged with its own.
    pub(super) fn publish(&mut self, held: &mut Held, full: &[u64]) {
        for hash in full.iter().skip(held.shared.len()) {
            if held.private == 0 {
                return;
            }
            held.private -= 1;
            self.private -= 1;
            self.use_shared(*hash);
            held.shared.push(*hash);
        }
    }

    /// Gives everything back; shared blocks stay findable until their room is needed.
    pub(super) fn release(&mut self, held: Held) {
        self.private -= held.private;
        // Last block first, so that a chain is evicted from its end and its beginning stays useful.
        for hash in held.shared.iter().rev() {
            if let Some(block) = self.shared.get_mut(hash) {
                block.users -= 1;
                if block.users == 0 {
                    self.clock += 1;
                    block.idle_since = self.clock;
                    self.idle.insert(self.clock, *hash);
                }
            }
        }
    }

    fn use_shared(&mut self, hash: u64) {
        let block = self.shared.entry(hash).or_insert(Shared {
            users: 0,
            idle_since: 0,
        });
        if block.users == 0 {
            self.idle.remove(&block.idle_since);
        }
        block.users += 1;
    }

    fn make_room(&mut self, blocks: u32) {
        while self.resident() + blocks > self.capacity {
            let Some((_, hash)) = self.idle.pop_first() else {
                return;
            };
            self.shared.remove(&hash);
        }
    }
}

/// Every block is in use.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Full;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_published_chain_is_found_again_after_its_owner_left() {
        let mut pool = KvPool::new(10);
        let (mut held, hits) = pool.admit(&[1, 2, 3], 4, 0).unwrap();
        assert_eq!((hits, held.blocks(), pool.used()), (0, 4, 4));
        pool.publish(&mut held, &[1, 2, 3]);
        pool.release(held);
        assert_eq!((pool.used(), pool.resident()), (0, 3));
        let (held, hits) = pool.admit(&[1, 2, 9], 4, 0).unwrap();
        assert_eq!((hits, held.blocks(), pool.used()), (2, 4, 4));
    }

    #[test]
    fn idle_blocks_make_room_oldest_first_and_a_chain_loses_its_end_first() {
        let mut pool = KvPool::new(4);
        let (mut held, _) = pool.admit(&[1, 2, 3], 3, 0).unwrap();
        pool.publish(&mut held, &[1, 2, 3]);
        pool.release(held);
        let (other, _) = pool.admit(&[], 2, 0).unwrap();
        pool.release(other);
        assert_eq!(pool.admit(&[1, 2, 3], 3, 0).unwrap().1, 2);
    }

    #[test]
    fn a_block_that_two_sequences_compute_is_stored_once() {
        let mut pool = KvPool::new(10);
        let (mut a, _) = pool.admit(&[1, 2], 2, 0).unwrap();
        let (mut b, _) = pool.admit(&[1, 2], 2, 0).unwrap();
        assert_eq!(pool.used(), 4);
        pool.publish(&mut a, &[1, 2]);
        pool.publish(&mut b, &[1, 2]);
        assert_eq!(pool.used(), 2);
        pool.release(a);
        assert_eq!(pool.used(), 2);
        pool.release(b);
        assert_eq!(pool.used(), 0);
    }

    #[test]
    fn a_full_pool_refuses_and_keeps_its_reserve() {
        let mut pool = KvPool::new(3);
        assert!(pool.admit(&[], 3, 1).is_none());
        let (mut held, _) = pool.admit(&[], 3, 0).unwrap();
        assert_eq!(pool.grow(&mut held), Err(Full));
    }
}
