//! How many may wait, and what is told of them.

use super::*;
use Priority::{High, Low, Normal};

fn refused(queue: &Arc<Queue>, bytes: u64) -> Option<Full> {
    queue.join(Normal, bytes, Instant::now()).err()
}

#[test]
fn nobody_waits_in_a_room_for_nobody() {
    assert_eq!(refused(&queue(0), 0), Some(Full::Requests));
}

#[test]
fn a_room_is_full_by_count_or_by_bytes_and_a_dropped_place_frees_both() {
    let queue = Arc::new(Queue::new(&bounds(2, 100)));
    let join = |bytes| queue.join(Normal, bytes, Instant::now()).unwrap();
    let first = join(60);
    assert_eq!(refused(&queue, 41), Some(Full::Bytes));
    assert_eq!(refused(&queue, u64::MAX), Some(Full::Bytes));
    assert_eq!(
        (queue.len(), queue.bytes()),
        (1, 60),
        "a refusal takes nothing"
    );
    let _second = join(40);
    assert_eq!(refused(&queue, 0), Some(Full::Requests));
    drop(first);
    assert_eq!((queue.len(), queue.bytes()), (1, 40));
    assert_eq!(refused(&queue, 60), None);
}

#[test]
fn smaller_bounds_turn_nobody_out_but_let_nobody_in() {
    let queue = queue(4);
    let places: Vec<_> = (0..4).map(|_| join(&queue, Normal)).collect();
    queue.reconfigure(&bounds(2, 100));
    assert_eq!(queue.len(), 4);
    assert_eq!(refused(&queue, 0), Some(Full::Requests));
    drop(places);
    assert_eq!(refused(&queue, 101), Some(Full::Bytes));
    queue.reconfigure(&bounds(2, 101));
    assert_eq!(refused(&queue, 101), None);
}

#[test]
fn who_waits_is_told_by_class() {
    let queue = queue(9);
    let _places: Vec<_> = [High, Low, Normal, Low, Low]
        .map(|class| join(&queue, class))
        .into();
    let expected = Waiting {
        high: 1,
        normal: 1,
        low: 3,
    };
    assert_eq!(queue.len_by_class(), expected);
    assert_eq!(queue.len(), 5);
    assert!(!queue.is_empty());
}

#[test]
fn the_oldest_wait_is_found_in_any_class() {
    let queue = queue(9);
    let start = Instant::now();
    let at = |secs| start + Duration::from_secs(secs);
    assert_eq!(queue.oldest_wait(at(0)), None);
    let low = queue.join(Low, 0, at(0)).unwrap();
    let _high = queue.join(High, 0, at(3)).unwrap();
    assert_eq!(queue.oldest_wait(at(10)), Some(Duration::from_secs(10)));
    drop(low);
    assert_eq!(queue.oldest_wait(at(10)), Some(Duration::from_secs(7)));
}

#[test]
fn the_drain_time_is_measured_on_who_was_served_not_on_who_gave_up() {
    let queue = queue(9);
    let start = Instant::now();
    let at = |secs| start + Duration::from_secs(secs);
    let mut places: Vec<_> = (0..5)
        .map(|_| queue.join(Normal, 0, at(0)).unwrap())
        .collect();
    drop(places.pop());
    assert_eq!(queue.drain_time(), None);
    places.pop().unwrap().leave(at(2));
    drop(places.pop());
    assert_eq!(queue.drain_time(), Some(Duration::from_secs(4)));
    places.pop().unwrap().leave(at(4));
    assert_eq!(queue.drain_time(), Some(Duration::from_secs(2)));
}
