//! The YAML file: what operators write (`raw`), what Tollgate uses (`model`), and every complaint at once (`error`).

pub mod model;
