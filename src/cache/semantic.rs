//! Answers by meaning: which entry was asked nearly the same.
//!
//! A vector is added by who brings it, which takes a moment, and can be found from then on. What takes longer has threads:
//! searches in large classes wait in a bounded queue for one of a few, one thread moves vectors into the graphs, and what
//! comes back from disk is added by several that give way to all others. When a queue is full a search is skipped and an
//! addition is lost, and both are counted; the request itself never waits for more than its deadline.

mod threads;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc as chores;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};

use super::index::{Index, Neighbour, Saved};
use super::store::Vector;
use threads::Chore;

/// Searches that may wait. At most about a millisecond each.
const ORDERS: usize = 1024;

/// Vectors from disk that may wait.
const FILLS: usize = 1024;

/// Handle of an index and its threads, which end when this is dropped.
#[derive(Debug)]
pub struct Semantic {
    index: Arc<Index>,
    orders: mpsc::Sender<Order>,
    fills: mpsc::Sender<Fill>,
    chores: chores::SyncSender<Chore>,
    /// What was read from the folder and waits for its entries.
    saved: Arc<Mutex<Saved>>,
    counts: Arc<Counts>,
}

/// Counts of one index.
#[derive(Debug, Default)]
struct Counts {
    lost: AtomicU64,
    errors: AtomicU64,
    /// Vectors from disk that are not in yet.
    filling: AtomicU64,
}

/// What an index holds and what went wrong with it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct IndexStats {
    /// Vectors held.
    pub vectors: usize,
    /// Of these, those that wait to be moved into a graph; and those from disk that are not in yet.
    pub waiting: usize,
    /// Classes that have vectors.
    pub classes: usize,
    /// Memory that they take, in bytes, roughly.
    pub bytes: usize,
    /// Additions that were lost because the index was behind.
    pub lost: u64,
    /// Additions and searches that the index refused.
    pub errors: u64,
}

/// Why a search gave nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SearchFailure {
    /// Too many searches wait already.
    Busy,
    /// The deadline passed.
    TimedOut,
    /// The index failed; its log line says how.
    Failed,
}

#[derive(Debug)]
enum Order {
    Search {
        class: [u8; 32],
        vector: Arc<[f32]>,
        reply: oneshot::Sender<Result<Vec<Neighbour>, SearchFailure>>,
    },
    Within {
        vector: Arc<[f32]>,
        radius: f32,
        reply: oneshot::Sender<Result<HashMap<[u8; 32], f32>, SearchFailure>>,
    },
}

#[derive(Debug)]
struct Fill {
    exact: [u8; 32],
    vector: Vector,
}

