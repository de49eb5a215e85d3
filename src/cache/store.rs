//! What a cache holds, kept on disk: it outlives the process, kill -9 and the binary.
//!
//! ```text
//!  Cache ── put, leave ──► queue (bounded in bytes) ──► keeper thread ──► one `redb` file
//!        ◄── fill, behind, while it serves ──────────────┘
//! ```
//!
//! The file holds what memory holds, as far as its own bound allows: an entry that leaves memory leaves the file. Writing is
//! behind: many changes at once, each time with one `fsync`, so a kill loses the last tenth of a second and a full queue
//! loses a write, which is counted. What an operator was told is done is another matter: removals and small values have a
//! way to be waited for, and are not acknowledged before they would survive a power cut.
//!
//! Whatever is wrong with the file is a line in the log, a state to be seen, and a cache that works from memory: a damaged
//! file is moved aside, a full disk is tried again, a file that another process has is waited for.

mod aside;
mod clock;
mod disk;
mod keeper;
mod names;
mod queue;
mod record;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::{oneshot, watch};

use super::entry::Entry;
pub use disk::Blobs;
use disk::Change;
use keeper::Keeper;
use queue::{Order, Queue};
pub use record::Vector;

/// Bytes of changes that may wait to be written.
const QUEUE_BYTES: usize = 64 << 20;

/// What is filled from disk.
pub trait Sink: Send + Sync + std::fmt::Debug {
    /// The file is open: its small values, before anything else.
    fn opened(&self, blobs: &Blobs);

    /// An entry that was stored before; returns those that had to leave for it.
    fn fill(&self, entry: Entry, now: Instant) -> Vec<Arc<Entry>>;

    /// Vectors of entries that were stored before, each with the key of its entry. Gives back what there is no room for yet.
    fn index(&self, vectors: Vec<([u8; 32], Vector)>) -> Vec<([u8; 32], Vector)>;

    /// What is under a key was removed for good.
    fn gone(&self, exact: &[u8; 32]);

    /// All entries and vectors have been handed over.
    fn filled(&self) {}

    /// It is time to keep what takes long to make anew: called now and then, and before the file is given up.
    fn save(&self) {}
}

/// Where a store stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// The file is being opened.
    Opening,
    /// Another process has the file.
    Waiting,
    /// What it holds is being read; what is new is kept.
    Filling,
    /// All is read.
    Ready,
    /// The file cannot be used, and why; it is tried again.
    Failed(String),
    /// It was given up, for another process to take.
    Closed,
}

impl State {
    /// Short name for logs and metrics.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Opening => "opening",
            Self::Waiting => "waiting",
            Self::Filling => "filling",
            Self::Ready => "ready",
            Self::Failed(_) => "failed",
            Self::Closed => "closed",
        }
    }

    /// Whether changes reach the file.
    #[must_use]
    pub fn is_open(&self) -> bool {
        matches!(self, Self::Filling | Self::Ready)
    }
}

/// That a change is not known to be on disk, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotDurable(pub String);

impl std::fmt::Display for NotDurable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "not on disk: {}", self.0)
    }
}

impl std::error::Error for NotDurable {}

/// What a store holds and what went wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreStats {
    /// Where it stands.
    pub state: State,
    /// Bytes of what the file holds.
    pub bytes: u64,
    /// Most bytes.
    pub max_bytes: u64,
    /// Entries read back since the start.
    pub filled: u64,
    /// Changes that wait to be written, in bytes.
    pub waiting_bytes: u64,
    /// Changes written.
    pub written: u64,
    /// Changes that were lost, because too many waited or the file failed.
    pub lost: u64,
    /// Entries and vectors that were not what had been written, and files moved aside.
    pub damaged: u64,
}

/// A cache's file and the thread that keeps it, which ends, once all is written, when this is dropped.
#[derive(Debug)]
pub struct Store {
    shared: Arc<Shared>,
}

/// What the handle and the thread share.
#[derive(Debug)]
struct Shared {
    path: PathBuf,
    max_bytes: AtomicU64,
    queue: Queue,
    state: watch::Sender<State>,
    blobs: Mutex<Blobs>,
    counts: Counts,
}

#[derive(Debug, Default)]
struct Counts {
    bytes: AtomicU64,
    filled: AtomicU64,
    written: AtomicU64,
    lost: AtomicU64,
    damaged: AtomicU64,
}

