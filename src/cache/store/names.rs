//! Names of wire formats that are read from disk, each kept once.

use std::sync::OnceLock;

use parking_lot::Mutex;

/// More than there are formats: whatever else is read is not one.
const MOST: usize = 64;

/// The name, as long as the program runs; `None` when there are too many to be names of formats.
pub(super) fn known(name: &str) -> Option<&'static str> {
    static NAMES: OnceLock<Mutex<Vec<&'static str>>> = OnceLock::new();
    let mut names = NAMES.get_or_init(Mutex::default).lock();
    if let Some(name) = names.iter().find(|known| **known == name) {
        return Some(name);
    }
    if names.len() >= MOST {
        return None;
    }
    let name: &'static str = Box::leak(name.to_owned().into_boxed_str());
    names.push(name);
    Some(name)
}
