//! Clients: their connections, and the requests that come on them.
//!
//! [`Front`] is what Pingora's listener hands connections to. It reads requests off them, over HTTP/1 (`h1`, our own on
//! `wire`) or HTTP/2 (`h2`, on the crate of that name), and gives each as a [`Session`] to a [`Handler`], the same for both.

mod crowd;
mod date;
mod door;
mod h1;
mod h2;
mod pace;
pub mod proxy_protocol;
mod refusal;
mod rules;
mod session;
pub mod tls;

pub use crowd::Crowd;
pub use door::{Front, Handler};
pub use refusal::Refusal;
pub use rules::Rules;
pub use session::{ClientError, Session, Whole};

/// Bytes of an answer that are written at once, so that a slow client has the whole time for each piece.
const PIECE: usize = 256 * 1024;
