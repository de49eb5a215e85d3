//! Those who share another's call.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;

use super::state::Phase;
use super::{Begun, Break, Flight, Flights, Landing, Lead};

/// Most bytes taken at once: a newcomer copies what is there under the lock that the lead needs.
const PIECE: usize = 64 * 1024;

/// One that follows. Dropping it counts it out.
#[derive(Debug)]
#[must_use = "dropping it leaves the flight"]
pub struct Follow {
    flights: Arc<Flights>,
    flight: Arc<Flight>,
    at: u64,
    begun: bool,
}

/// What a follower learns next.
#[derive(Debug)]
pub enum Step {
    /// The answer has begun.
    Begun(Begun),
    /// The next bytes of it; with its landing if they are the last.
    Part(Bytes, Option<Arc<Landing>>),
    /// It is complete.
    Landed(Arc<Landing>),
    /// It broke off; `None` when nobody said why.
    Broken(Option<Arc<Break>>),
    /// Its next bytes are gone: this follower is too slow.
    Behind,
    /// Nobody asks any more: this follower is to.
    Lead(Lead),
    /// Each goes by itself.
    Alone,
}

impl Follow {
    /// From the first byte on. Under the lock of the flight's state.
    pub(super) fn from_start(flights: &Arc<Flights>, flight: Arc<Flight>) -> Self {
        flight.followers.fetch_add(1, Ordering::SeqCst);
        flights.following.fetch_add(1, Ordering::Relaxed);
        Self {
            flights: Arc::clone(flights),
            flight,
            at: 0,
            begun: false,
        }
    }

    /// From this byte on, behind the head. Under the lock of the flight's state.
    pub(super) fn begun_at(at: u64, flights: &Arc<Flights>, flight: Arc<Flight>) -> Self {
        let mut follow = Self::from_start(flights, flight);
        follow.at = at;
        follow.begun = true;
        follow
    }

    /// Waits for what comes next. After the last byte, [`Step::Broken`], [`Step::Behind`], [`Step::Lead`] and
    /// [`Step::Alone`] nothing does.
    ///
    /// May be dropped and called again.
    pub async fn next(&mut self) -> Step {
        if let Some(step) = self.look() {
            return step;
        }
        let flight = Arc::clone(&self.flight);
        loop {
            let mut news = pin!(flight.news.notified());
            news.as_mut().enable();
            if let Some(step) = self.look() {
                return step;
            }
            news.await;
        }
    }

    fn look(&mut self) -> Option<Step> {
        let mut state = self.flight.state.lock();
        if state.takes_over() {
            drop(state);
            return Some(Step::Lead(Lead::of(
                &self.flights,
                Arc::clone(&self.flight),
            )));
        }
        let (begun, landing) = match &state.phase {
            Phase::Ahead | Phase::Leaderless => return None,
            Phase::Scattered => return Some(Step::Alone),
            // It has shown nothing yet, so that it may ask anew.
            Phase::Broken(..) if !self.begun => return Some(Step::Alone),
            Phase::Begun(begun) | Phase::Broken(begun, _) => (begun, None),
            Phase::Landed(begun, landing) => (begun, Some(landing)),
        };
        if !self.begun {
            self.begun = true;
            return Some(Step::Begun(begun.clone()));
        }
        let Some(part) = state.read(self.at, PIECE) else {
            return Some(Step::Behind);
        };
        if part.is_empty() {
            return match &state.phase {
                Phase::Landed(_, landing) => Some(Step::Landed(Arc::clone(landing))),
                Phase::Broken(_, why) => Some(Step::Broken(why.clone())),
                _ => None,
            };
        }
        self.at += part.len() as u64;
        let last = landing.filter(|_| self.at == state.end()).cloned();
        Some(Step::Part(part, last))
    }
}

impl Drop for Follow {
    fn drop(&mut self) {
        let stranded = {
            let state = self.flight.state.lock();
            let left = self.flight.followers.fetch_sub(1, Ordering::SeqCst) - 1;
            left == 0 && matches!(state.phase, Phase::Leaderless)
        };
        self.flights.following.fetch_sub(1, Ordering::Relaxed);
        self.flight.crew.notify_waiters();
        if stranded {
            self.flights.remove(&self.flight, |flight| {
                let state = flight.state.lock();
                !flight.is_followed() && matches!(state.phase, Phase::Leaderless)
            });
        }
    }
}
