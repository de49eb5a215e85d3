//! How many wait in each class, readable without the lock of the waiting room.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::config::model::Priority;

const BITS: u32 = 21;
const MASK: u64 = (1 << BITS) - 1;

/// Most that can be counted in one class.
pub(super) const MAX: usize = MASK as usize;

/// Requests waiting, by class.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Waiting {
    /// First.
    pub high: usize,
    /// Default.
    pub normal: usize,
    /// Last.
    pub low: usize,
}

/// All three counts in one word, so that one load answers every question. Written under the room's lock only.
#[derive(Default)]
pub(super) struct Counts(AtomicU64);

impl Counts {
    pub(super) fn add(&self, class: Priority) {
        self.0.fetch_add(one(class), Ordering::SeqCst);
    }

    pub(super) fn remove(&self, class: Priority) {
        self.0.fetch_sub(one(class), Ordering::SeqCst);
    }

    pub(super) fn nobody(&self) -> bool {
        self.0.load(Ordering::SeqCst) == 0
    }

    pub(super) fn nobody_up_to(&self, class: Priority) -> bool {
        let fields = shift(class) + BITS;
        self.0.load(Ordering::SeqCst) & ((1 << fields) - 1) == 0
    }

    pub(super) fn load(&self) -> Waiting {
        let word = self.0.load(Ordering::SeqCst);
        let field = |class| ((word >> shift(class)) & MASK) as usize;
        Waiting {
            high: field(Priority::High),
            normal: field(Priority::Normal),
            low: field(Priority::Low),
        }
    }
}

fn shift(class: Priority) -> u32 {
    match class {
        Priority::High => 0,
        Priority::Normal => BITS,
        Priority::Low => 2 * BITS,
    }
}

fn one(class: Priority) -> u64 {
    1 << shift(class)
}
