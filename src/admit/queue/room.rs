//! What the lock of the waiting room guards: the line, its sums and the turn.

use std::collections::BTreeMap;
use std::task::Waker;
use std::time::{Duration, Instant};

use crate::config::model::{self, Priority};

use super::drain::Drain;
use super::order::Order;
use super::{Full, counts};

#[derive(Default)]
pub(super) struct Room {
    max_requests: usize,
    max_bytes: u64,
    line: BTreeMap<Order, Waiter>,
    bytes: u64,
    arrivals: u64,
    turn: bool,
    drain: Drain,
}

pub(super) struct Waiter {
    pub(super) class: Priority,
    bytes: u64,
    since: Instant,
    waker: Option<Waker>,
}

/// How a place ends.
pub(super) struct End {
    /// It had taken the turn and not asked again.
    pub(super) held_turn: bool,
    /// When it found a peer; `None` if it gave up.
    pub(super) served: Option<Instant>,
}

impl Room {
    pub(super) fn bound(&mut self, bounds: &model::Queue) {
        self.max_requests = bounds.max_requests.min(counts::MAX);
        self.max_bytes = bounds.max_bytes;
    }

    pub(super) fn admit(
        &mut self,
        class: Priority,
        bytes: u64,
        now: Instant,
    ) -> Result<Order, Full> {
        if self.line.len() >= self.max_requests {
            return Err(Full::Requests);
        }
        match self.bytes.checked_add(bytes) {
            Some(total) if total <= self.max_bytes => self.bytes = total,
            _ => return Err(Full::Bytes),
        }
        if self.line.is_empty() {
            self.drain.start(now);
        }
        let order = Order::new(class, self.arrivals);
        self.arrivals += 1;
        let waiter = Waiter {
            class,
            bytes,
            since: now,
            waker: None,
        };
        self.line.insert(order, waiter);
        if self.is_first(order) {
            self.turn = true;
        }
        Ok(order)
    }

    /// Takes the turn, if there is one and it is that of `order`.
    pub(super) fn take_turn(&mut self, order: Order) -> bool {
        self.is_first(order) && std::mem::take(&mut self.turn)
    }

    /// Remembers whom to call when it is the turn of `order`; gives back who was remembered before.
    pub(super) fn listen(&mut self, order: Order, waker: Waker) -> Option<Waker> {
        self.line.get_mut(&order)?.waker.replace(waker)
    }

    /// Makes it the turn of the first in line, and gives back whom to call.
    pub(super) fn offer_turn(&mut self) -> Option<Waker> {
        let mut first = self.line.first_entry()?;
        self.turn = true;
        first.get_mut().waker.take()
    }

    /// Takes `order` out, and gives back whom to call if the turn passes on.
    pub(super) fn remove(&mut self, order: Order, end: End) -> Option<(Waiter, Option<Waker>)> {
        let pass_on = end.held_turn || self.is_first(order);
        let waiter = self.line.remove(&order)?;
        self.bytes -= waiter.bytes;
        if let Some(now) = end.served {
            self.drain.served(now);
        }
        let next = if pass_on { self.offer_turn() } else { None };
        Some((waiter, next))
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn oldest(&self) -> Option<Instant> {
        self.line.values().map(|waiter| waiter.since).min()
    }

    pub(super) fn drain_time(&self) -> Option<Duration> {
        self.drain.time_for(self.line.len())
    }

    fn is_first(&self, order: Order) -> bool {
        let first = self.line.first_key_value();
        first.is_some_and(|(first, _)| *first == order)
    }
}
