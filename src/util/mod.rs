//! Small things that several rooms need.

pub mod ewma;
pub mod hash;
pub mod stack_vec;
