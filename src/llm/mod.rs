//! Wire formats of the model APIs: requests, event streams, usage, errors, replay.
//!
//! Everything here is a pure function of bytes, or a small state machine fed with them; nothing knows of sockets, peers
//! or the cache. What is not understood is never guessed at: a parser says so, and an answer that was not seen to end
//! properly is never called complete, because completeness is what lets the cache remember it.

pub mod answer;
pub mod document;
pub mod embeddings;
pub mod endpoint;
pub mod error;
pub mod finish;
pub mod meter;
pub mod models;
pub mod replay;
pub mod request;
mod skim;
pub mod sse;
pub mod usage;
mod wire;

#[cfg(test)]
mod recordings;

pub use document::Document;
pub use endpoint::{Dialect, Endpoint};
pub use error::{ApiError, ErrorType};
pub use finish::Finish;
pub use request::{Malformed, RequestView};
pub use usage::Usage;
