//! Answers by meaning: which entry was asked nearly the same.
//!
//! The index lives on a thread of its own behind a bounded channel: searches wait for their result, additions and
//! removals do not. When the channel is full a search is skipped and an addition is lost, and both are counted; the
//! request itself never waits for more than its deadline.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};

use super::index::{Index, Neighbour, unpack};
use super::store::Vector;

/// Orders that may wait for the index's thread. At most about a millisecond each.
const ORDERS: usize = 1024;

/// Handle of an index and its thread, which ends when this is dropped.
#[derive(Debug)]
pub struct Semantic {
    orders: mpsc::Sender<Order>,
    counts: Arc<Counts>,
}

/// Counts of one index.
#[derive(Debug, Default)]
struct Counts {
    vectors: AtomicUsize,
    classes: AtomicUsize,
    bytes: AtomicUsize,
    lost: AtomicU64,
    errors: AtomicU64,
}

/// What an index holds and what went wrong with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexStats {
    /// Vectors held.
    pub vectors: usize,
    /// Classes that have vectors.
    pub classes: usize,
    /// Memory that they take, in bytes, roughly.
    pub bytes: usize,
    /// Additions that were lost because the index's thread was behind.
    pub lost: u64,
    /// Additions and searches that the index refused.
    pub errors: u64,
}

/// Why a search gave nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SearchFailure {
    /// Too many orders wait already.
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
    Add {
        class: [u8; 32],
        exact: [u8; 32],
        vector: Arc<[f32]>,
    },
    Fill {
        exact: [u8; 32],
        vector: Vector,
    },
    Remove {
        number: u64,
    },
    Forget {
        exact: [u8; 32],
    },
}

impl Semantic {
    /// Starts an index of at most `max` vectors.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn start(max: usize) -> std::io::Result<Self> {
        let (orders, inbox) = mpsc::channel(ORDERS);
        let counts = Arc::new(Counts::default());
        let keeper = Keeper {
            index: Index::new(max),
            counts: counts.clone(),
        };
        thread::Builder::new()
            .name("semantic-index".into())
            .spawn(move || keeper.run(inbox))?;
        Ok(Self { orders, counts })
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

