//! One request's place in the waiting room.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use super::Queue;
use super::order::Order;
use super::room::End;

/// A place in the waiting room. Dropping it, at any time, gives it up: its count and bytes are free at once, and if a
/// turn was meant for it the next in line gets it.
#[must_use = "a dropped place is given up"]
pub struct Place {
    queue: Arc<Queue>,
    order: Order,
    since: Instant,
    turn: Turn,
    served: Option<Instant>,
}

#[derive(PartialEq, Eq)]
enum Turn {
    Awaited,
    Held,
}

impl Place {
    pub(super) fn new(queue: Arc<Queue>, order: Order, since: Instant) -> Self {
        Self {
            queue,
            order,
            since,
            turn: Turn::Awaited,
            served: None,
        }
    }

    /// Resolves when this place is first in line and a peer may have room: at first, when it comes to the front, and
    /// at each [`Queue::wake`] after that.
    ///
    /// The caller then tries to get a peer. If it gets one it calls [`leave`](Self::leave); if not it awaits the next
    /// turn. Who is first and does neither holds up all behind it. Cancel-safe: an unfinished call leaves nothing
    /// behind and loses no turn.
    pub async fn turn(&mut self) {
        poll_fn(|context| self.poll_turn(context)).await;
    }

    fn poll_turn(&mut self, context: &mut Context<'_>) -> Poll<()> {
        // To ask again is to say that the last turn did not help.
        self.turn = Turn::Awaited;
        let polled = self.queue.poll_turn(self.order, context);
        if polled.is_ready() {
            self.turn = Turn::Held;
        }
        polled
    }

    /// Leaves with a peer. The next in line gets a turn, since there may be room for more than one.
    pub fn leave(mut self, now: Instant) {
        self.served = Some(now);
    }

    /// When this place was taken.
    #[must_use]
    pub fn since(&self) -> Instant {
        self.since
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let end = End {
            held_turn: self.turn == Turn::Held,
            served: self.served,
        };
        self.queue.remove(self.order, end);
    }
}
