//! The YAML file: what operators write (`raw`), what Tollgate uses (`model`), and every complaint at once (`error`).
//!
//! ```text
//! text ─► tree ─► env ─► shape ─► raw ─► validate ─► model
//!         YAML    ${X}   keys            values, cross checks
//! ```
//!
//! Each step writes its complaints into one `Report` and goes on with what is left, so that one run names every
//! mistake. Nothing here keeps state: a reload is the same call again.

pub mod error;
pub mod model;

mod env;
mod load;
mod locate;
mod nearest;
mod path;
mod raw;
mod report;
mod shape;
mod tree;
mod units;
mod validate;

pub use error::{ConfigError, ConfigErrors};
pub use load::{Loaded, load, parse, parse_with};

#[cfg(test)]
mod tests;
