//! Answers given before: exact and by meaning.
