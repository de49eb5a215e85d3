//! What all configurations of a pool have in common.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwap;
use parking_lot::Mutex;

use crate::balance::budget::Budget;
use crate::balance::estimate::Estimator;

/// Called when a waiting request may find a place.
pub type ReleaseHook = Arc<dyn Fn() + Send + Sync>;

/// Kept over reloads, and by every lease.
pub(in crate::balance) struct Shared {
    pub(super) estimator: Estimator,
    /// Held while it is decided whether a peer goes out, so that two that fail at once do not each count on the other.
    pub(super) taking_out: Mutex<()>,
    budget: Budget,
    hook: ArcSwap<ReleaseHook>,
}

impl Shared {
    pub(in crate::balance) fn new(hook: ReleaseHook, now: Instant) -> Self {
        Self {
            estimator: Estimator::default(),
            taking_out: Mutex::new(()),
            budget: Budget::new(now),
            hook: ArcSwap::from_pointee(hook),
        }
    }

    pub(super) fn set_hook(&self, hook: ReleaseHook) {
        self.hook.store(Arc::new(hook));
    }

    /// What retries there were.
    pub(in crate::balance) fn budget(&self) -> &Budget {
        &self.budget
    }

    /// Tells whoever waits that there may be a place.
    pub(in crate::balance) fn wake(&self) {
        let hook = ReleaseHook::clone(&self.hook.load());
        hook();
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}
