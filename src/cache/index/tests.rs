use std::sync::Arc;

use proptest::prelude::*;

use super::class::{GRAPH_FROM, LIST};
use super::*;

pub(super) fn key(n: usize) -> [u8; 32] {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&n.to_le_bytes());
    key
}

/// A vector of length 1 that depends on `seed` alone.
pub(super) fn unit(seed: usize) -> Arc<[f32]> {
    let mut random = fastrand::Rng::with_seed(seed as u64);
    let raw: Vec<f32> = (0..48).map(|_| random.f32() - 0.5).collect();
    let length = raw.iter().map(|x| x * x).sum::<f32>().sqrt();
    raw.iter().map(|x| x / length).collect()
}

fn cosine(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

fn nearest(index: &Index, class: usize, vector: usize) -> Vec<Neighbour> {
    index.settle().unwrap();
    index.nearest(&key(class), &unit(vector)).unwrap()
}

#[test]
fn a_vector_finds_itself_and_its_neighbours_in_order() {
    let index = Index::new(1000);
    for n in 0..20 {
        index.add(key(0), key(n), &unit(n)).unwrap();
    }
    let near = nearest(&index, 0, 7);
    assert_eq!(near.len(), NEIGHBOURS);
    assert_eq!(near[0].exact, key(7));
    assert!((near[0].similarity - 1.0).abs() < 1e-3);
    assert!(near.is_sorted_by(|a, b| a.similarity >= b.similarity));
    for one in &near {
        let n = usize::from_le_bytes(one.exact[..8].try_into().unwrap());
        assert!((one.similarity - cosine(&unit(7), &unit(n))).abs() < 1e-3);
    }
}

#[test]
fn a_class_never_sees_another() {
    let index = Index::new(10_000);
    for n in 0..GRAPH_FROM + 50 {
        index.add(key(0), key(n), &unit(n)).unwrap();
    }
    index.add(key(1), key(90_000), &unit(90_000)).unwrap();
    assert_eq!(
        nearest(&index, 1, 3)
            .iter()
            .map(|n| n.exact)
            .collect::<Vec<_>>(),
        [key(90_000)]
    );
    assert!(
        nearest(&index, 0, 90_000)
            .iter()
            .all(|n| n.exact != key(90_000))
    );
    assert!(nearest(&index, 2, 3).is_empty());
}

#[test]
fn a_graph_finds_what_a_scan_finds() {
    let index = Index::new(10_000);
    let count = GRAPH_FROM + 300;
    for n in 0..count {
        index.add(key(0), key(n), &unit(n)).unwrap();
    }
    let mut right = 0;
    for query in 10_000..10_100 {
        let best = (0..count).max_by(|a, b| {
            cosine(&unit(*a), &unit(query)).total_cmp(&cosine(&unit(*b), &unit(query)))
        });
        let found = nearest(&index, 0, query);
        assert!(
            (found[0].similarity
                - cosine(
                    &unit(query),
                    &unit(usize::from_le_bytes(
                        found[0].exact[..8].try_into().unwrap()
                    ))
                ))
            .abs()
                < 2e-3
        );
        right += usize::from(found[0].exact == key(best.unwrap()));
    }
    assert!(right >= 95, "{right} of 100");
}

#[test]
fn the_oldest_leave_when_it_is_full() {
    for max in [10, GRAPH_FROM + 20] {
        let index = Index::new(max);
        for n in 0..max + 5 {
            index.add(key(n % 3), key(n), &unit(n)).unwrap();
            assert!(index.len() <= max);
        }
        assert_eq!(index.len(), max);
        for n in 0..max + 5 {
            let held = nearest(&index, n % 3, n)
                .iter()
                .any(|near| near.exact == key(n));
            assert_eq!(held, n >= 5, "{n} of {max}");
        }
    }
}

#[test]
fn a_graph_that_is_written_over_many_times_stays_within_its_bound_and_finds_what_it_holds() {
    let max = GRAPH_FROM + 100;
    let index = Index::new(max);
    for n in 0..max {
        index.add(key(0), key(n), &unit(n)).unwrap();
    }
    index.settle().unwrap();
    let full = index.bytes();
    for n in max..6 * max {
        index.add(key(0), key(n), &unit(n)).unwrap();
        index.settle().unwrap();
    }
    assert_eq!(index.len(), max);
    assert!(index.bytes() <= full * 2, "{} from {full}", index.bytes());
    let found = (5 * max..6 * max)
        .filter(|n| nearest(&index, 0, *n)[0].exact == key(*n))
        .count();
    assert!(found * 100 >= max * 99, "{found} of {max}");
    assert!((0..100).all(|n| {
        nearest(&index, 0, n)
            .iter()
            .all(|near| near.exact != key(n))
    }));
}

#[test]
fn whatever_is_asked_of_it_while_it_grows_does_no_harm() {
    let folder = tempfile::tempdir().unwrap();
    let index = Index::new(10_000);
    // What is being added is counted before it can be found.
    index.insert(key(0), key(0), &unit(0)).unwrap();
    std::thread::scope(|scope| {
        let adding = scope.spawn(|| {
            for n in 1..3000 {
                index.insert(key(0), key(n), &unit(n)).unwrap();
            }
        });
        for round in 0.. {
            let held = index.len();
            assert!(index.bytes() >= held * 48 * 2);
            let found = index.within(&unit(0), 0.9).unwrap();
            assert!(found.contains_key(&key(0)));
            if round % 16 == 0 {
                index.save(folder.path(), &[1; 32]).unwrap();
            }
            if adding.is_finished() {
                break;
            }
        }
    });
    assert_eq!(index.len(), 3000);
}

#[test]
fn its_bytes_grow_with_what_it_holds_and_fall_to_nothing() {
    let index = Index::new(10_000);
    let mut last = 0;
    for n in 0..20 {
        index.add(key(n % 2), key(n), &unit(n)).unwrap();
        assert!(index.bytes() >= last + 48 * 2);
        last = index.bytes();
    }
    for number in 0..20 {
        index.remove(number);
    }
    assert_eq!(index.bytes(), 0);
}

#[test]
fn a_request_added_again_has_one_vector_the_newer() {
    let index = Index::new(10);
    index.add(key(0), key(1), &unit(1)).unwrap();
    index.add(key(0), key(1), &unit(2)).unwrap();
    assert_eq!(index.len(), 1);
    let near = nearest(&index, 0, 2);
    assert_eq!(near.len(), 1);
    assert!((near[0].similarity - 1.0).abs() < 1e-3);
}

#[test]
fn what_is_removed_is_gone_and_its_class_with_it() {
    let index = Index::new(10_000);
    for n in 0..GRAPH_FROM + 10 {
        index.add(key(0), key(n), &unit(n)).unwrap();
    }
    index.settle().unwrap();
    let numbers: Vec<_> = index.maps.read().items.keys().copied().collect();
    for number in numbers {
        index.remove(number);
        index.remove(number);
    }
    assert!(index.is_empty());
    assert_eq!(index.classes(), 0);
    assert!(index.maps.read().numbers.is_empty());
    assert_eq!(index.bytes(), 0);
}

#[test]
fn a_vector_of_another_model_is_refused_and_leaves_no_trace() {
    let index = Index::new(10);
    index.add(key(0), key(1), &unit(1)).unwrap();
    assert!(index.add(key(0), key(2), &[1.0, 0.0]).is_err());
    assert_eq!((index.len(), index.maps.read().numbers.len()), (1, 1));
    assert!(index.nearest(&key(0), &[1.0, 0.0]).is_err());
}

#[test]
fn what_waits_for_its_graph_is_found_and_what_was_removed_is_not() {
    let index = Index::new(10_000);
    for n in 0..GRAPH_FROM + 200 {
        assert!(index.add(key(0), key(n), &unit(n)).unwrap());
        if n == GRAPH_FROM + 50 {
            index.settle().unwrap();
        }
    }
    for n in 0..GRAPH_FROM + 200 {
        let near = index.nearest(&key(0), &unit(n)).unwrap();
        assert_eq!(near[0].exact, key(n));
        let exacts: std::collections::HashSet<_> = near.iter().map(|near| near.exact).collect();
        assert_eq!(exacts.len(), near.len());
    }
    for n in [3, GRAPH_FROM + 100] {
        index.forget(&key(n));
        let near = index.nearest(&key(0), &unit(n)).unwrap();
        assert!(near.iter().all(|near| near.exact != key(n)));
    }
    assert!(index.is_due());
    index.settle().unwrap();
    assert!(!index.is_due());
    assert_eq!(index.len(), GRAPH_FROM + 198);
}

#[test]
fn a_list_that_nobody_moves_is_full_at_some_point() {
    let index = Index::new(100_000);
    let taken = (0..3 * LIST)
        .filter(|n| index.add(key(0), key(*n), &unit(*n)).unwrap())
        .count();
    assert_eq!((taken, index.len()), (LIST, LIST));
    index.settle().unwrap();
    assert!(index.add(key(0), key(9 * LIST), &unit(1)).unwrap());
}

#[test]
fn many_threads_fill_search_and_remove_at_once() {
    let index = Index::new(100_000);
    let (threads, each) = (4, 400);
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let index = &index;
            scope.spawn(move || {
                for n in thread * each..(thread + 1) * each {
                    index.insert(key(0), key(n), &unit(n)).unwrap();
                    index.add(key(1), key(n + 100_000), &unit(n)).unwrap();
                    if n % 10 == 0 {
                        index.forget(&key(n));
                    }
                    let near = index.nearest(&key(0), &unit(n)).unwrap();
                    assert!(near.is_sorted_by(|a, b| a.similarity >= b.similarity));
                }
            });
        }
        for _ in 0..50 {
            index.settle().unwrap();
        }
    });
    index.settle().unwrap();
    let count = threads * each;
    assert_eq!(index.len(), 2 * count - count / 10);
    let found = (0..count)
        .filter(|n| nearest(&index, 0, *n).first().map(|near| near.exact) == Some(key(*n)))
        .count();
    assert!(found >= count * 9 / 10 * 99 / 100, "{found}");
    let held: usize = index
        .maps
        .read()
        .classes
        .values()
        .map(|kept| kept.class.len())
        .sum();
    assert_eq!(held, index.len());
}

