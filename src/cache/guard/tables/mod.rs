//! Word lists. Each entry is one thing under all the forms and names that mean the same; commas part them, and a form
//! is one word or two.

pub(super) mod names;
pub(super) mod numbers;
pub(super) mod opposites;
pub(super) mod small;
