//! How many retries a pool may add to its traffic, so that an outage is not made worse by everybody asking twice.
//!
//! The rule is that of Finagle's and linkerd's `RetryBudget`, counted exactly: over the last ten seconds,
//!
//! ```text
//! retries <= share * requests + min_per_second * 10
//! ```
//!
//! Time moves in whole seconds since the budget was made. Every request writes one atomic; the lock is for retries,
//! which are rare.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use parking_lot::Mutex;

use super::pool::Shared;
use crate::config::model::RetryBudget;

/// Seconds that are looked back on.
const SECONDS: usize = 10;

/// Recent requests and retries of one pool, kept over reloads.
#[derive(Debug)]
pub(super) struct Budget {
    born: Instant,
    /// One per second of the window: the second in the upper half, its requests in the lower.
    requests: [AtomicU64; SECONDS],
    retries: Mutex<Retries>,
}

#[derive(Debug, Default)]
struct Retries {
    /// The second and its retries.
    seconds: [(u32, u32); SECONDS],
    /// The last one that was asked for was refused.
    refusing: bool,
}

/// No retry now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BudgetSpent {
    /// The one before was granted: this is when it began.
    pub newly: bool,
}

/// The right to one retry. Dropped without [`RetryGrant::used`], it goes back into the budget.
#[derive(Debug)]
#[must_use = "dropping a grant gives the retry back"]
pub struct RetryGrant {
    /// Whose budget, and the second of it; `None` when there is no budget to give it back to.
    from: Option<(Arc<Shared>, u32)>,
}

impl Budget {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            born: now,
            requests: [const { AtomicU64::new(0) }; SECONDS],
            retries: Mutex::default(),
        }
    }

    /// A request came; retries are none.
    pub(super) fn request(&self, now: Instant) {
        let second = self.second(now);
        let count = |word: u64| {
            let (at, count) = unpack(word);
            Some(if at < second {
                pack(second, 1)
            } else {
                pack(at, count.saturating_add(1))
            })
        };
        // The closure always gives a value.
        let _ = self.requests[place(second)].fetch_update(Relaxed, Relaxed, count);
    }

    /// Takes one retry out of the budget and returns the second it counts for.
    fn withdraw(&self, rules: &RetryBudget, now: Instant) -> Result<u32, BudgetSpent> {
        let second = self.second(now);
        let mut retries = self.retries.lock();
        let taken = in_window(second, retries.seconds.iter().copied());
        let requests = in_window(
            second,
            self.requests.iter().map(|word| unpack(word.load(Relaxed))),
        );
        let allowed = rules.share * requests as f64 + rules.min_per_second * SECONDS as f64;
        if (taken + 1) as f64 > allowed {
            let newly = !std::mem::replace(&mut retries.refusing, true);
            return Err(BudgetSpent { newly });
        }
        retries.refusing = false;
        let (at, count) = &mut retries.seconds[place(second)];
        if *at < second {
            (*at, *count) = (second, 1);
        } else {
            *count += 1;
        }
        Ok(second)
    }

    /// Takes back a retry that did not happen.
    fn give_back(&self, second: u32) {
        let (at, count) = &mut self.retries.lock().seconds[place(second)];
        if *at == second {
            *count = count.saturating_sub(1);
        }
    }

    fn second(&self, now: Instant) -> u32 {
        let since = now.saturating_duration_since(self.born).as_secs();
        u32::try_from(since).unwrap_or(u32::MAX)
    }
}

impl RetryGrant {
    /// A retry where nothing bounds them.
    pub(super) fn free() -> Self {
        Self { from: None }
    }

    /// A retry out of the pool's budget.
    pub(super) fn withdrawn(
        shared: &Arc<Shared>,
        rules: &RetryBudget,
        now: Instant,
    ) -> Result<Self, BudgetSpent> {
        let second = shared.budget().withdraw(rules, now)?;
        Ok(Self {
            from: Some((Arc::clone(shared), second)),
        })
    }

    /// The retry is on its way.
    pub fn used(mut self) {
        self.from = None;
    }
}

impl Drop for RetryGrant {
    fn drop(&mut self) {
        if let Some((shared, second)) = &self.from {
            shared.budget().give_back(*second);
        }
    }
}

fn place(second: u32) -> usize {
    second as usize % SECONDS
}

fn pack(second: u32, count: u32) -> u64 {
    u64::from(second) << 32 | u64::from(count)
}

fn unpack(word: u64) -> (u32, u32) {
    ((word >> 32) as u32, word as u32)
}

/// What was counted in the window that ends with `second`.
fn in_window(second: u32, counts: impl Iterator<Item = (u32, u32)>) -> u64 {
    counts
        .filter(|(at, _)| u64::from(*at) + SECONDS as u64 > u64::from(second))
        .map(|(_, count)| u64::from(count))
        .sum()
}

#[cfg(test)]
mod tests;
