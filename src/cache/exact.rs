//! The store of answers: bounded in bytes, each entry with a life of its own, found by the whole 256-bit key.
//!
//! What leaves when room is needed is what is cheapest to lose for the bytes that it holds (GreedyDual-Size-Frequency,
//! Cherkasova 1998): each entry has the priority `clock + uses * tokens / bytes`, the lowest of a small random sample
//! leaves, and the clock rises to the priority of what left, so that what is used no more grows old. An exact order would
//! need a lock around every hit; a sample needs none.
//!
//! Nothing here knows of the disk or of vectors: whatever leaves is handed to the caller.

mod shard;
mod value;

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use foldhash::quality::RandomState;
use parking_lot::RwLock;

use super::entry::{Entry, number};
use shard::{Key, Shard};
use value::Clock;

/// A shard for each so many bytes of the bound, so that a small cache is sampled as a whole.
const BYTES_PER_SHARD: u64 = 8 << 20;

/// Most shards: beyond, threads hardly ever meet in one.
const MOST_SHARDS: u64 = 64;

/// Times that room is looked for while others take what was freed.
const TRIES: usize = 10_000;

/// Answers by key.
#[derive(Debug)]
pub struct Exact {
    shards: Box<[RwLock<Shard>]>,
    /// Keys by id. Taken while a shard is held, never the other way round.
    ids: Box<[RwLock<Ids>]>,
    spread: RandomState,
    clock: Clock,
    bytes: AtomicU64,
    entries: AtomicU64,
    max_bytes: u64,
    /// How long entries are of use after their life.
    grace: Duration,
}

/// Ids are random and keys are hashes already: nobody can choose many that meet in one place.
type Ids = HashMap<u128, [u8; 32], RandomState>;

/// What was removed, or would be.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Removed {
    /// Entries.
    pub entries: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Their keys.
    pub keys: Vec<[u8; 32]>,
}

/// What came of putting an entry.
#[derive(Debug, Default)]
#[must_use = "what left must leave the index and the disk too"]
pub struct Put {
    /// Whether it is held now; one larger than the whole store is not.
    pub held: bool,
    /// Entries that left: for room, or because their time was over. An entry replaced by one of its own key is not among
    /// them.
    pub left: Vec<Arc<Entry>>,
}

impl Removed {
    fn count(&mut self, entry: &Entry) {
        self.entries += 1;
        self.bytes += entry.weight_bytes() as u64;
        self.keys.push(entry.exact);
    }
}

impl Exact {
    /// A store of at most `max_bytes` bytes.
    #[must_use]
    pub fn new(max_bytes: u64) -> Self {
        let shards = (max_bytes / BYTES_PER_SHARD).clamp(1, MOST_SHARDS);
        Self {
            shards: (0..shards).map(|_| RwLock::default()).collect(),
            ids: (0..shards).map(|_| RwLock::default()).collect(),
            spread: RandomState::default(),
            clock: Clock::default(),
            bytes: AtomicU64::new(0),
            entries: AtomicU64::new(0),
            max_bytes,
            grace: Duration::ZERO,
        }
    }

