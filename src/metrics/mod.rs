//! What is counted, under which name.
