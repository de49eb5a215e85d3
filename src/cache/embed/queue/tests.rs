use std::time::Duration;

use super::*;

const ONE: Batch = Batch {
    most: 1,
    threads: 1,
};
const MANY: Batch = Batch {
    most: 4,
    threads: 1,
};

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

fn key(n: u8) -> Key {
    [n; 32]
}

fn vector() -> Outcome {
    Ok(Arc::from([1.0]))
}

fn join(queue: &Queue, n: u8, text: &str) -> Answer {
    match queue.join(key(n), text, soon()).unwrap() {
        Joined::First(answer) | Joined::Another(answer) => answer,
    }
}

fn texts(queue: &Queue, batch: Batch) -> Vec<String> {
    let taken = queue.take(batch).unwrap();
    taken.iter().map(|taken| taken.text.to_string()).collect()
}

#[test]
fn a_text_asked_for_twice_is_taken_once_and_both_get_its_outcome() {
    let queue = Queue::new(8);
    let first = join(&queue, 1, "text");
    let Ok(Joined::Another(second)) = queue.join(key(1), "text", soon()) else {
        panic!("it was on its way");
    };
    assert_eq!(texts(&queue, ONE), ["text"]);
    let Ok(Joined::Another(third)) = queue.join(key(1), "text", soon()) else {
        panic!("it was being computed");
    };
    assert_eq!(queue.waiting(), 0);
    queue.answer(&key(1), vector());
    for answer in [first, second, third] {
        assert_eq!(*answer.borrow(), Some(vector()));
    }
    assert!(matches!(
        queue.join(key(1), "text", soon()),
        Ok(Joined::First(_))
    ));
}

#[test]
fn texts_that_wait_together_are_taken_together_as_far_as_they_are_of_a_length() {
    let queue = Queue::new(16);
    let long = "long ".repeat(100);
    let _answers: Vec<Answer> = ["a", "b", &long, "c", "d", "e"]
        .iter()
        .zip(0..)
        .map(|(text, n)| join(&queue, n, text))
        .collect();
    assert_eq!(texts(&queue, MANY), ["a", "b", "c", "d"]);
    assert_eq!(texts(&queue, MANY), [long]);
    assert_eq!(texts(&queue, MANY), ["e"]);
}

#[test]
fn threads_share_what_waits() {
    let queue = Queue::new(16);
    let _answers: Vec<Answer> = (0..4).map(|n| join(&queue, n, "text")).collect();
    let two = Batch {
        most: 16,
        threads: 2,
    };
    assert_eq!(queue.take(two).unwrap().len(), 2);
    assert_eq!(queue.take(two).unwrap().len(), 1);
}

#[test]
fn what_nobody_waits_for_any_more_is_not_computed() {
    let queue = Queue::new(8);
    drop(join(&queue, 1, "left"));
    let late = queue.join(key(2), "late", Instant::now()).unwrap();
    let _answer = join(&queue, 3, "wanted");
    assert_eq!(texts(&queue, MANY), ["wanted"]);
    let (Joined::First(late) | Joined::Another(late)) = late;
    assert_eq!(*late.borrow(), Some(Err(EmbedFailure::TimedOut)));
}

#[test]
fn one_who_waits_longer_keeps_a_text_that_another_gave_up() {
    let queue = Queue::new(8);
    let impatient = queue.join(key(1), "text", Instant::now()).unwrap();
    let _answer = join(&queue, 1, "text");
    drop(impatient);
    assert_eq!(texts(&queue, ONE), ["text"]);
}

#[test]
fn a_full_queue_refuses_new_texts_and_lets_those_in_that_wait_already() {
    let queue = Queue::new(2);
    let answers = [join(&queue, 1, "one"), join(&queue, 2, "two")];
    assert_eq!(
        queue.join(key(3), "three", soon()).unwrap_err(),
        EmbedFailure::Busy
    );
    assert!(matches!(
        queue.join(key(2), "two", soon()),
        Ok(Joined::Another(_))
    ));
    let [one, two] = answers;
    drop(one);
    assert!(queue.join(key(3), "three", soon()).is_ok());
    drop(two);
}

#[test]
fn a_closed_queue_lets_everybody_go() {
    let queue = Queue::new(2);
    let answer = join(&queue, 1, "one");
    queue.close();
    assert!(queue.take(ONE).is_none());
    assert!(answer.has_changed().is_err(), "nobody will answer");
}
