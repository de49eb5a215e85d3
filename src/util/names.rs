//! Names that one request after another says: of models, tenants, kinds of content, reasons to stop. One copy of each, where
//! a copy for each request would be made, kept with its answer in the cache, and let go of one by one.

use std::cell::RefCell;
use std::hash::BuildHasher;
use std::sync::Arc;

use foldhash::quality::RandomState;

/// Names that a thread remembers, each in a place of its own: of two with one place the later one stays.
const PLACES: usize = 256;
/// Longest name that is remembered, in bytes.
const LONGEST: usize = 128;

struct Known {
    hash: RandomState,
    places: Vec<Option<Arc<str>>>,
}

thread_local!(static KNOWN: RefCell<Known> = RefCell::new(Known {
    hash: RandomState::default(),
    places: vec![None; PLACES],
}));

/// `name`, shared with whoever said it lately.
pub fn shared(name: &str) -> Arc<str> {
    if name.len() > LONGEST {
        return name.into();
    }
    KNOWN.with_borrow_mut(|Known { hash, places }| {
        let place = hash.hash_one(name) as usize % PLACES;
        match &places[place] {
            Some(known) if **known == *name => Arc::clone(known),
            _ => Arc::clone(places[place].insert(name.into())),
        }
    })
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
    fn whatever_is_said_is_what_is_got_and_no_more_is_kept_than_there_are_places() {
        let long = "x".repeat(LONGEST + 1);
        assert_eq!(*shared(&long), *long);
        assert!(!Arc::ptr_eq(&shared(&long), &shared(&long)));
        for n in 0..10 * PLACES {
            let name = format!("model-{n}");
            assert_eq!(*shared(&name), *name);
        }
        KNOWN.with_borrow(|known| assert_eq!(known.places.len(), PLACES));
    }
}