impl Store {
    /// Starts a store, and returns before its file is open.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn start(path: &Path, max_bytes: u64, sink: Arc<dyn Sink>) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            path: path.to_owned(),
            max_bytes: AtomicU64::new(max_bytes),
            queue: Queue::new(QUEUE_BYTES),
            state: watch::channel(State::Opening).0,
            blobs: Mutex::default(),
            counts: Counts::default(),
        });
        let keeper = Keeper::new(Arc::clone(&shared), sink);
        thread::Builder::new()
            .name("cache-store".into())
            .spawn(move || keeper.run())?;
        Ok(Self { shared })
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.shared.path
    }

    /// Has an entry written, soon. Call it before the entry can be found, so that whoever removes it comes later here too.
    pub fn put(&self, entry: &Arc<Entry>, vector: Option<Vector>) {
        let vectors = vector.as_ref().map_or(0, |vector| 2 * vector.packed.len());
        let bytes = entry.weight_bytes() + vectors;
        let put = Change::Put {
            entry: Arc::clone(entry),
            vector,
        };
        if !self.shared.queue.push(Order::Change(put), bytes) {
            self.lost();
            // What it replaces must not come back in its place.
            self.take(entry.exact, None);
        }
    }

    /// Has entries that left memory taken out of the file, soon.
    pub fn left<'a>(&self, entries: impl IntoIterator<Item = &'a Arc<Entry>>) {
        for entry in entries {
            self.take(entry.exact, Some(entry.number()));
        }
    }

    fn take(&self, exact: [u8; 32], id: Option<u128>) {
        let take = Order::Change(Change::Take { exact, id });
        if !self.shared.queue.push_small(take) {
            self.lost();
        }
    }

    /// Takes out what is there under these keys, for good: when it returns `Ok`, that would survive a power cut.
    ///
    /// # Errors
    /// When the file cannot be written now; what was removed may come back after a restart then.
    pub async fn remove(&self, keys: Vec<[u8; 32]>) -> Result<(), NotDurable> {
        let changes = keys
            .into_iter()
            .map(|exact| Change::Take { exact, id: None })
            .collect();
        self.durably(|reply| Order::Durable { changes, reply })
            .await
    }

    /// Has entries that are still to be read from the file, and for which `which` holds, taken out of it instead; how
    /// many. Returns once all has been read.
    ///
    /// # Errors
    /// When the file cannot be read or written now.
    pub async fn remove_unread(
        &self,
        which: impl Fn(&Entry) -> bool + Send + 'static,
    ) -> Result<u64, NotDurable> {
        let which = Box::new(which);
        self.durably(|reply| Order::Bar { which, reply }).await
    }

    /// Sets a small value, soon.
    pub fn put_blob(&self, name: &str, value: &[u8]) {
        let (name, value) = (name.to_owned(), Arc::from(value));
        let blob = Order::Change(Change::Blob { name, value });
        if !self.shared.queue.push_small(blob) {
            self.lost();
        }
    }

    /// Sets a small value: when it returns `Ok`, that would survive a power cut.
    ///
    /// # Errors
    /// When the file cannot be written now.
    pub async fn put_blob_durably(&self, name: &str, value: &[u8]) -> Result<(), NotDurable> {
        let (name, value) = (name.to_owned(), Arc::from(value));
        let changes = vec![Change::Blob { name, value }];
        self.durably(|reply| Order::Durable { changes, reply })
            .await
    }

    /// A small value that is on disk; none before the file is open.
    #[must_use]
    pub fn get_blob(&self, name: &str) -> Option<Arc<[u8]>> {
        self.shared.blobs.lock().get(name).cloned()
    }

    async fn durably<T>(
        &self,
        order: impl FnOnce(oneshot::Sender<Result<T, NotDurable>>) -> Order,
    ) -> Result<T, NotDurable> {
        let (reply, answer) = oneshot::channel();
        self.shared.queue.push_urgent(order(reply));
        answer
            .await
            .unwrap_or_else(|_| Err(NotDurable("the store was closed".to_owned())))
    }

    /// Waits until the file is open and all of it is read, or is known not to be.
    pub async fn settled(&self) -> State {
        let mut state = self.shared.state.subscribe();
        let settled = state
            .wait_for(|state| !matches!(state, State::Opening | State::Filling))
            .await;
        settled.map_or(State::Closed, |state| state.clone())
    }

    /// Fills `sink` from now on, from the beginning: a cache with another configuration takes the file over.
    pub fn refill(&self, sink: Arc<dyn Sink>, max_bytes: u64) {
        self.shared.max_bytes.store(max_bytes, Ordering::Relaxed);
        self.shared.queue.push_urgent(Order::Refill(sink));
    }

    /// Writes what waits and gives the file up; nothing is written afterwards. Waits at most `limit`, and not on the event
    /// loop.
    pub fn close(&self, limit: Duration) {
        let deadline = Instant::now() + limit;
        self.shared.queue.close();
        if !self.shared.queue.wait_until_ended(deadline) {
            log::warn!(
                "cache store {}: not closed within {limit:?}",
                self.shared.path.display()
            );
        }
    }

    /// What it holds and what went wrong.
    #[must_use]
    pub fn stats(&self) -> StoreStats {
        let counts = &self.shared.counts;
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        StoreStats {
            state: self.shared.state.borrow().clone(),
            bytes: read(&counts.bytes),
            max_bytes: read(&self.shared.max_bytes),
            filled: read(&counts.filled),
            waiting_bytes: self.shared.queue.bytes() as u64,
            written: read(&counts.written),
            lost: read(&counts.lost),
            damaged: read(&counts.damaged),
        }
    }

    fn lost(&self) {
        self.shared.counts.lost.fetch_add(1, Ordering::Relaxed);
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.shared.queue.close();
    }
}

#[cfg(test)]
mod tests;
