//! Which route a request takes, and what the route does to it on the way.
//!
//! A `RouteTable` is built once from a configuration and never changes; requests share it without locks. Everything here
//! is pure: who asks hands in the request's parts, and does with the outcome what has to be done.
//!
//! ```text
//! Question ─► RouteTable::find ─► Route ─► access (may they?) ─► action: pool, respond or redirect
//!                                            rewrite (path and headers, there and back), mirror (a copy?)
//! ```

mod access;
mod action;
mod headers;
mod host;
mod matcher;
mod mirror;
mod path;
mod pattern;
mod redirect;
mod respond;
mod rewrite;
mod table;

pub use access::Access;
pub use action::{Action, Route};
pub use headers::HeaderEdits;
pub use matcher::Question;
pub use mirror::Mirror;
pub use path::normal_path;
pub use redirect::Redirect;
pub use respond::Respond;
pub use rewrite::{BadTarget, Rewrite};
pub use table::RouteTable;
