//! File to `Config`, or every mistake in it.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use super::error::{ConfigError, ConfigErrors};
use super::model::Config;
use super::report::Report;
use super::validate::validate;
use super::{env, shape, tree};

/// A configuration that can be used, and what the operator should still be told.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// Things that work and are probably not meant, each as `path: text`.
    pub warnings: Vec<String>,
}

/// Reads a file, through symlinks. Relative paths in it start from the folder of `path` as given.
///
/// # Errors
/// Every mistake in the file at once, or that it cannot be read.
pub fn load(path: &Path) -> Result<Loaded, ConfigErrors> {
    let text = read(path).map_err(|error| ConfigErrors {
        errors: vec![ConfigError {
            path: path.display().to_string(),
            value: None,
            reason: format!("cannot be read: {error}"),
            hint: None,
            line: None,
        }],
        more: 0,
    })?;
    parse(&text, path.parent().unwrap_or(Path::new("")))
}

/// At most one byte over the bound: the rest of a file that is too large is not worth reading.
fn read(path: &Path) -> io::Result<String> {
    let file = File::open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    let mut bytes = Vec::new();
    file.take(tree::MAX_BYTES as u64 + 1)
        .read_to_end(&mut bytes)?;
    String::from_utf8(bytes).map_err(|error| {
        let line = error.as_bytes()[..error.utf8_error().valid_up_to()]
            .iter()
            .filter(|b| **b == b'\n')
            .count()
            + 1;
        io::Error::new(
            io::ErrorKind::InvalidData,
            format!("line {line} is not UTF-8"),
        )
    })
}

/// Reads a text; `${ENV}` comes from the process, relative paths start from `base_dir`.
///
/// # Errors
/// Every mistake at once.
pub fn parse(text: &str, base_dir: &Path) -> Result<Loaded, ConfigErrors> {
    parse_with(text, base_dir, &|name| std::env::var(name).ok())
}

/// `parse` with another environment.
///
/// # Errors
/// Every mistake at once.
pub fn parse_with(
    text: &str,
    base_dir: &Path,
    lookup: &dyn Fn(&str) -> Option<String>,
) -> Result<Loaded, ConfigErrors> {
    let mut report = Report::default();
    let Some(mut tree) = tree::read(text, &mut report) else {
        return Err(report.into_errors(text));
    };
    env::replace(&mut tree, lookup, &mut report);
    let raw = shape::fit(tree, &mut report);
    let config = validate(&raw, base_dir, &mut report);
    let warnings = report.finish(text)?;
    Ok(Loaded { config, warnings })
}
