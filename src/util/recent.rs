//! What was made lately, to be shared with whoever would make the same.

use std::hash::{BuildHasher, Hash};

use foldhash::quality::RandomState;

/// So many things are remembered, each in a place of its own: of two with one place the later one stays.
const PLACES: usize = 256;

/// Things by what they were made of.
#[derive(Debug)]
pub struct Recent<T> {
    hash: RandomState,
    places: Vec<Option<T>>,
}

impl<T> Default for Recent<T> {
    fn default() -> Self {
        Self {
            hash: RandomState::default(),
            places: (0..PLACES).map(|_| None).collect(),
        }
    }
}

impl<T: Clone> Recent<T> {
    /// What is remembered of `of` if it is `same`; else what `make` makes, which is remembered from now on.
    pub fn get(
        &mut self,
        of: impl Hash,
        same: impl FnOnce(&T) -> bool,
        make: impl FnOnce() -> T,
    ) -> T {
        let place = self.hash.hash_one(of) as usize % PLACES;
        match &self.places[place] {
            Some(known) if same(known) => known.clone(),
            _ => self.places[place].insert(make()).clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_asked_for_is_what_is_got_and_no_more_is_kept_than_there_are_places() {
        let mut recent = Recent::default();
        let mut made = 0;
        for round in 0..3 {
            for n in 0..10 * PLACES {
                let name = format!("{n}");
                let got = recent.get(
                    &name,
                    |known| *known == name,
                    || {
                        made += 1;
                        name.clone()
                    },
                );
                assert_eq!(got, name, "round {round}");
            }
        }
        assert_eq!(recent.places.len(), PLACES);
        assert!(made > 2 * 10 * PLACES, "they cannot all have been there");
    }
}
