//! Who may send how much: keys, limits, and the queue where requests wait for a peer.

pub mod auth;
pub mod limits;
pub mod queue;
