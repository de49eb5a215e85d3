//! What operators do to a cache: look, purge, begin a new epoch; and what users say of its answers.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use serde::Deserialize;

use super::entry::Entry;
use super::epochs::{Epochs, Whose};
use super::origin::Origin;
use super::purge::{Barred, Near, Selector, Storing};
use super::ratio::{HitRatio, Low};
use super::store::NotDurable;
use super::{Cache, Skip};

/// Entries of many that are shown.
const SHOWN: usize = 100;

/// Name under which a store keeps the epochs.
const EPOCHS: &str = "epochs";

/// What outlives the configuration of a cache.
#[derive(Debug, Default)]
pub(super) struct Managed {
    epochs: Epochs,
    barred: Barred,
    ratio: HitRatio,
    /// Saved in the order in which they were bumped.
    saving: tokio::sync::Mutex<()>,
}

/// Entries that a selector means.
#[derive(Debug, Clone, Default)]
pub struct Found {
    /// How many.
    pub entries: u64,
    /// Their bytes in memory.
    pub bytes: u64,
    /// Some of them.
    pub some: Vec<Entry>,
}

/// What a user says of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It was right.
    Good,
    /// It was wrong, and is not to be given again.
    Bad,
}

impl Verdict {
    /// The word for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Bad => "bad",
        }
    }
}

/// Feedback as its API takes it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Feedback {
    /// Name of the cache; `None` = whichever has the entry.
    #[serde(default)]
    pub cache: Option<String>,
    /// The entry, as `X-Cache-Key` named it.
    pub id: String,
    /// What is said of it.
    pub verdict: Verdict,
}

impl Cache {
    /// Takes over what another configuration of the same cache has learnt of epochs and purges: answers that are on their
    /// way under that one are still to come.
    pub fn inherit(&mut self, before: &Self) {
        self.managed = Arc::clone(&before.managed);
    }

    /// Has the epochs of the store taken over as soon as they are known.
    pub fn follow_store(&self) {
        let managed = Arc::clone(&self.managed);
        let name = self.config.name.clone();
        self.when_opened(Box::new(move |blobs| {
            let Some(saved) = blobs.get(EPOCHS) else {
                return;
            };
            if managed.epochs.restore(saved, stamp()).is_err() {
                log::error!(
                    "cache {name}: its epochs cannot be read: all that was stored counts as old"
                );
            }
        }));
    }

    /// Its epochs.
    #[must_use]
    pub fn epochs(&self) -> &Epochs {
        &self.managed.epochs
    }

    /// How many of its lookups are hits.
    #[must_use]
    pub fn hits(&self) -> &HitRatio {
        &self.managed.ratio
    }

    /// A lookup was a hit or a miss; what is worth a warning.
    pub fn note_lookup(&self, hit: bool, now: Instant) -> Option<Low> {
        self.managed.ratio.note(hit, self.config.min_hit_ratio, now)
    }

    /// Makes what was stored for these unreachable, at once; the new epoch. `Ok` means that it stays so, whatever happens
    /// then.
    ///
    /// # Errors
    /// When it is not known to be on disk. It holds in memory.
    pub async fn bump(&self, whose: Whose) -> Result<u64, NotDurable> {
        let _in_order = self.managed.saving.lock().await;
        let epoch = self.managed.epochs.bump(whose, stamp());
        if let Some(store) = self.store() {
            let saved = self.managed.epochs.save();
            store.put_blob_durably(EPOCHS, &saved).await?;
        }
        Ok(epoch)
    }

    /// Takes out what a bump at `before` made unreachable.
    pub async fn clear_out(self: Arc<Self>, whose: Whose, before: Instant) {
        let old = move |entry: &Entry| entry.stored_at < before && whose.has(&entry.origin);
        if let Err(kept) = self.remove_if(old).await {
            // Unreachable all the same, and gone when its time is over.
            log::warn!("cache {}: old entries: {}", self.config.name, kept.why);
        }
    }

    /// The entries that `what` means. Only those in memory.
    pub async fn count(self: Arc<Self>, what: Selector) -> Found {
        let looked = tokio::task::spawn_blocking(move || {
            let mut some = Vec::new();
            let counted = self.count_if(|entry| {
                let meant = what.matches(entry);
                if meant && some.len() < SHOWN {
                    some.push(entry.clone());
                }
                meant
            });
            Found {
                entries: counted.entries,
                bytes: counted.bytes,
                some,
            }
        });
        looked.await.unwrap_or_default()
    }

    /// Takes out the entries that `what` means, also those still to be read from disk and those whose answers are on their
    /// way at `now`. `Ok` means that they stay away, whatever happens then.
    ///
    /// # Errors
    /// When that is not known to be on disk. Those in memory are gone.
    pub async fn purge(self: Arc<Self>, what: Selector, now: Instant) -> Result<Found, NotDurable> {
        self.managed.barred.remember(&what, now);
        let some = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&some);
        let which = move |entry: &Entry| {
            let meant = what.matches(entry);
            if meant {
                let mut seen = seen.lock();
                if seen.len() < SHOWN {
                    seen.push(entry.clone());
                }
            }
            meant
        };
        let removed = self.remove_if(which).await.map_err(|kept| kept.why)?;
        let some = std::mem::take(&mut *some.lock());
        Ok(Found {
            entries: removed.entries,
            bytes: removed.bytes,
            some,
        })
    }

    /// The right to store an answer that was asked for at `asked`; `None` where it was purged before it came.
    pub(super) fn may_store(
        &self,
        asked: Instant,
        origin: &Origin,
        vector: Option<&[f32]>,
    ) -> Option<Storing<'_>> {
        self.managed.barred.admit(asked, origin, vector)
    }

    /// All questions within `radius` (cosine similarity) of `text`.
    ///
    /// # Errors
    /// Why it cannot be said, at `deadline` at the latest.
    pub async fn near(&self, text: &str, radius: f32, deadline: Instant) -> Result<Near, Skip> {
        let meaning = self.meaning.as_ref().ok_or(Skip::Off)?;
        let vector = meaning.embedder.embed(text, deadline).await;
        let vector = vector.map_err(Skip::Embed)?;
        let index = &meaning.index;
        let found = index.within(Arc::clone(&vector), radius, deadline).await;
        Ok(Near {
            vector,
            radius,
            found: Arc::new(found.map_err(Skip::Search)?),
        })
    }

    /// Takes what a user says of the answer with this id, if `may` lets them speak of it: a bad one is taken out. `false`:
    /// there is none, or none that they may speak of; which of both is not said.
    ///
    /// # Errors
    /// When a bad answer may come back after a restart.
    pub async fn judge(
        &self,
        id: &str,
        verdict: Verdict,
        may: impl Fn(&Origin) -> bool,
    ) -> Result<bool, NotDurable> {
        let Some(entry) = self.get_by_id(id).filter(|entry| may(&entry.origin)) else {
            return Ok(false);
        };
        // Whether it was served by meaning, and so teaches something, changes nothing here.
        let _ = self.heard(&entry.id(), verdict == Verdict::Good).await;
        match verdict {
            Verdict::Good => Ok(true),
            Verdict::Bad => self.remove_by_id(&entry.id()).await,
        }
    }
}

/// The time as epochs count it.
fn stamp() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    u64::try_from(since.unwrap_or(Duration::ZERO).as_millis()).unwrap_or(u64::MAX)
}
