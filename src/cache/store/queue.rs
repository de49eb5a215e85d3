//! What waits to be written: bounded in bytes, in the order in which it came.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

use super::disk::Change;
use super::{NotDurable, Sink};
use crate::cache::entry::Entry;

/// What a small change counts.
const SMALL: usize = 128;

/// Changes gather for so long, so that one `fsync` does for many.
const GATHER: Duration = Duration::from_millis(50);

/// Most bytes and changes written at once.
const BATCH_BYTES: usize = 8 << 20;
const BATCH: usize = 4096;

/// Where the answer to an order that is waited for goes.
pub(super) type Reply<T> = oneshot::Sender<Result<T, NotDurable>>;

/// Whether an entry is meant.
pub(super) type Which = Box<dyn Fn(&Entry) -> bool + Send>;

/// What the keeper is to do.
pub(super) enum Order {
    Change(Change),
    Durable {
        changes: Vec<Change>,
        reply: Reply<()>,
    },
    Bar {
        which: Which,
        reply: Reply<u64>,
    },
    Refill(Arc<dyn Sink>),
}

/// Orders that wait.
#[derive(Debug)]
pub(super) struct Queue {
    inner: Mutex<Inner>,
    changed: Condvar,
    max_bytes: usize,
}

#[derive(Default)]
struct Inner {
    orders: VecDeque<(Order, usize)>,
    bytes: usize,
    /// Somebody waits for what is in it.
    urgent: bool,
    closed: bool,
    ended: bool,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inner")
            .field("orders", &self.orders.len())
            .field("bytes", &self.bytes)
            .field("closed", &self.closed)
            .finish()
    }
}

impl Queue {
    pub(super) fn new(max_bytes: usize) -> Self {
        Self {
            inner: Mutex::default(),
            changed: Condvar::new(),
            max_bytes,
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.inner.lock().bytes
    }

    /// Whether there was room for it.
    pub(super) fn push(&self, order: Order, bytes: usize) -> bool {
        self.add(order, bytes, self.max_bytes)
    }

    /// The same for what takes hardly any room: there is half as much again for it.
    pub(super) fn push_small(&self, order: Order) -> bool {
        self.add(order, SMALL, self.max_bytes + self.max_bytes / 2)
    }

    fn add(&self, order: Order, bytes: usize, most: usize) -> bool {
        let mut inner = self.inner.lock();
        if inner.closed || inner.bytes + bytes > most {
            return false;
        }
        inner.bytes += bytes;
        inner.orders.push_back((order, bytes));
        drop(inner);
        self.changed.notify_all();
        true
    }

    /// For what somebody waits for: his waiting is the bound. After the end it is dropped, which tells him.
    pub(super) fn push_urgent(&self, order: Order) {
        let mut inner = self.inner.lock();
        if inner.closed {
            return;
        }
        inner.orders.push_back((order, 0));
        inner.urgent = true;
        drop(inner);
        self.changed.notify_all();
    }

    /// No more comes in; what waits is still to be written.
    pub(super) fn close(&self) {
        self.inner.lock().closed = true;
        self.changed.notify_all();
    }

    /// The thread is done.
    pub(super) fn end(&self) {
        let mut inner = self.inner.lock();
        inner.closed = true;
        inner.ended = true;
        inner.bytes = 0;
        // Their senders are told by this.
        inner.orders.clear();
        drop(inner);
        self.changed.notify_all();
    }

    pub(super) fn wait_until_ended(&self, deadline: Instant) -> bool {
        let mut inner = self.inner.lock();
        while !inner.ended {
            if self.changed.wait_until(&mut inner, deadline).timed_out() {
                return inner.ended;
            }
        }
        true
    }

    /// The next orders, as many as are written at once. Waits for the first until `deadline`, then for more to gather; `None`
    /// when it is closed and empty.
    pub(super) fn take(&self, deadline: Option<Instant>) -> Option<Vec<Order>> {
        let mut inner = self.inner.lock();
        while inner.orders.is_empty() && !inner.closed {
            match deadline {
                None => self.changed.wait(&mut inner),
                Some(deadline) => {
                    if self.changed.wait_until(&mut inner, deadline).timed_out() {
                        return Some(Vec::new());
                    }
                }
            }
        }
        let gathered = Instant::now() + GATHER;
        while !inner.closed && !inner.urgent && inner.bytes < BATCH_BYTES {
            if self.changed.wait_until(&mut inner, gathered).timed_out() {
                break;
            }
        }
        if inner.orders.is_empty() {
            return None;
        }
        let mut taken = Vec::new();
        let mut bytes = 0;
        while taken.len() < BATCH && bytes < BATCH_BYTES {
            let Some((order, size)) = inner.orders.pop_front() else {
                break;
            };
            bytes += size;
            taken.push(order);
        }
        inner.bytes -= bytes;
        inner.urgent &= !inner.orders.is_empty();
        Some(taken)
    }

    /// Waits until `deadline`, refusing meanwhile what somebody waits for; false when it was closed.
    pub(super) fn refuse_until(&self, deadline: Instant, why: &NotDurable) -> bool {
        let mut inner = self.inner.lock();
        loop {
            let mut kept = VecDeque::with_capacity(inner.orders.len());
            if inner.urgent {
                for (order, bytes) in std::mem::take(&mut inner.orders) {
                    match order {
                        Order::Durable { reply, .. } => drop(reply.send(Err(why.clone()))),
                        Order::Bar { reply, .. } => drop(reply.send(Err(why.clone()))),
                        other => kept.push_back((other, bytes)),
                    }
                }
                inner.orders = kept;
                inner.urgent = false;
            }
            if inner.closed {
                return false;
            }
            if self.changed.wait_until(&mut inner, deadline).timed_out() {
                return true;
            }
        }
    }
}
