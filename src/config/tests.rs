//! Files as a whole: the shipped ones, and broken ones.

mod conf;
mod edge;
mod errors;
mod robust;
mod routes;
mod values;

use std::path::Path;

use super::{ConfigErrors, Loaded, parse_with};

fn env(name: &str) -> Option<String> {
    (name == "PORT").then(|| "8000".to_owned())
}

fn parsed(text: &str) -> Result<Loaded, ConfigErrors> {
    parse_with(text, Path::new("/etc/tollgate"), &env)
}

/// The least file, with more of it in `pool` (under the only pool) and `rest` (at the top).
fn file(pool: &str, rest: &str) -> String {
    format!(
        "listen: [{{ address: 0.0.0.0:8080 }}]\npools:\n  a:\n    peers: [{{ address: 10.0.0.1:8000 }}]\n{pool}\n{rest}\n"
    )
}

fn good(pool: &str, rest: &str) -> Loaded {
    parsed(&file(pool, rest)).unwrap()
}

fn bad(pool: &str, rest: &str) -> Vec<String> {
    lines(&file(pool, rest))
}

fn lines(text: &str) -> Vec<String> {
    parsed(text)
        .unwrap_err()
        .iter()
        .map(ToString::to_string)
        .collect()
}