/// As when a request is answered while its entry of before is read back.
#[test]
fn what_comes_from_two_sides_at_once_is_in_its_graph_once() {
    for round in 0..4 {
        let index = Index::new(100_000);
        let count = 1200;
        std::thread::scope(|scope| {
            let adding = scope.spawn(|| {
                for n in 0..count {
                    while !index.add(key(0), key(n), &unit(n)).unwrap() {
                        std::thread::yield_now();
                    }
                }
            });
            for side in 0..2 {
                let index = &index;
                scope.spawn(move || {
                    for n in (side..count).step_by(2) {
                        index.insert(key(0), key(n), &unit(n)).unwrap();
                    }
                });
            }
            while !adding.is_finished() {
                index.settle().unwrap();
            }
        });
        index.settle().unwrap();
        let maps = index.maps.read();
        let held: usize = maps.classes.values().map(|kept| kept.class.len()).sum();
        assert_eq!(held, count, "round {round}");
        assert_eq!(maps.items.len(), count);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever is added and removed, the three views of what is held agree and stay within the bound.
    #[test]
    fn its_parts_always_agree(steps in prop::collection::vec((0..4usize, 0..40usize, any::<bool>()), 1..200), max in 1..30usize) {
        let index = Index::new(max);
        for (class, request, add) in steps {
            if add {
                index.add(key(class), key(request), &unit(request)).unwrap();
            } else {
                index.forget(&key(request));
            }
            prop_assert!(index.len() <= max);
            let maps = index.maps.read();
            prop_assert_eq!(maps.items.len(), maps.numbers.len());
            prop_assert_eq!(maps.items.len(), maps.classes.values().map(|kept| kept.items).sum::<usize>());
            prop_assert_eq!(maps.items.len(), maps.classes.values().map(|kept| kept.class.len()).sum::<usize>());
        }
    }
}

/// `TOLLGATE_VECTORS=100000 cargo test --release --lib -- --ignored --nocapture cache::index::tests::figures`
#[cfg(not(debug_assertions))]
#[test]
#[ignore = "takes minutes: figures for docs/cache-store.md"]
fn figures_of_a_large_class() {
    let count: usize = std::env::var("TOLLGATE_VECTORS").map_or(20_000, |n| n.parse().unwrap());
    let (dimensions, queries) = (384, 500);
    // Questions lie in heaps: twenty to a heap, about 0.75 alike within it and 0.3 beyond.
    let near = |heap: u64, seed: u64| {
        let part = |seed: u64| {
            let mut random = fastrand::Rng::with_seed(seed);
            let raw: Vec<f32> = (0..dimensions).map(|_| random.f32() - 0.5).collect();
            let length = raw.iter().map(|x| x * x).sum::<f32>().sqrt();
            raw.into_iter().map(move |x| x / length)
        };
        let common = part(1).zip(part(1000 + heap)).zip(part((1 << 40) + seed));
        let mixed: Vec<f32> = common
            .map(|((a, b), c)| 0.55 * a + 0.67 * b + 0.5 * c)
            .collect();
        let length = mixed.iter().map(|x| x * x).sum::<f32>().sqrt();
        mixed.iter().map(|x| x / length).collect::<Vec<f32>>()
    };
    let heaps = (count / 20).max(1) as u64;
    for connectivity in [16, 24] {
        let graph = usearch::Index::new(&usearch::IndexOptions {
            dimensions,
            metric: usearch::MetricKind::Cos,
            quantization: usearch::ScalarKind::F16,
            connectivity,
            ..Default::default()
        })
        .unwrap();
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        graph.reserve_capacity_and_threads(count, threads).unwrap();
        let began = std::time::Instant::now();
        std::thread::scope(|scope| {
            for thread in 0..threads {
                let (graph, near) = (&graph, &near);
                scope.spawn(move || {
                    for n in (thread..count).step_by(threads) {
                        let vector = near(n as u64 % heaps, n as u64);
                        graph.add(n as u64, &vector).unwrap();
                    }
                });
            }
        });
        let built = began.elapsed();
        let each = graph.memory_usage() / count;
        println!(
            "{count} vectors, connectivity {connectivity}: {built:?} by {threads} threads, {each} bytes each"
        );
        for expansion in [32, 64, 96, 128] {
            graph.change_expansion_search(expansion);
            let (mut right, mut times) = (0, Vec::new());
            for query in 0..queries {
                let vector = near(query % heaps, (1 << 41) + query);
                let began = std::time::Instant::now();
                let found = graph.search(&vector, NEIGHBOURS).unwrap().keys;
                times.push(began.elapsed());
                let exact = graph.exact_search(&vector, NEIGHBOURS).unwrap().keys;
                right += exact.iter().filter(|n| found.contains(n)).count();
            }
            times.sort_unstable();
            println!(
                "  expansion {expansion}: recall@8 {:.4}, search p50 {:?} p99 {:?}",
                right as f64 / (queries as usize * NEIGHBOURS) as f64,
                times[times.len() / 2],
                times[times.len() * 99 / 100],
            );
        }
    }
}
