//! Whose turn it is, and that no turn is lost.

use super::*;
use Priority::{High, Low, Normal};

#[test]
fn who_comes_to_the_front_gets_a_turn_and_then_waits_for_a_wake() {
    let (queue, bell) = (queue(9), Arc::default());
    let mut place = join(&queue, Normal);
    assert!(
        asks(&mut place, &bell),
        "a peer may be free since the last look"
    );
    assert!(!asks(&mut place, &bell));
    assert!(!bell.rang());
    queue.wake();
    assert!(bell.rang());
    assert!(asks(&mut place, &bell));
    assert!(!asks(&mut place, &bell));
}

#[test]
fn a_wake_before_the_first_question_is_kept() {
    let (queue, bell) = (queue(9), Arc::default());
    let mut place = join(&queue, Normal);
    assert!(asks(&mut place, &bell));
    queue.wake();
    queue.wake();
    assert!(asks(&mut place, &bell));
    assert!(
        !asks(&mut place, &bell),
        "two wakes are one turn, passed on by who leaves"
    );
}

#[test]
fn only_the_first_is_woken_and_each_who_leaves_wakes_the_next() {
    let queue = queue(9);
    let bells: [Arc<Bell>; 3] = Default::default();
    let mut places: Vec<_> = bells.iter().map(|_| join(&queue, Normal)).collect();
    for (place, bell) in places.iter_mut().zip(&bells) {
        asks(place, bell);
    }
    assert!(!asks(&mut places[0], &bells[0]));
    queue.wake();
    let rang = || bells.each_ref().map(|bell| bell.rang());
    assert_eq!(rang(), [true, false, false]);
    assert!(asks(&mut places[0], &bells[0]));
    places.remove(0).leave(Instant::now());
    assert_eq!(rang(), [false, true, false]);
    assert!(asks(&mut places[0], &bells[1]));
    places.remove(0).leave(Instant::now());
    assert_eq!(rang(), [false, false, true]);
}

#[test]
fn a_higher_class_goes_first_and_arrival_decides_inside_a_class() {
    let (queue, bell) = (queue(9), Arc::default());
    let classes = [Low, Normal, High, Normal, High, Low];
    let mut places: Vec<_> = classes
        .iter()
        .map(|class| Some(join(&queue, *class)))
        .collect();
    let mut served = Vec::new();
    while !queue.is_empty() {
        let index = (0..places.len())
            .find(|index| {
                places[*index]
                    .as_mut()
                    .is_some_and(|place| asks(place, &bell))
            })
            .unwrap();
        places[index].take().unwrap().leave(Instant::now());
        served.push(index);
    }
    assert_eq!(served, [2, 4, 1, 3, 0, 5]);
}

#[test]
fn a_place_given_up_while_its_turn_was_pending_passes_it_on() {
    let queue = queue(9);
    let (first_bell, second_bell) = (Arc::default(), Arc::default());
    let (mut first, mut second) = (join(&queue, Normal), join(&queue, Normal));
    asks(&mut first, &first_bell);
    assert!(!asks(&mut first, &first_bell));
    assert!(!asks(&mut second, &second_bell));
    queue.wake();
    assert!(first_bell.rang());
    drop(first);
    assert!(second_bell.rang());
    assert!(asks(&mut second, &second_bell));
}

#[test]
fn a_place_given_up_with_its_turn_in_hand_passes_it_on_though_another_came_before_it() {
    let queue = queue(9);
    let (low_bell, high_bell) = (Arc::default(), Arc::default());
    let mut low = join(&queue, Low);
    assert!(asks(&mut low, &low_bell));
    let mut high = join(&queue, High);
    assert!(asks(&mut high, &high_bell));
    assert!(!asks(&mut high, &high_bell));
    drop(low);
    assert!(high_bell.rang());
    assert!(asks(&mut high, &high_bell));
}

#[test]
fn an_unfinished_question_that_is_dropped_loses_no_turn() {
    let (queue, bell) = (queue(9), Arc::default());
    let mut place = join(&queue, Normal);
    asks(&mut place, &bell);
    assert!(!asks(&mut place, &bell));
    queue.wake();
    drop(place.turn());
    assert!(asks(&mut place, &bell));
}

#[test]
fn a_newcomer_may_pass_only_when_nobody_of_its_class_or_above_waits() {
    let queue = queue(9);
    let may = || [High, Normal, Low].map(|class| queue.may_pass(class));
    assert_eq!(may(), [true, true, true]);
    let low = join(&queue, Low);
    assert_eq!(may(), [true, true, false]);
    let normal = join(&queue, Normal);
    assert_eq!(may(), [true, false, false]);
    let high = join(&queue, High);
    assert_eq!(may(), [false, false, false]);
    drop((normal, low));
    assert_eq!(may(), [false, false, false]);
    drop(high);
    assert_eq!(may(), [true, true, true]);
}

#[test]
fn a_wake_while_nobody_waits_does_nothing() {
    let (queue, bell) = (queue(9), Arc::default());
    queue.wake();
    let mut place = join(&queue, Normal);
    assert!(asks(&mut place, &bell));
    assert!(!asks(&mut place, &bell));
}
