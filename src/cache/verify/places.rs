//! The learners of all grounds and classes, the least recently used of which leave.

use std::collections::HashMap;

use super::learner::Learner;

/// Grounds that learn at once. One with all its labels takes about 280 KiB.
const GROUNDS: usize = 64;

/// Classes that learn on their own at once, of the same size.
const CLASSES: usize = 192;

/// Whose learner it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Key {
    /// The ground.
    pub(super) ground: [u8; 32],
    /// The class; `None` = all of the ground.
    pub(super) class: Option<[u8; 32]>,
}

/// A learner and what is kept beside it.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) learner: Learner,
    /// Name of the route.
    pub(super) route: String,
    /// The class seen first, for which the ground's learner is enough.
    pub(super) first: Option<[u8; 32]>,
    /// Whether it learnt something since it was saved.
    pub(super) changed: bool,
    /// When it was used last.
    used: u64,
}

/// Learners by key.
#[derive(Debug, Default)]
pub(super) struct Places {
    kept: HashMap<Key, Kept>,
    clock: u64,
}

impl Places {
    /// The learner of a key, if there is one.
    pub(super) fn get(&mut self, key: Key) -> Option<&mut Kept> {
        self.clock += 1;
        let kept = self.kept.get_mut(&key)?;
        kept.used = self.clock;
        Some(kept)
    }

    /// The learner of a key, made if there is none. `most` is its promise.
    pub(super) fn get_or_make(&mut self, key: Key, route: &str, most: f64) -> &mut Kept {
        if !self.kept.contains_key(&key) {
            self.make_room(key);
        }
        self.clock += 1;
        let used = self.clock;
        let kept = self.kept.entry(key).or_insert_with(|| Kept {
            learner: Learner::new(most),
            route: route.to_owned(),
            first: None,
            changed: false,
            used,
        });
        kept.used = used;
        kept
    }

    /// All of them.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (&Key, &mut Kept)> {
        self.kept.iter_mut()
    }

    fn make_room(&mut self, key: Key) {
        let alike = |other: &Key| other.class.is_some() == key.class.is_some();
        let most = if key.class.is_some() {
            CLASSES
        } else {
            GROUNDS
        };
        let of_kind = self.kept.iter().filter(|(other, _)| alike(other));
        if of_kind.clone().count() < most {
            return;
        }
        if let Some(oldest) = of_kind
            .min_by_key(|(_, kept)| kept.used)
            .map(|(key, _)| *key)
        {
            self.kept.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_million_classes_leave_the_ground_and_a_busy_class_alone() {
        let key = |class| Key {
            ground: [1; 32],
            class,
        };
        let mut places = Places::default();
        places.get_or_make(key(None), "r", 0.02);
        places.get_or_make(key(Some([9; 32])), "r", 0.02).changed = true;
        for n in 0..5000_u32 {
            let mut class = [0; 32];
            class[..4].copy_from_slice(&n.to_le_bytes());
            places.get_or_make(key(Some(class)), "r", 0.02);
            assert!(
                places
                    .get(key(Some([9; 32])))
                    .is_some_and(|kept| kept.changed)
            );
        }
        assert!(places.get(key(None)).is_some());
        assert_eq!(places.kept.len(), CLASSES + 1);
    }
}
