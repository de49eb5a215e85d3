//! Small things that several rooms need.

pub mod client_address;
pub mod collected;
pub mod decimal;
pub mod ewma;
pub mod fields;
pub mod hash;
pub mod headers;
pub mod hex;
pub mod json_text;
pub mod names;
pub mod ranges;
pub mod recent;
pub mod stack_vec;
pub mod traceparent;