impl Semantic {
    /// Starts an index of at most `max` vectors.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn start(max: usize) -> std::io::Result<Self> {
        let index = Arc::new(Index::counting_from(first_number(), max));
        let counts = Arc::new(Counts::default());
        let (orders, inbox) = mpsc::channel(ORDERS);
        threads::searchers(&index, &counts, inbox)?;
        let (chores, inbox) = chores::sync_channel(1);
        threads::settler(&index, &counts, inbox)?;
        let (fills, inbox) = mpsc::channel(FILLS);
        threads::fillers(&index, &counts, &chores, inbox)?;
        Ok(Self {
            index,
            orders,
            fills,
            chores,
            saved: Arc::default(),
            counts,
        })
    }

    /// The nearest vectors of a class, nearest first.
    ///
    /// # Errors
    /// [`SearchFailure`], at `deadline` at the latest.
    pub async fn nearest(
        &self,
        class: [u8; 32],
        vector: Arc<[f32]>,
        deadline: Instant,
    ) -> Result<Vec<Neighbour>, SearchFailure> {
        // Quicker than waking another thread.
        if self.index.is_small(&class) {
            let found = self.index.nearest(&class, &vector);
            return found.map_err(|error| self.counts.failed("searching", &error));
        }
        let (reply, answer) = oneshot::channel();
        self.orders
            .try_send(Order::Search {
                class,
                vector,
                reply,
            })
            .map_err(|error| match error {
                TrySendError::Full(_) => SearchFailure::Busy,
                TrySendError::Closed(_) => SearchFailure::Failed,
            })?;
        match tokio::time::timeout_at(deadline.into(), answer).await {
            Ok(Ok(found)) => found,
            Ok(Err(_)) => Err(SearchFailure::Failed),
            Err(_) => Err(SearchFailure::TimedOut),
        }
    }

    /// All vectors of at least this similarity, in every class. Looks at each one, so it takes its time.
    ///
    /// # Errors
    /// [`SearchFailure`], at `deadline` at the latest.
    pub async fn within(
        &self,
        vector: Arc<[f32]>,
        radius: f32,
        deadline: Instant,
    ) -> Result<HashMap<[u8; 32], f32>, SearchFailure> {
        let (reply, answer) = oneshot::channel();
        let order = Order::Within {
            vector,
            radius,
            reply,
        };
        let asked = async {
            self.orders.send(order).await.ok()?;
            answer.await.ok()
        };
        match tokio::time::timeout_at(deadline.into(), asked).await {
            Ok(Some(found)) => found,
            Ok(None) => Err(SearchFailure::Failed),
            Err(_) => Err(SearchFailure::TimedOut),
        }
    }

    /// Adds the vector of a request to its class.
    pub fn add(&self, class: [u8; 32], exact: [u8; 32], vector: Arc<[f32]>) {
        match self.index.add(class, exact, &vector) {
            Ok(true) => {}
            Ok(false) => self.counts.lost(),
            Err(error) => drop(self.counts.failed("adding", &error)),
        }
        self.wake();
    }

    /// Has the vector of an entry that was stored before added, soon; gives it back if too many wait already.
    #[must_use]
    pub fn fill(&self, exact: [u8; 32], vector: Vector) -> Option<Vector> {
        // What was stored since the start is read back too.
        if self.index.holds(&exact) {
            return None;
        }
        if self
            .index
            .adopt(&mut self.saved.lock(), vector.class, exact)
        {
            return None;
        }
        self.counts.filling.fetch_add(1, Ordering::Relaxed);
        match self.fills.try_send(Fill { exact, vector }) {
            Ok(()) => None,
            Err(TrySendError::Full(Fill { vector, .. })) => {
                self.counts.filling.fetch_sub(1, Ordering::Relaxed);
                Some(vector)
            }
            Err(TrySendError::Closed(_)) => None,
        }
    }

    /// Vectors from disk that are still to be added.
    #[must_use]
    pub fn filling(&self) -> u64 {
        self.counts.filling.load(Ordering::Relaxed)
    }

    /// Removes a vector.
    pub fn remove(&self, number: u64) {
        self.index.remove(number);
        self.wake();
    }

    /// Removes the vector of a request.
    pub fn forget(&self, exact: &[u8; 32]) {
        self.index.forget(exact);
        self.wake();
    }

    fn wake(&self) {
        if self.index.is_due() {
            // If it is full already, it is about to be woken.
            drop(self.chores.try_send(Chore::Settle));
        }
    }

    /// Reads what [`Self::save`] wrote for this model; how many vectors wait for their entries to be filled. Takes its
    /// time.
    pub fn load(&self, folder: &Path, model: &[u8; 32]) -> usize {
        let saved = self.index.load(folder, model);
        let count = saved.len();
        *self.saved.lock() = saved;
        count
    }

    /// All entries have been filled: what was read and belongs to none leaves.
    pub fn loaded(&self) {
        let saved = std::mem::take(&mut *self.saved.lock());
        self.index.release(saved);
        self.wake();
    }

    /// Keeps the large graphs in a folder; how many vectors. Takes its time.
    ///
    /// # Errors
    /// When something cannot be written.
    pub fn save(&self, folder: &Path, model: &[u8; 32]) -> std::io::Result<usize> {
        let (reply, answer) = chores::sync_channel(1);
        let chore = Chore::Save {
            folder: folder.to_owned(),
            model: *model,
            reply,
        };
        let gone = || std::io::Error::other("the index ended");
        self.chores.send(chore).map_err(|_| gone())?;
        answer.recv().map_err(|_| gone())?
    }

    /// What it holds and what went wrong.
    #[must_use]
    pub fn stats(&self) -> IndexStats {
        IndexStats {
            vectors: self.index.len(),
            waiting: self.index.waiting() + usize::try_from(self.filling()).unwrap_or(0),
            classes: self.index.classes(),
            bytes: self.index.bytes(),
            lost: self.counts.lost.load(Ordering::Relaxed),
            errors: self.counts.errors.load(Ordering::Relaxed),
        }
    }

    /// Shows to tests whether the threads still run.
    #[cfg(test)]
    pub(super) fn watch(&self) -> std::sync::Weak<impl Sized + use<>> {
        Arc::downgrade(&self.counts)
    }
}

impl Counts {
    fn lost(&self) {
        self.lost.fetch_add(1, Ordering::Relaxed);
    }

    fn failed(&self, doing: &str, error: &str) -> SearchFailure {
        log::warn!("semantic index: {doing}: {error}");
        self.errors.fetch_add(1, Ordering::Relaxed);
        SearchFailure::Failed
    }
}

/// A million numbers for each millisecond: above all that an earlier process gave.
fn first_number() -> u64 {
    let now = SystemTime::now();
    let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(0) << 20
}

#[cfg(test)]
mod tests;
