//! A part of the store behind one lock: entries in a row, to be sampled, and their places by key.

use std::sync::Arc;
use std::time::Instant;

use hashbrown::HashTable;
use hashbrown::hash_table::Entry as Place;

use super::super::entry::Entry;
use super::value::{Clock, Worth};

/// Entries looked at to find one that may leave. Redis takes 5; of 16 the lowest lies in the lowest sixth 95 times in 100.
const SAMPLE: usize = 16;

/// Entries of the sample that lie side by side, where the processor finds them at once. Those that leave are replaced by the
/// last, so that neighbours soon have nothing to do with each other.
const RUN: usize = 4;

/// Entries that one sweep looks at.
const SWEEP: usize = 4096;

/// Storing and sending away is to touch as little memory as it can, since next to nothing of a large cache is near the
/// processor: keys and entries themselves are looked at only where a hash has been found.
#[derive(Debug, Default)]
pub(super) struct Shard {
    /// Places in `slots` by hash.
    places: HashTable<u32>,
    slots: Vec<Slot>,
    /// Where the search for entries whose time is over goes on.
    cursor: usize,
}

/// An entry, and what is asked of many to find one that may leave: entries themselves lie all over memory.
#[derive(Debug)]
pub(super) struct Slot {
    entry: Arc<Entry>,
    /// Of its key.
    hash: u64,
    /// The lower half of its id.
    id: u64,
    ends: Option<Instant>,
    worth: Worth,
}

impl Slot {
    fn new(entry: Arc<Entry>, hash: u64, worth: Worth) -> Self {
        Self {
            hash,
            id: low(entry.number()),
            ends: entry.ends(),
            entry,
            worth,
        }
    }

    fn has(&self, hash: u64, exact: &[u8; 32]) -> bool {
        self.hash == hash && self.entry.exact == *exact
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

/// So many entries a shard can have: of a cache with ever so small ones that is terabytes.
const MOST: usize = u32::MAX as usize;

impl Shard {
    /// `hash` is that of `exact`, here and below.
    pub(super) fn get(&self, hash: u64, exact: &[u8; 32]) -> Option<&Slot> {
        let slot = |at: &u32| &self.slots[*at as usize];
        self.places
            .find(hash, |at| slot(at).has(hash, exact))
            .map(slot)
    }

    /// The entry of this id, looked for from end to end.
    pub(super) fn numbered(&self, number: u128) -> Option<&Arc<Entry>> {
        let alike = self.slots.iter().filter(|slot| slot.id == low(number));
        alike
            .map(|slot| &slot.entry)
            .find(|entry| entry.number() == number)
    }

    /// The entry that was there before, if any.
    pub(super) fn put(
        &mut self,
        hash: u64,
        entry: Arc<Entry>,
        clock: &Clock,
    ) -> Option<Arc<Entry>> {
        let Self { places, slots, .. } = self;
        let worth = Worth::of(&entry, clock);
        let same = |at: &u32| slots[*at as usize].has(hash, &entry.exact);
        match places.entry(hash, same, |at| slots[*at as usize].hash) {
            Place::Occupied(at) => {
                let slot = &mut slots[*at.get() as usize];
                let worth = worth.after(&slot.worth, clock);
                Some(std::mem::replace(slot, Slot::new(entry, hash, worth)).entry)
            }
            Place::Vacant(place) => {
                place.insert(index(slots.len()));
                slots.push(Slot::new(entry, hash, worth));
                None
            }
        }
    }

    /// Whether there is room for another entry.
    pub(super) fn has_room(&self) -> bool {
        self.slots.len() < MOST
    }

    pub(super) fn remove(&mut self, hash: u64, exact: &[u8; 32]) -> Option<Arc<Entry>> {
        let slots = &self.slots;
        let same = |at: &u32| slots[*at as usize].has(hash, exact);
        let at = *self.places.find(hash, same)?;
        self.remove_at(at as usize)
    }

    fn remove_at(&mut self, at: usize) -> Option<Arc<Entry>> {
        let hash = self.slots.get(at)?.hash;
        let place = index(at);
        if let Ok(found) = self.places.find_entry(hash, |known| *known == place) {
            found.remove();
        }
        let gone = self.slots.swap_remove(at).entry;
        if let Some(moved) = self.slots.get(at) {
            let last = index(self.slots.len());
            if let Some(known) = self.places.find_mut(moved.hash, |known| *known == last) {
                *known = place;
            }
        }
        Some(gone)
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

#[expect(clippy::cast_possible_truncation, reason = "at most `MOST`")]
fn index(at: usize) -> u32 {
    at as u32
}

#[expect(clippy::cast_possible_truncation, reason = "the lower half is wanted")]
fn low(number: u128) -> u64 {
    number as u64
}