    /// Has the vector of a request added to its class, soon.
    pub fn add(&self, class: [u8; 32], exact: [u8; 32], vector: Arc<[f32]>) {
        if self
            .orders
            .try_send(Order::Add {
                class,
                exact,
                vector,
            })
            .is_err()
        {
            self.counts.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Has a vector removed, soon. One whose removal is lost is removed when it is found again.
    pub fn remove(&self, number: u64) {
        drop(self.orders.try_send(Order::Remove { number }));
    }

    /// Has the vector of an entry that was stored before added, soon; gives it back if too many wait already.
    #[must_use]
    pub fn fill(&self, exact: [u8; 32], vector: Vector) -> Option<Vector> {
        match self.orders.try_send(Order::Fill { exact, vector }) {
            Err(TrySendError::Full(Order::Fill { vector, .. })) => Some(vector),
            _ => None,
        }
    }

    /// Has the vector of a request removed, soon.
    pub fn forget(&self, exact: &[u8; 32]) {
        drop(self.orders.try_send(Order::Forget { exact: *exact }));
    }

    /// What it holds and what went wrong.
    #[must_use]
    pub fn stats(&self) -> IndexStats {
        IndexStats {
            vectors: self.counts.vectors.load(Ordering::Relaxed),
            classes: self.counts.classes.load(Ordering::Relaxed),
            bytes: self.counts.bytes.load(Ordering::Relaxed),
            lost: self.counts.lost.load(Ordering::Relaxed),
            errors: self.counts.errors.load(Ordering::Relaxed),
        }
    }

    /// Shows to tests whether the thread still runs.
    #[cfg(test)]
    pub(super) fn watch(&self) -> std::sync::Weak<impl Sized + use<>> {
        Arc::downgrade(&self.counts)
    }
}

/// The thread's side.
struct Keeper {
    index: Index,
    counts: Arc<Counts>,
}

impl Keeper {
    fn run(mut self, mut inbox: mpsc::Receiver<Order>) {
        while let Some(order) = inbox.blocking_recv() {
            self.carry_out(order);
            self.counts
                .vectors
                .store(self.index.len(), Ordering::Relaxed);
            self.counts
                .classes
                .store(self.index.classes(), Ordering::Relaxed);
            self.counts
                .bytes
                .store(self.index.bytes(), Ordering::Relaxed);
        }
    }

    fn carry_out(&mut self, order: Order) {
        match order {
            // Its client is gone or past its deadline.
            Order::Search { reply, .. } if reply.is_closed() => {}
            Order::Search {
                class,
                vector,
                reply,
            } => {
                let found = self.index.nearest(&class, &vector);
                drop(reply.send(found.map_err(|error| self.failed("searching", &error))));
            }
            Order::Add {
                class,
                exact,
                vector,
            } => {
                if let Err(error) = self.index.add(class, exact, &vector) {
                    self.failed("adding", &error);
                }
            }
            Order::Fill { exact, vector } => {
                let unpacked = unpack(&vector.packed);
                if let Err(error) = self.index.add(vector.class, exact, &unpacked) {
                    self.failed("filling", &error);
                }
            }
            Order::Remove { number } => self.index.remove(number),
            Order::Forget { exact } => self.index.forget(&exact),
        }
    }

    fn failed(&self, doing: &str, error: &str) -> SearchFailure {
        log::warn!("semantic index: {doing}: {error}");
        self.counts.errors.fetch_add(1, Ordering::Relaxed);
        SearchFailure::Failed
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// A handle whose orders nobody carries out yet.
    fn idle(room: usize) -> (Semantic, mpsc::Receiver<Order>) {
        let (orders, inbox) = mpsc::channel(room);
        (
            Semantic {
                orders,
                counts: Arc::default(),
            },
            inbox,
        )
    }

    fn vector() -> Arc<[f32]> {
        Arc::from([1.0, 0.0])
    }

    fn patience() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    #[tokio::test]
    async fn when_the_thread_is_behind_searches_are_skipped_and_lost_additions_counted() {
        let (semantic, inbox) = idle(2);
        for exact in 0..5 {
            semantic.add([0; 32], [exact; 32], vector());
        }
        assert_eq!(semantic.stats().lost, 3);
        assert_eq!(
            semantic.nearest([0; 32], vector(), patience()).await,
            Err(SearchFailure::Busy)
        );
        drop(inbox);
    }

    #[tokio::test]
    async fn a_search_ends_at_its_deadline() {
        let (semantic, inbox) = idle(2);
        assert_eq!(
            semantic.nearest([0; 32], vector(), Instant::now()).await,
            Err(SearchFailure::TimedOut)
        );
        drop(inbox);
    }

    #[tokio::test]
    async fn a_thread_that_died_is_a_failure_and_not_a_wait() {
        let (semantic, inbox) = idle(2);
        drop(inbox);
        assert_eq!(
            semantic.nearest([0; 32], vector(), patience()).await,
            Err(SearchFailure::Failed)
        );
    }

    #[tokio::test]
    async fn orders_are_carried_out_one_after_the_other_and_refusals_counted() {
        let semantic = Semantic::start(10).unwrap();
        semantic.add([0; 32], [1; 32], vector());
        semantic.add([0; 32], [2; 32], Arc::from([1.0, 0.0, 0.0]));
        let found = semantic
            .nearest([0; 32], vector(), patience())
            .await
            .unwrap();
        assert_eq!(
            found.iter().map(|near| near.exact).collect::<Vec<_>>(),
            [[1; 32]]
        );
        semantic.remove(found[0].number);
        assert_eq!(
            semantic.nearest([0; 32], vector(), patience()).await,
            Ok(vec![])
        );
        let stats = semantic.stats();
        assert_eq!((stats.errors, stats.lost), (1, 0));
    }
}
