//! The live state: one immutable snapshot at a time, replaced whole by a reload.
//!
//! `snapshot` is what a request holds from its beginning to its end; `build` makes one from a configuration and the
//! snapshot before it, so that peers that stay keep their counters, health and what was learnt about them; `live`
//! holds the current one and swaps it; `watch` sees changes of the file; `probe` and `resolve` keep peers' health
//! and addresses current.

mod build;
mod listeners;
mod live;
mod probe;
mod resolve;
mod snapshot;
mod watch;

pub use live::{LastRead, Live, Refused, Reloaded};
pub use probe::probe_forever;
pub use resolve::resolve_forever;
pub use snapshot::{Pool, Snapshot};
pub use watch::watch_forever;
