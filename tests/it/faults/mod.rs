//! The sixteen faults of inference servers, each through the real binary in front of simulated engines.
//!
//! `cargo test --test it faults -- --nocapture` prints a line for each; `docs/faults.md` is made of these lines, and a
//! line that is not there fails its test.

mod bench;

mod after;
mod before;
mod content;
mod policy;
