//! Who goes first.

use crate::config::model::Priority;

/// The key by which the waiting room is sorted; the smallest goes first. It is fixed at arrival and unlike any other.
///
/// This is the one place that knows the order. A smarter one replaces the fields: with ageing at a constant rate, for
/// one, `tokens + rate * arrival time` ranks all who wait without ever being computed again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Order {
    class: Priority,
    arrival: u64,
}

impl Order {
    pub(super) fn new(class: Priority, arrival: u64) -> Self {
        Self { class, arrival }
    }
}