    /// Keeps entries for so long after their life, for [`Self::peek`].
    #[must_use]
    pub fn keeping(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// When the life of what is of no use at `now` was over.
    fn past(&self, now: Instant) -> Instant {
        now.checked_sub(self.grace).unwrap_or(now)
    }

    /// The answer to exactly this request, if it is fresh at `now` and no older than `max_age`.
    #[must_use]
    pub fn get(
        &self,
        exact: &[u8; 32],
        now: Instant,
        max_age: Option<Duration>,
    ) -> Option<Arc<Entry>> {
        let shard = self.shard(exact).read();
        let slot = shard.get(exact)?;
        let entry = slot.entry();
        if !entry.fresh(now, max_age) {
            return None;
        }
        slot.used(&self.clock);
        Some(Arc::clone(entry))
    }

    /// The entry of this key, fresh or not, without its being taken for used.
    #[must_use]
    pub fn peek(&self, exact: &[u8; 32]) -> Option<Arc<Entry>> {
        let shard = self.shard(exact).read();
        shard.get(exact).map(|slot| Arc::clone(slot.entry()))
    }

    /// The entry of this id, fresh or not.
    #[must_use]
    pub fn get_by_id(&self, id: &str) -> Option<Arc<Entry>> {
        let number = number(id)?;
        let exact = *self.ids_of(number).read().get(&number)?;
        self.peek(&exact).filter(|entry| entry.id == id)
    }

    /// Stores an entry in place of any with the same key.
    pub fn put(&self, entry: Arc<Entry>, now: Instant) -> Put {
        self.store(entry, now, true)
    }

    /// Stores an entry unless there is one with its key already.
    pub fn put_if_absent(&self, entry: Arc<Entry>, now: Instant) -> Put {
        self.store(entry, now, false)
    }

    fn store(&self, entry: Arc<Entry>, now: Instant, replace: bool) -> Put {
        let weight = entry.weight_bytes() as u64;
        let mut put = Put::default();
        if !self.make_room(weight, now, &mut put.left) {
            return put;
        }
        let mut shard = self.shard(&entry.exact).write();
        if !replace && shard.get(&entry.exact).is_some() {
            self.bytes.fetch_sub(weight, Ordering::Relaxed);
            return put;
        }
        if let Some(before) = shard.put(Arc::clone(&entry), &self.clock) {
            self.forget(&before);
        }
        self.name(&entry);
        self.entries.fetch_add(1, Ordering::Relaxed);
        if let Some(over) = shard.next_over(self.past(now)) {
            self.forget(&over);
            put.left.push(over);
        }
        put.held = true;
        put
    }

    /// Removes the entry of this key.
    pub fn remove(&self, exact: &[u8; 32]) -> Option<Arc<Entry>> {
        self.remove_which(exact, |_| true)
    }

    /// Removes the entry of this key if it is the very one with this id.
    pub fn remove_exactly(&self, exact: &[u8; 32], id: &str) -> Option<Arc<Entry>> {
        self.remove_which(exact, |entry| entry.id == id)
    }

    fn remove_which(
        &self,
        exact: &[u8; 32],
        which: impl FnOnce(&Entry) -> bool,
    ) -> Option<Arc<Entry>> {
        let mut shard = self.shard(exact).write();
        if !which(shard.get(exact)?.entry()) {
            return None;
        }
        let gone = shard.remove(exact)?;
        self.forget(&gone);
        Some(gone)
    }

    /// Removes all entries for which `which` holds. Looks at every entry: not for the event loop.
    pub fn remove_if(&self, mut which: impl FnMut(&Entry) -> bool) -> Removed {
        let mut removed = Removed::default();
        for shard in &self.shards {
            // Looked for under the shared lock: hits go on meanwhile.
            let found = shard.read().find(&mut which);
            for entry in found {
                if let Some(gone) = self.remove_exactly(&entry.exact, &entry.id) {
                    removed.count(&gone);
                }
            }
        }
        removed
    }

    /// What [`Self::remove_if`] would remove.
    #[must_use]
    pub fn count_if(&self, mut which: impl FnMut(&Entry) -> bool) -> Removed {
        let mut found = Removed::default();
        self.each(|entry| {
            if which(entry) {
                found.count(entry);
            }
        });
        found
    }

    /// Shows every entry, in no order. Not for the event loop.
    pub fn each(&self, mut see: impl FnMut(&Arc<Entry>)) {
        for shard in &self.shards {
            shard.read().each(&mut see);
        }
    }

    /// Number of entries held.
    #[must_use]
    pub fn entries(&self) -> u64 {
        self.entries.load(Ordering::Relaxed)
    }

    /// Bytes of all entries held; never above [`Self::max_bytes`].
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Bound of [`Self::bytes`].
    #[must_use]
    pub fn max_bytes(&self) -> u64 {
        self.max_bytes
    }

    /// Removes entries whose time was over at `now`: a part of all at each call.
    #[must_use = "what left must leave the index and the disk too"]
    pub fn settle(&self, now: Instant) -> Vec<Arc<Entry>> {
        let mut left = Vec::new();
        for shard in &self.shards {
            let mut shard = shard.write();
            for over in shard.sweep(self.past(now)) {
                self.forget(&over);
                left.push(over);
            }
        }
        left
    }

    /// Takes `weight` bytes, sending others away for it. The bound holds at every moment.
    fn make_room(&self, weight: u64, now: Instant, left: &mut Vec<Arc<Entry>>) -> bool {
        if weight > self.max_bytes {
            return false;
        }
        for _ in 0..TRIES {
            let taken = self
                .bytes
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |bytes| {
                    (bytes + weight <= self.max_bytes).then_some(bytes + weight)
                });
            if taken.is_ok() {
                return true;
            }
            left.extend(self.evict(now));
        }
        false
    }

    fn evict(&self, now: Instant) -> Option<Arc<Entry>> {
        let first = fastrand::usize(..self.shards.len());
        let (before, after) = self.shards.split_at(first);
        for shard in after.iter().chain(before) {
            let mut shard = shard.write();
            if let Some((gone, priority)) = shard.evict(now) {
                self.forget(&gone);
                self.clock.rise(priority);
                return Some(gone);
            }
        }
        None
    }

    fn shard(&self, exact: &[u8; 32]) -> &RwLock<Shard> {
        &self.shards[self.place(&Key::of(exact))]
    }

    fn ids_of(&self, number: u128) -> &RwLock<Ids> {
        &self.ids[self.place(&number)]
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "only the remainder is wanted"
    )]
    fn place(&self, by: &impl std::hash::Hash) -> usize {
        self.spread.hash_one(by) as usize % self.shards.len()
    }

    fn name(&self, entry: &Entry) {
        let number = entry.number();
        self.ids_of(number).write().insert(number, entry.exact);
    }

    /// An entry is gone from its shard, which is still held.
    fn forget(&self, gone: &Entry) {
        let number = gone.number();
        self.ids_of(number).write().remove(&number);
        self.bytes
            .fetch_sub(gone.weight_bytes() as u64, Ordering::Relaxed);
        self.entries.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
