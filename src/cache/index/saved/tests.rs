use super::*;
use crate::cache::index::Neighbour;
use crate::cache::index::tests::{key, unit};

const MODEL: [u8; 32] = [5; 32];

/// Two classes that are kept and one that is too small for it.
fn full() -> Index {
    let index = Index::new(100_000);
    for n in 0..3 * WORTH_IT {
        index.insert(key(n % 2), key(n), &unit(n)).unwrap();
    }
    index.insert(key(9), key(90_000), &unit(90_000)).unwrap();
    index.settle().unwrap();
    index
}

fn next(max: usize) -> Index {
    Index::counting_from(1 << 40, max)
}

fn found(index: &Index, class: usize, n: usize) -> Option<Neighbour> {
    let near = index.nearest(&key(class), &unit(n)).unwrap();
    near.into_iter().find(|near| near.exact == key(n))
}

#[test]
fn what_was_removed_but_still_in_its_graph_takes_no_ones_place_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let before = full();
    for n in 0..500 {
        before.forget(&key(n));
    }
    before.save(folder.path(), &MODEL).unwrap();
    let index = next(100_000);
    let mut saved = index.load(folder.path(), &MODEL);
    for n in 500..3 * WORTH_IT {
        assert!(index.adopt(&mut saved, key(n % 2), key(n)));
    }
    index.release(saved);
    index.settle().unwrap();
    let maps = index.maps.read();
    let held: usize = maps.classes.values().map(|kept| kept.class.len()).sum();
    assert_eq!(held, 3 * WORTH_IT - 500);
}

#[test]
fn what_was_kept_is_found_again_once_it_is_adopted_and_only_then() {
    let folder = tempfile::tempdir().unwrap();
    let before = full();
    assert_eq!(before.save(folder.path(), &MODEL).unwrap(), 3 * WORTH_IT);
    let index = next(100_000);
    let mut saved = index.load(folder.path(), &MODEL);
    assert_eq!((saved.len(), index.len()), (3 * WORTH_IT, 0));
    assert!(found(&index, 0, 0).is_none());
    for n in 0..2 * WORTH_IT {
        assert!(index.adopt(&mut saved, key(n % 2), key(n)));
    }
    assert!(!index.adopt(&mut saved, key(9), key(90_000)));
    assert!(
        !index.adopt(&mut saved, key(0), key(2 * WORTH_IT + 1)),
        "of another class"
    );
    index.release(saved);
    index.settle().unwrap();
    assert_eq!((index.len(), index.classes()), (2 * WORTH_IT, 2));
    let mut right = 0;
    for n in 0..3 * WORTH_IT {
        match found(&index, n % 2, n) {
            Some(near) => {
                assert!(n < 2 * WORTH_IT && (near.similarity - 1.0).abs() < 1e-3);
                right += 1;
            }
            None => assert!(n >= 2 * WORTH_IT - 20, "{n}"),
        }
    }
    assert!(right * 100 >= 2 * WORTH_IT * 99, "{right}");
    // It goes on as any other.
    for n in 200_000..200_300 {
        index.insert(key(0), key(n), &unit(n)).unwrap();
        assert!(found(&index, 0, n).is_some());
    }
}

#[test]
fn what_came_since_the_start_stays_and_is_not_doubled() {
    let folder = tempfile::tempdir().unwrap();
    full().save(folder.path(), &MODEL).unwrap();
    let index = next(100_000);
    index.add(key(0), key(0), &unit(0)).unwrap();
    index.add(key(0), key(70_000), &unit(70_000)).unwrap();
    let mut saved = index.load(folder.path(), &MODEL);
    assert!(!index.adopt(&mut saved, key(0), key(0)));
    assert!(index.adopt(&mut saved, key(0), key(2)));
    index.release(saved);
    index.settle().unwrap();
    assert_eq!(index.len(), 3);
    for n in [0, 2, 70_000] {
        let near = index.nearest(&key(0), &unit(n)).unwrap();
        assert_eq!((near.len(), near[0].exact), (3, key(n)));
    }
}

#[test]
fn files_of_another_model_or_with_any_damage_are_as_good_as_none() {
    let folder = tempfile::tempdir().unwrap();
    full().save(folder.path(), &MODEL).unwrap();
    assert!(next(9).load(folder.path(), &[6; 32]).is_empty());
    assert!(
        Index::new(9).load(folder.path(), &MODEL).is_empty(),
        "numbers that are given anew"
    );
    let files: Vec<_> = fs::read_dir(folder.path()).unwrap().flatten().collect();
    assert_eq!(files.len(), 4);
    let mut random = fastrand::Rng::with_seed(3);
    for file in files {
        let whole = fs::read(file.path()).unwrap();
        for _ in 0..20 {
            let mut bent = whole.clone();
            let at = random.usize(..bent.len());
            bent[at] ^= random.u8(1..);
            fs::write(file.path(), &bent).unwrap();
            assert!(next(9).load(folder.path(), &MODEL).len() <= 3 * WORTH_IT / 2);
            fs::write(file.path(), &whole[..at]).unwrap();
            assert!(next(9).load(folder.path(), &MODEL).len() <= 3 * WORTH_IT / 2);
        }
        fs::write(file.path(), &whole).unwrap();
    }
    assert_eq!(next(9).load(folder.path(), &MODEL).len(), 3 * WORTH_IT);
}

#[test]
fn classes_that_are_gone_leave_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let index = full();
    index.save(folder.path(), &MODEL).unwrap();
    for n in (0..3 * WORTH_IT).filter(|n| n % 2 == 0) {
        index.forget(&key(n));
    }
    index.settle().unwrap();
    assert_eq!(index.save(folder.path(), &MODEL).unwrap(), 3 * WORTH_IT / 2);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
}
