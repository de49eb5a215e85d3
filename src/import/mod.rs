//! `tollgate import`: an nginx file becomes a Tollgate file.
//!
//! `tree` reads the file with what it includes, `ledger` keeps the fate of every directive, `site` and what it calls
//! translate, `yaml` writes. A directive is either carried over or stands as a comment with its place and the reason: the
//! ledger sees to it, not the care of each translation. What protected something in nginx and cannot be carried over
//! takes its route with it into the comments, so that nothing is opened by the import.

mod globals;
mod ledger;
mod listen;
mod locations;
mod pattern;
mod pools;
mod proxy;
mod reasons;
mod route;
mod site;
mod tree;
mod units;
mod yaml;

#[cfg(test)]
mod tests;

use std::fmt;
use std::path::Path;

/// A translated file.
#[derive(Debug)]
pub struct Imported {
    /// The text of the Tollgate file.
    pub yaml: String,
    /// Directives read, included files and blocks among them.
    pub directives: usize,
    /// Directives that stand as comments.
    pub left_out: usize,
}

/// Why nothing was translated: what stands where.
#[derive(Debug)]
pub struct Error(String);

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Error {}

/// Translates the nginx file at `path`, with everything it includes.
///
/// # Errors
/// When a file cannot be read or is not an nginx file, or there is no server in it.
pub fn import(path: &Path) -> Result<Imported, Error> {
    let tree = tree::read(path).map_err(Error)?;
    let mut ledger = ledger::Ledger::new(tree.count);
    let yaml = site::translate(&tree.top, &mut ledger).map_err(Error)?;
    Ok(Imported {
        yaml,
        directives: tree.count,
        left_out: ledger.left_out(),
    })
}
