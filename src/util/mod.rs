//! Small things that several rooms need.
