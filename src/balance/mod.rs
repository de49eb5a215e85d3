//! Which peer serves a request: live counters, leases, estimates, policies, health.
//!
//! ```text
//!  Pool ── pick(Demand) ──► Policy ──► Lease ── first_byte, progress ──► drop: all counts given back, waiters woken
//!   │                         ▲          │
//!   └─ Peer ── Live: in flight, queued tokens, health ◄── report, probed
//! ```
//!
//! A [`Pool`] belongs to one configuration and does not change with it: a reload makes a new one out of the old, in
//! which peers that stay have the same live state. Nothing here does I/O or reads a clock; `now` is an argument.
//! Picking takes no lock.

mod budget;
pub mod estimate;
mod health;
mod lease;
mod live;
mod pause;
mod peer;
pub mod policy;
mod pool;
mod view;

pub use budget::{BudgetSpent, RetryGrant};
pub use estimate::Estimator;
pub use health::{Change, Failure, Probe};
pub use lease::Lease;
pub use pause::Pause;
pub use peer::Peer;
pub use pool::{Demand, Outcome, Pick, Pool, ReleaseHook, Resolved, Totals};
pub use view::{PeerState, PeerView};
