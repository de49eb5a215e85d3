//! Answers given before: to the same request, and to one of the same meaning.
//!
//! ```text
//!  headers ─► Directives        may it look up, may it store?
//!  body    ─► Identity          which request is it?
//!             Cache ─► Exact    an answer to this very request
//!                  └─► Embedder ─► Semantic ─► Exact    an answer to a near one of the same class
//! ```
//!
//! Answers live in [`exact::Exact`] alone, bounded in bytes; the semantic index holds vectors and keys only, so an entry
//! that was evicted or is over cannot be served by meaning either. What goes wrong on the way by meaning is a miss. With a
//! [`store::Store`] what is in memory is on disk too, and is filled in again behind the next start.

pub mod directives;
pub mod eligible;
pub mod embed;
pub mod entry;
pub mod epochs;
pub mod exact;
pub mod fill;
pub mod flight;
pub mod guard;
pub mod index;
pub mod keep;
pub mod key;
pub mod manage;
pub mod meaning;
pub mod origin;
pub mod purge;
pub mod ratio;
pub mod rerank;
pub mod scope;
pub mod semantic;
pub mod store;
pub mod ttl;
pub mod verified;
pub mod verify;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use directives::Directives;
pub use eligible::{Bounds, Eligible, Facts, Ineligible, eligible};
pub use embed::{EmbedFailure, EmbedState, Embedder};
pub use entry::{Answer, Entry};
pub use epochs::{Belongs, Epochs, Whose};
pub use key::{BodyKey, Identity, KeyParts, Unkeyable};
pub use manage::{Feedback, Found, Verdict};
pub use meaning::{SemanticOutcome, Skip};
pub use origin::Origin;
pub use purge::{Near, Selector};
pub use rerank::Reranker;
pub use scope::Caller;
pub use store::{NotDurable, Store};
pub use verified::Sighting;

use crate::config::model::Cache as Config;
use exact::Exact;
use fill::Filler;
use flight::Flights;
use manage::Managed;
use meaning::Meaning;
use semantic::IndexStats;
use store::{StoreStats, Vector};

/// One cache of the configuration.
#[derive(Debug)]
pub struct Cache {
    config: Config,
    exact: Arc<Exact>,
    flights: Arc<Flights>,
    meaning: Option<Meaning>,
    store: Option<Arc<Store>>,
    filler: Option<Arc<Filler>>,
    managed: Arc<Managed>,
}

/// A complete answer to be stored.
#[derive(Debug)]
pub struct NewEntry<'a> {
    /// The request that it answers.
    pub identity: &'a Identity,
    /// The answer.
    pub answer: Answer,
    /// Where it belongs.
    pub origin: Arc<Origin>,
    /// When it was asked for: whatever was purged since stays away.
    pub asked: Instant,
    /// Its life, which the configured one bounds; `None` = that one.
    pub ttl: Option<Duration>,
    /// Vector of its question, with which it can be found by meaning too.
    pub vector: Option<Arc<[f32]>>,
}

/// What came of storing an answer.
#[derive(Debug)]
pub enum Stored {
    /// It is in the cache.
    Yes(Arc<Entry>),
    /// It is larger than one entry may be.
    TooLarge,
    /// Its like was purged while it was on its way.
    Purged,
}

/// What a cache holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stats {
    /// Answers held.
    pub entries: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Most bytes.
    pub max_bytes: u64,
    /// Upstream calls that others may share.
    pub flights: u64,
    /// Requests that follow one.
    pub followers: u64,
    /// The semantic index, where there is one.
    pub index: Option<IndexStats>,
    /// The embedder, where there is one.
    pub embedder: Option<EmbedState>,
    /// What keeps it on disk, where something does.
    pub store: Option<StoreStats>,
}

impl Cache {
    /// A cache, empty or about to be filled from its store. Without an embedder it serves exact answers only, whatever the
    /// configuration says.
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub fn new(config: &Config, embedder: Option<Arc<Embedder>>) -> std::io::Result<Self> {
        Self::with_store(config, embedder, None)
    }

