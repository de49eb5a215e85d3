//! A simulated inference engine and an open-loop load generator, beside the proxy and never in its path.
//!
//! - [`engine`]: continuous batching as a pure model that is stepped by a clock argument.
//! - [`server`]: that model behind the OpenAI and Anthropic APIs, with faults on demand (`tollgate sim`).
//! - [`load`]: requests at set times, and what became of them (`tollgate load`).
//! - [`demo`]: engines, Tollgate in front of them, and a table of what came back (`tollgate demo`).
//! - [`text`]: the counting rule and the words that both sides share.

pub mod demo;
pub mod engine;
pub mod load;
pub mod server;
pub mod text;

pub use demo::DemoArgs;
pub use load::LoadArgs;
pub use server::{SimArgs, SimConfig, SimServer};
