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
use shard::Shard;
use value::Clock;

use super::entry::{Entry, number};

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
    /// Keys of those whose ids do not lead to their shards. Taken while a shard is held, never the other way round.
    strays: RwLock<Strays>,
    spread: RandomState,
    clock: Clock,
    bytes: AtomicU64,
    entries: AtomicU64,
    max_bytes: u64,
    /// How long entries are of use after their life.
    grace: Duration,
}

/// Entries that were numbered elsewhere: those of an earlier process, or of a store of another size.
type Strays = HashMap<u128, [u8; 32], RandomState>;

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
            strays: RwLock::default(),
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
        let hash = self.hash(exact);
        let shard = self.shard(hash).read();
        let slot = shard.get(hash, exact)?;
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
        let hash = self.hash(exact);
        let shard = self.shard(hash).read();
        shard.get(hash, exact).map(|slot| Arc::clone(slot.entry()))
    }

    /// An id for an entry of this key that leads to where it will be.
    #[must_use]
    pub fn number_for(&self, exact: &[u8; 32]) -> u128 {
        let shards = self.shards.len() as u128;
        let number = fastrand::u128(..u128::MAX - shards);
        number - number % shards + self.place(self.hash(exact)) as u128
    }

    /// The entry of this id, fresh or not. Looks through a shard, a 64th of all in a large store.
    #[must_use]
    pub fn get_by_id(&self, id: &str) -> Option<Arc<Entry>> {
        let number = number(id)?;
        let stray = self.strays.read().get(&number).copied();
        let entry = match stray {
            Some(exact) => self.peek(&exact)?,
            None => {
                let shard = self.shards.get(self.leads_to(number))?.read();
                Arc::clone(shard.numbered(number)?)
            }
        };
        (entry.number() == number).then_some(entry)
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
        let hash = self.hash(&entry.exact);
        let mut shard = self.shard(hash).write();
        let known = !replace && shard.get(hash, &entry.exact).is_some();
        if known || !shard.has_room() {
            self.bytes.fetch_sub(weight, Ordering::Relaxed);
            return put;
        }
        let (number, exact) = (entry.number(), entry.exact);
        if let Some(before) = shard.put(hash, entry, &self.clock) {
            self.forget(&before);
        }
        if self.leads_to(number) != self.place(hash) {
            self.strays.write().insert(number, exact);
        }
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

    /// Removes an entry if it is still the one of its key.
    pub fn remove_exactly(&self, entry: &Entry) -> Option<Arc<Entry>> {
        self.remove_which(&entry.exact, |held| held.number() == entry.number())
    }

    fn remove_which(
        &self,
        exact: &[u8; 32],
        which: impl FnOnce(&Entry) -> bool,
    ) -> Option<Arc<Entry>> {
        let hash = self.hash(exact);
        let mut shard = self.shard(hash).write();
        if !which(shard.get(hash, exact)?.entry()) {
            return None;
        }
        let gone = shard.remove(hash, exact)?;
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
                if let Some(gone) = self.remove_exactly(&entry) {
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

    /// Of half a key: it is a hash itself, and no two are known that agree in 128 bits.
    fn hash(&self, exact: &[u8; 32]) -> u64 {
        self.spread.hash_one(exact.first_chunk::<16>())
    }

    fn shard(&self, hash: u64) -> &RwLock<Shard> {
        &self.shards[self.place(hash)]
    }

    /// By bits that the table of a shard goes by least.
    fn place(&self, hash: u64) -> usize {
        (hash >> 40) as usize % self.shards.len()
    }

    fn leads_to(&self, number: u128) -> usize {
        (number % self.shards.len() as u128) as usize
    }

    /// An entry is gone from its shard, which is still held.
    fn forget(&self, gone: &Entry) {
        let place = self.place(self.hash(&gone.exact));
        if self.leads_to(gone.number()) != place {
            self.strays.write().remove(&gone.number());
        }
        self.bytes
            .fetch_sub(gone.weight_bytes() as u64, Ordering::Relaxed);
        self.entries.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
