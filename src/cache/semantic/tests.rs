use std::time::Duration;

use super::*;
use crate::cache::index::pack;

/// A handle whose orders nobody carries out yet.
fn idle(room: usize) -> (Semantic, mpsc::Receiver<Order>) {
    let (orders, inbox) = mpsc::channel(room);
    let semantic = Semantic {
        orders,
        ..Semantic::start(10_000).unwrap()
    };
    // Too many to be searched on the spot.
    for n in 0..300u16 {
        semantic.index.insert([0; 32], key(n), &vector(n)).unwrap();
    }
    (semantic, inbox)
}

fn key(n: u16) -> [u8; 32] {
    let mut key = [0; 32];
    key[..2].copy_from_slice(&n.to_le_bytes());
    key
}

fn vector(n: u16) -> Arc<[f32]> {
    let (sin, cos) = (f32::from(n) / 1000.0).sin_cos();
    Arc::from([cos, sin])
}

/// Far from those of all other numbers.
fn random(n: u16) -> Arc<[f32]> {
    let mut random = fastrand::Rng::with_seed(n.into());
    let raw: Vec<f32> = (0..32).map(|_| random.f32() - 0.5).collect();
    let length = raw.iter().map(|x| x * x).sum::<f32>().sqrt();
    raw.iter().map(|x| x / length).collect()
}

fn patience() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

#[tokio::test]
async fn when_the_threads_are_behind_searches_are_skipped() {
    let (semantic, inbox) = idle(1);
    let search = semantic.nearest([0; 32], vector(0), Instant::now());
    assert_eq!(search.await, Err(SearchFailure::TimedOut));
    assert_eq!(
        semantic.nearest([0; 32], vector(0), patience()).await,
        Err(SearchFailure::Busy)
    );
    drop(inbox);
    assert_eq!(
        semantic.nearest([0; 32], vector(0), patience()).await,
        Err(SearchFailure::Failed)
    );
}

#[tokio::test]
async fn what_is_added_is_found_at_once_and_refusals_are_counted() {
    let semantic = Semantic::start(100_000).unwrap();
    for n in 0..1000 {
        semantic.add([0; 32], key(n), random(n));
        let found = semantic.nearest([0; 32], random(n), patience()).await;
        assert_eq!(found.unwrap()[0].exact, key(n));
    }
    semantic.add([0; 32], key(2000), Arc::from([1.0, 0.0, 0.0]));
    semantic.forget(&key(7));
    let found = semantic
        .nearest([0; 32], random(7), patience())
        .await
        .unwrap();
    assert!(found.iter().all(|near| near.exact != key(7)));
    semantic.remove(found[0].number);
    let stats = semantic.stats();
    assert_eq!((stats.vectors, stats.errors, stats.lost), (998, 1, 0));
}

#[tokio::test]
async fn what_lies_within_a_radius_is_found_in_every_class() {
    let semantic = Semantic::start(10_000).unwrap();
    for n in 0..600 {
        semantic.add([(n % 2) as u8; 32], key(n), vector(n));
    }
    let found = semantic.within(vector(0), 0.1f32.cos(), patience()).await;
    assert!((98..=103).contains(&found.unwrap().len()));
}

#[tokio::test]
async fn what_comes_back_from_disk_waits_for_nothing_else_to_come() {
    let semantic = Semantic::start(10_000).unwrap();
    for n in 0..600 {
        let vector = Vector {
            id: 0,
            class: [0; 32],
            model: [3; 32],
            packed: pack(&random(n)),
        };
        assert!(semantic.fill(key(n), vector).is_none());
    }
    let settled = async {
        while semantic.stats().waiting > 0 {
            tokio::task::yield_now().await;
        }
    };
    let settled = tokio::time::timeout(Duration::from_secs(60), settled).await;
    assert!(settled.is_ok(), "{:?}", semantic.stats());
    assert_eq!(semantic.stats().vectors, 600);
}

#[tokio::test]
async fn what_was_kept_comes_back_and_the_rest_is_filled_in() {
    let folder = tempfile::tempdir().unwrap();
    let model = [3; 32];
    let before = Semantic::start(10_000).unwrap();
    for n in 0..1500 {
        before.index.insert([0; 32], key(n), &random(n)).unwrap();
    }
    assert_eq!(before.save(folder.path(), &model).unwrap(), 1500);

    let after = Semantic::start(10_000).unwrap();
    assert_eq!(after.load(folder.path(), &model), 1500);
    for n in 500..2000 {
        let mut vector = Vector {
            id: 0,
            class: [0; 32],
            model,
            packed: pack(&random(n)),
        };
        while let Some(back) = after.fill(key(n), vector) {
            vector = back;
            tokio::task::yield_now().await;
        }
    }
    while after.filling() > 0 {
        tokio::task::yield_now().await;
    }
    after.loaded();
    assert_eq!(after.stats().vectors, 1500);
    let mut right = 0;
    for n in 0..2000 {
        let found = after.nearest([0; 32], random(n), patience()).await.unwrap();
        let first = found[0].exact == key(n);
        assert!(!first || n >= 500);
        right += usize::from(first);
    }
    assert!(right >= 1485, "{right}");
}
