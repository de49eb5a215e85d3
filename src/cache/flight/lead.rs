//! Who asks upstream for all.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;

use super::{Begun, Break, Flight, Flights, Follow, Landing};

/// The one that asks. Dropping it says that it failed.
#[derive(Debug)]
#[must_use = "dropping it makes a follower take over"]
pub struct Lead {
    flights: Arc<Flights>,
    flight: Arc<Flight>,
    ended: bool,
}

/// What became of a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pushed {
    /// It is where followers find it.
    Taken,
    /// Likewise, but from now on the answer is too large to be held whole.
    Outgrown,
}

/// Those who follow a lead, as it sees them.
#[derive(Debug, Clone)]
pub struct Crew(Arc<Flight>);

impl Lead {
    pub(super) fn of(flights: &Arc<Flights>, flight: Arc<Flight>) -> Self {
        Self {
            flights: Arc::clone(flights),
            flight,
            ended: false,
        }
    }

    /// Those who follow.
    #[must_use]
    pub fn crew(&self) -> Crew {
        Crew(Arc::clone(&self.flight))
    }

    /// Whether somebody follows.
    #[must_use]
    pub fn is_followed(&self) -> bool {
        self.flight.is_followed()
    }

    /// An answer has begun that the others may have.
    pub fn begin(&self, begun: Begun) {
        self.flight.state.lock().begin(begun);
        self.flight.tell();
    }

    /// A part of it.
    pub fn push(&self, part: &Bytes) -> Pushed {
        let flight = &self.flight;
        let outgrown = flight
            .state
            .lock()
            .push(part, self.flights.most, flight.is_followed());
        flight.tell();
        if !outgrown {
            return Pushed::Taken;
        }
        self.flights.remove(flight, |_| true);
        Pushed::Outgrown
    }

    /// The whole answer, once all of it was pushed; `None` if it is too large to be held.
    #[must_use]
    pub fn close(&self) -> Option<Bytes> {
        self.flight.state.lock().close()
    }

    /// Follows its own answer, from behind what was pushed so far: for a lead that asks on elsewhere.
    pub fn follow(&self) -> Follow {
        let state = self.flight.state.lock();
        Follow::begun_at(state.end(), &self.flights, Arc::clone(&self.flight))
    }

    /// The answer is complete. It must be stored before: newcomers find it only there from now on.
    pub fn land(mut self, landing: Landing) {
        self.ended = true;
        self.flight.state.lock().land(landing);
        self.flights.landed.fetch_add(1, Ordering::SeqCst);
        self.flights.remove(&self.flight, |_| true);
        self.flight.tell();
    }

    /// The answer broke off.
    pub fn broke(mut self, why: Break) {
        self.ended = true;
        self.leave(Some(Arc::new(why)));
    }

    fn leave(&self, why: Option<Arc<Break>>) {
        let over = {
            let mut state = self.flight.state.lock();
            state.abandoned(self.flight.is_followed(), why)
        };
        if over {
            self.flights.remove(&self.flight, |_| true);
        }
        self.flight.tell();
    }
}

impl Drop for Lead {
    fn drop(&mut self) {
        if !self.ended {
            self.leave(None);
        }
    }
}

impl Crew {
    /// Whether somebody follows.
    #[must_use]
    pub fn is_there(&self) -> bool {
        self.0.is_followed()
    }

    /// Resolves when somebody follows.
    pub async fn came(&self) {
        self.until(Flight::is_followed).await;
    }

    /// Resolves when nobody follows.
    pub async fn left(&self) {
        self.until(|flight| !flight.is_followed()).await;
    }

    async fn until(&self, holds: impl Fn(&Flight) -> bool) {
        loop {
            let mut change = pin!(self.0.crew.notified());
            change.as_mut().enable();
            if holds(&self.0) {
                return;
            }
            change.await;
        }
    }
}
