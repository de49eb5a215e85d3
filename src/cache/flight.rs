//! Requests alike that are in flight share one upstream call.
//!
//! ```text
//!  join(key) ─► Lead     the first: asks upstream, pushes what comes
//!           └─► Follow   the others: read from byte 0 what is there, then what comes
//!
//!  ahead ─► begun ─► landed           the whole answer
//!    │        └────► broken           it broke off: the same truth for all
//!    └─► leaderless ─► ahead          the lead failed before the first byte: a follower takes over
//!    └─► scattered                    too many leads failed: each goes by itself
//! ```
//!
//! The answer is held once, in the buffer that the cache fills anyway; each follower copies from it at its own pace. An
//! answer that outgrows the cache's largest entry takes no newcomers, and only its last bytes are kept for those who
//! follow: who falls behind them is cut off. Both sides are guards: whoever goes away, in whatever way, is counted out.

mod follow;
mod lead;
mod state;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use dashmap::mapref::entry::Entry;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::llm::{ApiError, Usage};
use crate::util::hash::SharedMap;
pub use follow::{Follow, Step};
pub use lead::{Crew, Lead, Pushed};
use state::State;

/// Which requests share a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FlightKey {
    /// The exact key, which holds whom an answer may be given to.
    pub exact: [u8; 32],
    /// The form that the answer was asked for in: what one client gets is what the others get, byte for byte.
    pub form: Form,
}

/// What an answer is asked for as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Form {
    /// JSON.
    Whole,
    /// A stream of events.
    Stream,
    /// One that ends with usage.
    StreamWithUsage,
}

/// The head of an answer that is shared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Begun {
    /// Its `Content-Type`.
    pub content_type: Arc<str>,
    /// Its `Content-Length`, where it has one.
    pub length: Option<u64>,
}

/// What is known of an answer that came to its end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Landing {
    /// Its tokens.
    pub usage: Option<Usage>,
    /// The model that answered.
    pub model: Option<Arc<str>>,
    /// Why it stopped.
    pub finish_reason: Option<Arc<str>>,
    /// When its first and its last token came.
    pub tokens: Option<(std::time::Instant, std::time::Instant)>,
}

/// How an answer broke off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Break {
    /// What ends a half-written event of a stream.
    pub closing: &'static [u8],
    /// What the clients are told.
    pub error: ApiError,
}

/// What joining came to.
#[derive(Debug)]
pub enum Joined {
    /// Nobody asks for this yet: ask.
    Lead(Lead),
    /// Somebody does: follow.
    Follow(Follow),
}

/// The flights of one cache.
#[derive(Debug)]
pub struct Flights {
    by_key: SharedMap<FlightKey, Arc<Flight>>,
    landed: AtomicU64,
    /// Those who follow, over all flights.
    following: AtomicUsize,
    /// Largest answer that is held whole, in bytes.
    most: usize,
}

/// One call and those who share it.
#[derive(Debug)]
struct Flight {
    key: FlightKey,
    /// Changed under the lock of `state` alone.
    followers: AtomicUsize,
    state: Mutex<State>,
    /// Tells followers of news.
    news: Notify,
    /// Tells the lead that somebody came or went.
    crew: Notify,
}

impl Flights {
    /// None yet. Answers of more than `most` bytes are not held whole.
    #[must_use]
    pub fn new(most: u64) -> Arc<Self> {
        Arc::new(Self {
            by_key: SharedMap::default(),
            landed: AtomicU64::new(0),
            following: AtomicUsize::new(0),
            most: usize::try_from(most).unwrap_or(usize::MAX),
        })
    }

    /// Follows the flight of this key, or leads it.
    pub fn join(self: &Arc<Self>, key: FlightKey) -> Joined {
        match self.by_key.entry(key) {
            Entry::Vacant(place) => {
                let flight = Arc::new(Flight::new(key));
                place.insert(Arc::clone(&flight));
                Joined::Lead(Lead::of(self, flight))
            }
            Entry::Occupied(mut place) => {
                let flight = Arc::clone(place.get());
                let mut state = flight.state.lock();
                if state.takes_over() {
                    drop(state);
                    return Joined::Lead(Lead::of(self, flight));
                }
                if state.takes_newcomers() {
                    let follow = Follow::from_start(self, Arc::clone(&flight));
                    drop(state);
                    flight.crew.notify_waiters();
                    return Joined::Follow(follow);
                }
                drop(state);
                let flight = Arc::new(Flight::new(key));
                place.insert(Arc::clone(&flight));
                Joined::Lead(Lead::of(self, flight))
            }
        }
    }

    /// How many answers have landed. Whoever leads after this changed since it looked may find its answer stored.
    #[must_use]
    pub fn landed(&self) -> u64 {
        self.landed.load(Ordering::SeqCst)
    }

    /// Flights that newcomers could follow.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_key.len()
    }

    /// Those who follow a flight now, also one that takes no newcomers any more.
    #[must_use]
    pub fn following(&self) -> usize {
        self.following.load(Ordering::Relaxed)
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }

    /// Takes a flight out of newcomers' sight, if `over` still holds.
    fn remove(&self, flight: &Arc<Flight>, over: impl FnOnce(&Flight) -> bool) {
        self.by_key.remove_if(&flight.key, |_, known| {
            Arc::ptr_eq(known, flight) && over(flight)
        });
    }
}

impl Flight {
    fn new(key: FlightKey) -> Self {
        Self {
            key,
            followers: AtomicUsize::new(0),
            state: Mutex::new(State::new()),
            news: Notify::new(),
            crew: Notify::new(),
        }
    }

    fn is_followed(&self) -> bool {
        self.followers.load(Ordering::SeqCst) > 0
    }

    fn tell(&self) {
        if self.is_followed() {
            self.news.notify_waiters();
        }
    }
}
