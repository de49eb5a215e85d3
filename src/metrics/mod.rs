//! What is counted, under which name.
//!
//! `names` declares every series once; `events` has one function per happening, so that a name is written nowhere
//! else; `access_log` writes a line per request and `error_log` what goes wrong, both through `spool`, from threads of
//! their own; `labels` keeps label values bounded, `memo` finds series quickly, and `totals` sums over them.
//! Counters live in one process-wide registry; gauges of live state are read from it at scrape time.

pub mod access_log;
pub mod error_log;
pub mod events;
mod labels;
mod memo;
pub mod names;
mod spool;
pub mod totals;

use prometheus::{Encoder, TextEncoder};

/// The Prometheus text of everything registered.
pub fn render() -> Result<Vec<u8>, prometheus::Error> {
    let mut text = Vec::with_capacity(16 * 1024);
    TextEncoder::new().encode(&prometheus::gather(), &mut text)?;
    Ok(text)
}
