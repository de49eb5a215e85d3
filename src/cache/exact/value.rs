//! What an entry is worth to keep.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::super::entry::Entry;

/// What generating a token costs beside reading one. Providers charge three to five times as much.
const OUTPUT_WEIGHT: u64 = 4;

/// Bytes of text to a token, where a peer did not count.
const BYTES_PER_TOKEN: u64 = 4;

/// Priority of what left last; never falls.
#[derive(Debug, Default)]
pub(super) struct Clock(AtomicU64);

impl Clock {
    fn now(&self) -> f64 {
        f64::from_bits(self.0.load(Ordering::Relaxed))
    }

    /// Goes up to `priority`.
    pub(super) fn rise(&self, priority: f64) {
        // Of positive numbers, the bits rise with the value.
        if priority > 0.0 {
            self.0.fetch_max(priority.to_bits(), Ordering::Relaxed);
        }
    }
}

/// How an entry ranks. Changed by hits, many at once: a use that gets lost among them does not matter.
#[derive(Debug)]
pub(super) struct Worth {
    /// Tokens that it takes to make again, for each byte held.
    density: f32,
    uses: AtomicU32,
    priority: AtomicU64,
}

impl Worth {
    pub(super) fn of(entry: &Entry, clock: &Clock) -> Self {
        let worth = Self {
            density: density(entry),
            uses: AtomicU32::new(1),
            priority: AtomicU64::new(0),
        };
        worth.rank(1, clock);
        worth
    }

    /// Takes over the uses of the entry that was there before.
    pub(super) fn after(self, before: &Self, clock: &Clock) -> Self {
        let uses = before.uses.load(Ordering::Relaxed);
        self.uses.store(uses, Ordering::Relaxed);
        self.rank(uses, clock);
        self
    }

    pub(super) fn used(&self, clock: &Clock) {
        let uses = self.uses.load(Ordering::Relaxed).saturating_add(1);
        self.uses.store(uses, Ordering::Relaxed);
        self.rank(uses, clock);
    }

    fn rank(&self, uses: u32, clock: &Clock) {
        let priority = clock.now() + f64::from(uses) * f64::from(self.density);
        self.priority.store(priority.to_bits(), Ordering::Relaxed);
    }

    pub(super) fn priority(&self) -> f64 {
        f64::from_bits(self.priority.load(Ordering::Relaxed))
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a rank needs no more than a few digits"
)]
fn density(entry: &Entry) -> f32 {
    let answer = &entry.answer;
    let counted = answer.input_tokens + OUTPUT_WEIGHT * answer.output_tokens;
    let guessed = OUTPUT_WEIGHT * answer.body.len() as u64 / BYTES_PER_TOKEN;
    let tokens = if counted == 0 { guessed } else { counted };
    tokens.max(1) as f32 / entry.weight_bytes().max(1) as f32
}
