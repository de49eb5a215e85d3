//! A simulated inference engine and an open-loop load generator, beside the proxy and never in its path.
//!
//! - [`engine`]: continuous batching as a pure model that is stepped by a clock argument.
//! - [`text`]: the counting rule and the words that both sides share.

pub mod engine;
pub mod text;