    /// The same with the open store of its path, which another cache has had so far.
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub fn with_store(
        config: &Config,
        embedder: Option<Arc<Embedder>>,
        opened: Option<Arc<Store>>,
    ) -> std::io::Result<Self> {
        let meaning = match (&config.semantic, embedder) {
            (Some(config), Some(embedder)) => Some(Meaning::start(config, embedder)?),
            _ => None,
        };
        let exact = Arc::new(
            Exact::new(config.max_bytes)
                .keeping(config.stale_while_revalidate.max(config.stale_if_error)),
        );
        let (mut store, mut filler) = (None, None);
        if let Some(on) = &config.store {
            let index = meaning.as_ref().map(|meaning| fill::Index {
                vectors: Arc::clone(&meaning.index),
                embedder: Arc::clone(&meaning.embedder),
                folder: index_folder(&on.path),
            });
            let sink = Arc::new(Filler::new(Arc::clone(&exact), index));
            store = Some(match opened {
                Some(store) => {
                    store.refill(Arc::clone(&sink) as _, on.max_bytes);
                    store
                }
                None => Arc::new(Store::start(
                    &on.path,
                    on.max_bytes,
                    Arc::clone(&sink) as _,
                )?),
            });
            filler = Some(sink);
        }
        let cache = Self {
            config: config.clone(),
            exact,
            flights: Flights::new(config.max_entry_bytes),
            meaning,
            store,
            filler,
            managed: Arc::default(),
        };
        cache.recall();
        Ok(cache)
    }

    /// What it was made from. A cache whose configuration is equal after a reload can be kept, with all it holds.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Requests in flight that others may share.
    #[must_use]
    pub fn flights(&self) -> &Arc<Flights> {
        &self.flights
    }

    /// The embedder it uses, to be shared with other caches.
    #[must_use]
    pub fn embedder(&self) -> Option<&Arc<Embedder>> {
        self.meaning.as_ref().map(|meaning| &meaning.embedder)
    }

    /// Whether it can serve by meaning.
    #[must_use]
    pub fn serves_by_meaning(&self) -> bool {
        self.meaning.is_some()
    }

    /// The answer to this very request, if it may be served at `now` to one who takes nothing older than `max_age`.
    #[must_use]
    pub fn get_exact(
        &self,
        identity: &Identity,
        now: Instant,
        max_age: Option<Duration>,
    ) -> Option<Arc<Entry>> {
        self.exact.get(&identity.exact, now, max_age)
    }

    /// The answer to this very request whose life was over less than `most` ago.
    #[must_use]
    pub fn get_stale(
        &self,
        identity: &Identity,
        now: Instant,
        most: Duration,
    ) -> Option<Arc<Entry>> {
        if most.is_zero() {
            return None;
        }
        let entry = self.exact.peek(&identity.exact)?;
        let stale = entry.stale_for(now)?;
        (stale < most && entry.exact == identity.exact).then_some(entry)
    }

    /// Stores an answer.
    pub fn put(&self, new: NewEntry<'_>, now: Instant) -> Stored {
        let NewEntry {
            identity,
            answer,
            origin,
            asked,
            ttl,
            vector,
        } = new;
        if answer.body.len() as u64 > self.config.max_entry_bytes {
            return Stored::TooLarge;
        }
        let Some(_until_it_is_stored) = self.may_store(asked, &origin, vector.as_deref()) else {
            return Stored::Purged;
        };
        let ttl = ttl.map_or(self.config.ttl, |ttl| ttl.min(self.config.ttl));
        let entry = Entry::new(identity, answer, origin, ttl, now)
            .numbered(self.exact.number_for(&identity.exact));
        let entry = Arc::new(entry);
        let vector = vector.filter(|_| identity.question.is_some());
        let meant = self.meaning.as_ref().zip(vector);
        if let Some(store) = &self.store {
            let vector = meant.as_ref().and_then(|(meaning, vector)| {
                Some(Vector {
                    id: entry.number(),
                    class: identity.compat,
                    model: meaning.embedder.model_id()?,
                    packed: index::pack(vector),
                })
            });
            store.put(&entry, vector);
        }
        let put = self.exact.put(Arc::clone(&entry), now);
        self.left(&put.left, now);
        if !put.held {
            self.left(&[entry], now);
            return Stored::TooLarge;
        }
        // The answer goes first: a vector whose answer is not there yet would be taken for a dead one.
        if let Some((meaning, vector)) = meant {
            meaning.index.add(identity.compat, identity.exact, vector);
        }
        Stored::Yes(entry)
    }

    /// What it holds. Does what housekeeping is due, so it is for scrapes and not for every request.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let now = Instant::now();
        self.left(&self.exact.settle(now), now);
        Stats {
            entries: self.exact.entries(),
            bytes: self.exact.bytes(),
            max_bytes: self.exact.max_bytes(),
            flights: self.flights.len() as u64,
            followers: self.flights.following() as u64,
            index: self.meaning.as_ref().map(|meaning| meaning.index.stats()),
            embedder: self
                .meaning
                .as_ref()
                .map(|meaning| meaning.embedder.state()),
            store: self.store.as_ref().map(|store| store.stats()),
        }
    }
}

/// Where the graphs of the index are kept: beside the store's file.
fn index_folder(store: &Path) -> PathBuf {
    let mut name = store.as_os_str().to_owned();
    name.push(".index");
    PathBuf::from(name)
}

#[cfg(test)]
mod tests;
