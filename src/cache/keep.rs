//! Entries found and removed by what they are, in memory, in the index and on disk alike.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Cache;
use super::entry::Entry;
use super::exact::Removed;
use super::fill::Listener;
use super::store::{NotDurable, Store};
use crate::metrics::events;

/// A removal that may not outlast a restart.
#[derive(Debug)]
pub struct NotKept {
    /// What was removed from memory all the same.
    pub removed: Removed,
    /// Why it may come back.
    pub why: NotDurable,
}

impl Cache {
    /// The entry of this id, fresh or not.
    #[must_use]
    pub fn get_by_id(&self, id: &str) -> Option<Arc<Entry>> {
        self.exact.get_by_id(id)
    }

    /// What [`Self::remove_if`] would remove of what is in memory. Looks at every entry, so not on the event loop.
    #[must_use]
    pub fn count_if(&self, which: impl FnMut(&Entry) -> bool) -> Removed {
        self.exact.count_if(which)
    }

    /// Removes all entries for which `which` holds, also those that are still to be read from disk. `Ok` means that they
    /// stay away, whatever happens then.
    ///
    /// # Errors
    /// When the removal is not known to be on disk. Those in memory are gone.
    pub async fn remove_if(
        &self,
        which: impl Fn(&Entry) -> bool + Clone + Send + Sync + 'static,
    ) -> Result<Removed, NotKept> {
        // First, so that all that stays is in memory afterwards.
        let unread = match &self.store {
            Some(store) => store.remove_unread(which.clone()).await,
            None => Ok(0),
        };
        let exact = Arc::clone(&self.exact);
        let looked = tokio::task::spawn_blocking(move || exact.remove_if(which)).await;
        let removed = looked.unwrap_or_default();
        let kept = self.gone_for_good(&removed.keys).await;
        match unread.and_then(|unread| kept.map(|()| unread)) {
            Ok(unread) => Ok(Removed {
                entries: removed.entries + unread,
                ..removed
            }),
            Err(why) => Err(NotKept { removed, why }),
        }
    }

    /// Removes the entry of this id; whether it was there.
    ///
    /// # Errors
    /// When the removal is not known to be on disk. It is gone from memory.
    pub async fn remove_by_id(&self, id: &str) -> Result<bool, NotDurable> {
        let Some(entry) = self.exact.get_by_id(id) else {
            return Ok(false);
        };
        if self.exact.remove_exactly(&entry).is_none() {
            return Ok(false);
        }
        self.gone_for_good(&[entry.exact]).await.map(|()| true)
    }

    async fn gone_for_good(&self, keys: &[[u8; 32]]) -> Result<(), NotDurable> {
        if let Some(meaning) = &self.meaning {
            keys.iter().for_each(|exact| meaning.index.forget(exact));
        }
        match &self.store {
            Some(store) if !keys.is_empty() => store.remove(keys.to_vec()).await,
            _ => Ok(()),
        }
    }

    /// Entries left memory: so they leave the index and the disk.
    pub(super) fn left(&self, entries: &[Arc<Entry>], now: Instant) {
        for entry in entries {
            let reason = if entry.over(now) { "expired" } else { "room" };
            events::cache_evicted(&self.config.name, reason);
        }
        if let Some(meaning) = &self.meaning {
            for entry in entries {
                meaning.index.forget(&entry.exact);
            }
        }
        if let Some(store) = &self.store {
            store.left(entries);
        }
    }

    /// What keeps it on disk; `None` = nothing does.
    #[must_use]
    pub fn store(&self) -> Option<&Arc<Store>> {
        self.store.as_ref()
    }

    /// Has `listener` hear the store's small values each time that the file is opened, and at once if it is. Never called
    /// where there is no store.
    pub fn when_opened(&self, listener: Listener) {
        if let Some(filler) = &self.filler {
            filler.listen(listener);
        }
    }

    /// Gives the store's file up, for another process to take. Waits at most `limit`, so not on the event loop.
    pub fn close_store(&self, limit: Duration) {
        if let Some(store) = &self.store {
            store.close(limit);
        }
    }
}
