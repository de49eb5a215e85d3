//! Who may send how much: keys, limits, and the queue where requests wait for a peer.

pub mod auth;
pub mod limits;
pub mod queue;

pub use auth::{Client, Identified, KeyTable, presented_key};
pub use limits::{Limiter, Need, Reservation, Subject};
pub use queue::{Full, Queue};
