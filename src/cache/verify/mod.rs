//! Verified serving: of the answers served by meaning no more than a promised share is wrong.
//!
//! ```text
//!  neighbours ─► Case ─► Learner of the class ─┐ unsure
//!                        Learner of the ground ◄┘
//!                          │  Model: orders cases          Ledger: labels, questions asked
//!                          │  cut: where the bound holds   Trial, Alarm, Aim: watch what is served
//!                          └► Verdict
//! ```
//!
//! Labels are comparisons of a fresh answer with the stored one that would have been served: every miss brings one, and a
//! share of the hits is asked upstream all the same. Nothing here does I/O, and no label crosses from one ground (whom
//! answers are shared with, and the route) to another.

pub mod answer;
pub mod bound;
pub mod cut;
pub mod features;
pub mod judge;
pub mod learner;
pub mod ledger;
pub mod model;
mod places;
pub mod report;
mod verifier;
pub mod watch;

pub use answer::AnswerClass;
pub use features::{Case, FEATURES, Near};
pub use judge::Dispute;
pub use report::Report;
pub use verifier::{Due, Verdict, Verifier};

/// Where a case belongs. What is learnt of a class stays in its ground.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Place {
    /// Equal for requests that may share answers, on the same route.
    pub ground: [u8; 32],
    /// Equal for requests of the ground that differ in nothing but their last question.
    pub class: [u8; 32],
}

#[cfg(test)]
mod tests;
