//! Series that a thread has used before: counting in one of them is a look through a short list and an atomic addition.
//! Finding it by its labels hashes each of them, under a lock that all threads share.

use std::cell::RefCell;
use std::thread::LocalKey;

/// Series a thread remembers; of more the later ones are looked up each time.
const MOST: usize = 32;

/// Series by their labels.
pub(super) struct Memo<M, const N: usize> {
    known: RefCell<Vec<([Box<str>; N], M)>>,
}

impl<M, const N: usize> Memo<M, N> {
    pub(super) const fn new() -> Self {
        Self {
            known: RefCell::new(Vec::new()),
        }
    }

    /// Uses the series of these labels.
    fn with(&self, labels: [&str; N], find: impl FnOnce() -> M, each: impl FnOnce(&M)) {
        let Ok(mut known) = self.known.try_borrow_mut() else {
            return each(&find());
        };
        let same = |known: &[Box<str>; N]| known.iter().zip(&labels).all(|(a, b)| **a == **b);
        if let Some(place) = known.iter().position(|(known, _)| same(known)) {
            each(&known[place].1);
            // What is used more comes to stand before what is used less.
            if place > 0 {
                known.swap(place, place - 1);
            }
            return;
        }
        let found = find();
        each(&found);
        if known.len() < MOST {
            known.push((labels.map(Box::from), found));
        }
    }
}

/// Uses the series that this thread knows under `labels`, or else the one that `find` finds.
pub(super) fn with<M: 'static, const N: usize>(
    memo: &'static LocalKey<Memo<M, N>>,
    labels: [&str; N],
    find: impl Fn() -> M,
    each: impl Fn(&M),
) {
    // A thread that ends may count after its memory of series is gone.
    if memo
        .try_with(|memo| memo.with(labels, &find, &each))
        .is_err()
    {
        each(&find());
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_use_reaches_the_series_of_its_labels(uses in prop::collection::vec((0u8..60, 0u8..2), 0..300)) {
            let memo = Memo::new();
            let counted: Vec<Cell<u32>> = (0..120).map(|_| Cell::new(0)).collect();
            let mut expected: HashMap<usize, u32> = HashMap::new();
            for (a, b) in uses {
                let series = usize::from(a) * 2 + usize::from(b);
                let labels = [a.to_string(), b.to_string()];
                memo.with(
                    [&labels[0], &labels[1]],
                    || series,
                    |series| counted[*series].set(counted[*series].get() + 1),
                );
                *expected.entry(series).or_default() += 1;
            }
            for (series, count) in counted.iter().enumerate() {
                prop_assert_eq!(count.get(), expected.get(&series).copied().unwrap_or_default());
            }
            prop_assert!(memo.known.borrow().len() <= MOST);
        }
    }
}
