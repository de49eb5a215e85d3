//! A part of the store behind one lock: entries in a row, to be sampled, and their places by key.

use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::Instant;

use foldhash::quality::RandomState;

use super::super::entry::Entry;
use super::value::{Clock, Worth};

/// Entries looked at to find one that may leave. Redis takes 5; of 16 the lowest lies in the lowest sixth 95 times in 100.
const SAMPLE: usize = 16;

/// Entries of the sample that lie side by side, where the processor finds them at once. Those that leave are replaced by the
/// last, so that neighbours soon have nothing to do with each other.
const RUN: usize = 4;

/// Entries that one sweep looks at.
const SWEEP: usize = 4096;

#[derive(Debug, Default)]
pub(super) struct Shard {
    places: HashMap<Key, usize, RandomState>,
    slots: Vec<Slot>,
    /// Where the search for entries whose time is over goes on.
    cursor: usize,
}

/// The key of an entry, hashed by half: it is a hash itself, and no two are known that agree in 128 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Key([u8; 32]);

impl Key {
    pub(super) fn of(exact: &[u8; 32]) -> Self {
        Self(*exact)
    }
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        if let Some(half) = self.0.first_chunk() {
            state.write_u128(u128::from_le_bytes(*half));
        }
    }
}

/// An entry, and what is asked of many to find one that may leave: entries themselves lie all over memory.
#[derive(Debug)]
pub(super) struct Slot {
    entry: Arc<Entry>,
    ends: Option<Instant>,
    worth: Worth,
}

impl Slot {
    fn new(entry: Arc<Entry>, worth: Worth) -> Self {
        Self {
            ends: entry.ends(),
            entry,
            worth,
        }
    }

    /// Whether the entry is over at `now`.
    fn over(&self, now: Instant) -> bool {
        self.ends.is_some_and(|end| end <= now)
    }

    /// What leaves first has the least.
    fn rank(&self, now: Instant) -> f64 {
        match self.over(now) {
            true => f64::NEG_INFINITY,
            false => self.worth.priority(),
        }
    }

    pub(super) fn entry(&self) -> &Arc<Entry> {
        &self.entry
    }

    pub(super) fn used(&self, clock: &Clock) {
        self.worth.used(clock);
    }
}

impl Shard {
    pub(super) fn get(&self, exact: &[u8; 32]) -> Option<&Slot> {
        self.slots.get(*self.places.get(&Key::of(exact))?)
    }

    /// The entry that was there before, if any.
    pub(super) fn put(&mut self, entry: Arc<Entry>, clock: &Clock) -> Option<Arc<Entry>> {
        let worth = Worth::of(&entry, clock);
        if let Some(slot) = self
            .places
            .get(&Key::of(&entry.exact))
            .and_then(|at| self.slots.get_mut(*at))
        {
            let worth = worth.after(&slot.worth, clock);
            return Some(std::mem::replace(slot, Slot::new(entry, worth)).entry);
        }
        self.places.insert(Key::of(&entry.exact), self.slots.len());
        self.slots.push(Slot::new(entry, worth));
        None
    }

    pub(super) fn remove(&mut self, exact: &[u8; 32]) -> Option<Arc<Entry>> {
        let at = self.places.remove(&Key::of(exact))?;
        let gone = self.slots.swap_remove(at).entry;
        if let Some(moved) = self.slots.get(at) {
            self.places.insert(Key::of(&moved.entry.exact), at);
        }
        Some(gone)
    }

    fn remove_at(&mut self, at: usize) -> Option<Arc<Entry>> {
        let exact = self.slots.get(at)?.entry.exact;
        self.remove(&exact)
    }

    /// Sends away the entry of lowest priority in a sample, one whose time is over before all others.
    pub(super) fn evict(&mut self, now: Instant) -> Option<(Arc<Entry>, f64)> {
        let count = self.slots.len();
        let mut least: Option<(usize, f64)> = None;
        let mut look = |from: usize, slots: &[Slot]| {
            for (at, slot) in (from..).zip(slots) {
                let rank = slot.rank(now);
                if least.is_none_or(|(_, known)| rank < known) {
                    least = Some((at, rank));
                }
            }
        };
        if count <= SAMPLE {
            look(0, &self.slots);
        } else {
            for _ in 0..SAMPLE / RUN {
                let from = fastrand::usize(..=count - RUN);
                look(from, &self.slots[from..from + RUN]);
            }
        }
        let (at, priority) = least?;
        self.remove_at(at).map(|gone| (gone, priority))
    }

    /// Looks at the next entry or two and removes one whose time is over: a little at each put.
    pub(super) fn next_over(&mut self, now: Instant) -> Option<Arc<Entry>> {
        for _ in 0..2 {
            self.cursor = if self.cursor < self.slots.len() {
                self.cursor
            } else {
                0
            };
            if self.slots.get(self.cursor)?.over(now) {
                return self.remove_at(self.cursor);
            }
            self.cursor += 1;
        }
        None
    }

    /// Removes what is over among the next [`SWEEP`] entries.
    pub(super) fn sweep(&mut self, now: Instant) -> Vec<Arc<Entry>> {
        let mut over = Vec::new();
        for _ in 0..SWEEP.min(self.slots.len()) {
            over.extend(self.next_over(now));
        }
        over
    }

    pub(super) fn find(&self, which: &mut impl FnMut(&Entry) -> bool) -> Vec<Arc<Entry>> {
        let entries = self.slots.iter().map(|slot| &slot.entry);
        entries.filter(|entry| which(entry)).cloned().collect()
    }

    pub(super) fn each(&self, see: &mut impl FnMut(&Arc<Entry>)) {
        self.slots.iter().for_each(|slot| see(&slot.entry));
    }
}
