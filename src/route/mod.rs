//! Which pool a request goes to.
//!
//! A `RouteTable` is built once from a configuration and never changes; requests share it without locks.

mod pattern;
mod table;

pub use table::RouteTable;
