//! The waiting room of one pool, where requests wait while every peer is full.
//!
//! The room owns one fact, `turn`: "a peer may have room, and nobody has looked yet". A freed peer sets it, the first
//! in line takes it and looks. Whoever leaves the front sets it again for the next, so it can be too eager, at the
//! price of one look in vain, but never lost: while a peer has room and somebody waits, either the fact is set or
//! somebody is looking. One bit stands for any number of freed peers, because each who finds one passes it on.
//!
//! The peer is chosen by the one whose turn it is, at that moment, so nothing is bound early.

mod counts;
mod drain;
mod order;
mod place;
mod room;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::config::model::{self, Priority};

pub use counts::Waiting;
pub use place::Place;

use counts::Counts;
use order::Order;
use room::{End, Room};

/// Why nobody more may wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    /// As many requests wait as may.
    Requests,
    /// The body would not fit beside those that wait.
    Bytes,
}

/// The waiting room of one pool. It lives on across reloads, as the peers do.
pub struct Queue {
    counts: Counts,
    room: Mutex<Room>,
}

impl Queue {
    /// An empty room with these bounds. At most 2,097,151 requests wait, whatever the bounds say.
    #[must_use]
    pub fn new(bounds: &model::Queue) -> Self {
        let mut room = Room::default();
        room.bound(bounds);
        Self {
            counts: Counts::default(),
            room: Mutex::new(room),
        }
    }

    /// Takes other bounds. Who waits stays, also above a smaller bound; nobody new comes in until it is kept again.
    pub fn reconfigure(&self, bounds: &model::Queue) {
        self.room.lock().bound(bounds);
    }

    /// Whether a request of `class` may go to a peer without waiting: nobody of its own or a higher class waits.
    #[must_use]
    pub fn may_pass(&self, class: Priority) -> bool {
        self.counts.nobody_up_to(class)
    }

    /// Takes a place for a request whose body is `bytes` long. Whoever comes to the front by this gets a turn at once:
    /// a peer may have become free between its last look and now.
    ///
    /// # Errors
    /// [`Full`], with nothing taken.
    pub fn join(
        self: &Arc<Self>,
        class: Priority,
        bytes: u64,
        now: Instant,
    ) -> Result<Place, Full> {
        let order = {
            let mut room = self.room.lock();
            let order = room.admit(class, bytes, now)?;
            self.counts.add(class);
            order
        };
        // Pairs with the fence in `wake`: either that one sees us waiting, or our next look sees the room it made.
        fence(Ordering::SeqCst);
        Ok(Place::new(Arc::clone(self), order, now))
    }

    /// Says that a peer may have room now: a request ended, a peer came back, a cap was raised. To be called after
    /// that is visible to whoever looks for a peer. Costs one load while nobody waits.
    pub fn wake(&self) {
        fence(Ordering::SeqCst);
        if self.counts.nobody() {
            return;
        }
        let waker = self.room.lock().offer_turn();
        call(waker);
    }

    /// Nobody waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.counts.nobody()
    }

    /// Requests waiting.
    #[must_use]
    pub fn len(&self) -> usize {
        let Waiting { high, normal, low } = self.counts.load();
        high + normal + low
    }

    /// Requests waiting, by class.
    #[must_use]
    pub fn len_by_class(&self) -> Waiting {
        self.counts.load()
    }

    /// Bytes of waiting bodies.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.room.lock().bytes()
    }

    /// How long the oldest has waited. Looks at each who waits: for status pages, not for requests.
    #[must_use]
    pub fn oldest_wait(&self, now: Instant) -> Option<Duration> {
        let oldest = self.room.lock().oldest()?;
        Some(now.saturating_duration_since(oldest))
    }

    /// How long it takes to serve all who wait now, at the measured speed; `None` before anybody was served. What a
    /// refused client may be told to come back after.
    #[must_use]
    pub fn drain_time(&self) -> Option<Duration> {
        self.room.lock().drain_time()
    }

    fn poll_turn(&self, order: Order, context: &mut Context<'_>) -> Poll<()> {
        let mut room = self.room.lock();
        if room.take_turn(order) {
            return Poll::Ready(());
        }
        let old = room.listen(order, context.waker().clone());
        // A waker may own what it wakes, so none is dropped under the lock.
        drop(room);
        drop(old);
        Poll::Pending
    }

    fn remove(&self, order: Order, end: End) {
        let mut room = self.room.lock();
        let Some((waiter, next)) = room.remove(order, end) else {
            return;
        };
        self.counts.remove(waiter.class);
        drop(room);
        drop(waiter);
        call(next);
    }
}

fn call(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}
