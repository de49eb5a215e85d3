//! Names that one request after another says: of models, kinds of content, reasons to stop. One copy of each, where a copy for
//! each request would be made, kept with its answer in the cache, and let go of one by one.

use std::cell::RefCell;
use std::sync::Arc;

use super::recent::Recent;

/// Longest name that is remembered, in bytes.
const LONGEST: usize = 128;

thread_local!(static KNOWN: RefCell<Recent<Arc<str>>> = RefCell::default());

/// `name`, shared with whoever said it lately.
pub fn shared(name: &str) -> Arc<str> {
    if name.len() > LONGEST {
        return name.into();
    }
    KNOWN.with_borrow_mut(|known| known.get(name, |known| **known == *name, || name.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_said_again_is_the_same_one() {
        let one = shared("model-a");
        assert_eq!(&*one, "model-a");
        assert!(Arc::ptr_eq(&one, &shared("model-a")));
        assert_eq!(&*shared(""), "");
    }

    #[test]
    fn what_is_long_is_not_kept() {
        let long = "x".repeat(LONGEST + 1);
        assert_eq!(*shared(&long), *long);
        assert!(!Arc::ptr_eq(&shared(&long), &shared(&long)));
    }
}
