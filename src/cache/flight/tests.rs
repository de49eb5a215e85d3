use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

const KEY: FlightKey = FlightKey {
    exact: [7; 32],
    form: Form::Stream,
};

fn begun() -> Begun {
    Begun {
        content_type: "text/event-stream".into(),
        length: None,
    }
}

fn lead(flights: &Arc<Flights>) -> Lead {
    match flights.join(KEY) {
        Joined::Lead(lead) => lead,
        Joined::Follow(_) => panic!("somebody leads"),
    }
}

fn follow(flights: &Arc<Flights>) -> Follow {
    match flights.join(KEY) {
        Joined::Follow(follow) => follow,
        Joined::Lead(_) => panic!("nobody leads"),
    }
}

/// What a follower knows now; `None` when it has to wait.
fn now(follow: &mut Follow) -> Option<Step> {
    let next = pin!(follow.next());
    match next.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(step) => Some(step),
        Poll::Pending => None,
    }
}

/// All that a follower can have now, and what came behind the bytes.
fn drink(follow: &mut Follow) -> (Vec<u8>, Option<Step>) {
    let mut bytes = Vec::new();
    loop {
        match now(follow) {
            Some(Step::Begun(_)) => {}
            Some(Step::Part(part, None)) => bytes.extend_from_slice(&part),
            Some(Step::Part(part, Some(landing))) => {
                bytes.extend_from_slice(&part);
                return (bytes, Some(Step::Landed(landing)));
            }
            other => return (bytes, other),
        }
    }
}

fn push(lead: &Lead, text: &str) -> Pushed {
    lead.push(&Bytes::copy_from_slice(text.as_bytes()))
}

#[test]
fn the_first_leads_and_the_others_get_every_byte_whenever_they_come() {
    let flights = Flights::new(100);
    let lead = lead(&flights);
    let mut early = follow(&flights);
    assert!(now(&mut early).is_none());
    lead.begin(begun());
    assert!(matches!(now(&mut early), Some(Step::Begun(_))));
    push(&lead, "one ");
    push(&lead, "two ");
    let mut late = follow(&flights);
    assert_eq!(drink(&mut early).0, b"one two ");
    push(&lead, "three");
    assert_eq!(lead.close().expect("small"), "one two three");
    lead.land(Landing::default());
    assert!(matches!(drink(&mut early), (rest, Some(Step::Landed(_))) if rest == b"three"));
    assert!(matches!(drink(&mut late), (all, Some(Step::Landed(_))) if all == b"one two three"));
    assert_eq!((flights.len(), flights.landed()), (0, 1));
}

#[test]
fn another_form_is_another_flight() {
    let flights = Flights::new(100);
    let _lead = lead(&flights);
    let form = Form::Whole;
    assert!(matches!(
        flights.join(FlightKey { form, ..KEY }),
        Joined::Lead(_)
    ));
    let exact = [8; 32];
    assert!(matches!(
        flights.join(FlightKey { exact, ..KEY }),
        Joined::Lead(_)
    ));
}

#[test]
fn a_follower_takes_over_from_a_lead_that_failed_before_the_first_byte() {
    let flights = Flights::new(100);
    let first = lead(&flights);
    let (mut one, mut two) = (follow(&flights), follow(&flights));
    drop(first);
    let Some(Step::Lead(second)) = now(&mut one) else {
        panic!("takes over")
    };
    drop(one);
    assert!(now(&mut two).is_none(), "one leads, the others wait");
    second.begin(begun());
    push(&second, "x");
    second.land(Landing::default());
    assert!(matches!(drink(&mut two), (all, Some(Step::Landed(_))) if all == b"x"));
    assert!(flights.is_empty());
}

#[test]
fn a_newcomer_may_take_over_as_well() {
    let flights = Flights::new(100);
    let first = lead(&flights);
    let waiting = follow(&flights);
    drop(first);
    let second = lead(&flights);
    assert!(second.is_followed());
    drop((waiting, second));
    assert!(flights.is_empty());
}

#[test]
fn after_three_failed_leads_everybody_goes_alone() {
    let flights = Flights::new(100);
    let mut lead = lead(&flights);
    let mut waiting: Vec<_> = (0..5).map(|_| follow(&flights)).collect();
    for _ in 0..2 {
        drop(lead);
        let mut next = waiting.pop().expect("there");
        lead = match now(&mut next) {
            Some(Step::Lead(lead)) => lead,
            other => panic!("{other:?}"),
        };
    }
    drop(lead);
    assert!(
        waiting
            .iter_mut()
            .all(|follow| matches!(now(follow), Some(Step::Alone)))
    );
    assert!(flights.is_empty());
}

#[test]
fn a_break_is_told_to_those_who_have_seen_a_beginning() {
    let flights = Flights::new(100);
    let lead = lead(&flights);
    let (mut seen, mut unseen) = (follow(&flights), follow(&flights));
    lead.begin(begun());
    push(&lead, "half");
    assert_eq!(drink(&mut seen).0, b"half");
    lead.broke(Break {
        closing: b"\n\n",
        error: ApiError::upstream_broke("it died"),
    });
    assert!(matches!(drink(&mut seen).1, Some(Step::Broken(Some(_)))));
    assert!(matches!(drink(&mut unseen).1, Some(Step::Alone)));
    assert!(matches!(flights.join(KEY), Joined::Lead(_)));
}

#[test]
fn what_outgrows_the_cache_takes_no_newcomers_and_cuts_off_who_is_too_slow() {
    let flights = Flights::new(100);
    let leading = lead(&flights);
    let (mut quick, mut slow) = (follow(&flights), follow(&flights));
    leading.begin(begun());
    assert!(matches!(now(&mut slow), Some(Step::Begun(_))));
    let mut read = 0;
    let mut outgrown = 0;
    for _ in 0..50 {
        outgrown += usize::from(push(&leading, &"x".repeat(10)) == Pushed::Outgrown);
        read += drink(&mut quick).0.len();
    }
    assert_eq!((outgrown, read), (1, 500));
    assert!(matches!(now(&mut slow), Some(Step::Behind)));
    assert!(flights.is_empty() && leading.close().is_none());
    let other = lead(&flights);
    leading.land(Landing::default());
    assert!(matches!(drink(&mut quick).1, Some(Step::Landed(_))));
    assert_eq!(flights.len(), 1, "the newer flight stays");
    drop(other);
}

#[test]
fn a_lead_that_goes_on_elsewhere_follows_from_where_it_stands() {
    let flights = Flights::new(100);
    let lead = lead(&flights);
    lead.begin(begun());
    push(&lead, "written ");
    let mut own = lead.follow();
    push(&lead, "not yet");
    assert_eq!(drink(&mut own).0, b"not yet");
}

#[tokio::test]
async fn a_lead_sees_its_crew_come_and_go() {
    let flights = Flights::new(100);
    let lead = lead(&flights);
    let crew = lead.crew();
    assert!(!crew.is_there());
    let follow = follow(&flights);
    crew.came().await;
    let left = tokio::spawn(async move { crew.left().await });
    drop(follow);
    left.await.expect("runs");
}

#[derive(Debug, Clone)]
enum Act {
    Join,
    Leave(usize),
    Read(usize),
    Begin,
    Push(u8),
    Fail,
    Land,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        4 => Just(Act::Join),
        2 => any::<usize>().prop_map(Act::Leave),
        4 => any::<usize>().prop_map(Act::Read),
        3 => Just(Act::Begin),
        6 => any::<u8>().prop_map(Act::Push),
        1 => Just(Act::Fail),
        1 => Just(Act::Land),
    ];
    vec(act, 0..80)
}

/// A follower and what it has read.
struct Reader {
    follow: Follow,
    flight: usize,
    read: Vec<u8>,
}

proptest! {
    #[test]
    fn nobody_ever_reads_anything_but_a_beginning_of_its_flights_answer(acts in acts()) {
        let flights = Flights::new(40);
        let mut lead: Option<(Lead, usize, bool)> = None;
        let mut answers: Vec<Vec<u8>> = Vec::new();
        let mut readers: Vec<Reader> = Vec::new();
        // Whether the last answer had begun.
        let mut over = false;
        for act in acts {
            match act {
                Act::Join => match flights.join(KEY) {
                    Joined::Lead(new) => {
                        // It may have taken over from one that failed before the first byte.
                        if lead.is_some() || answers.is_empty() || over {
                            answers.push(Vec::new());
                        }
                        over = false;
                        // An answer that outgrew the cache went on without newcomers.
                        drop(lead.replace((new, answers.len() - 1, false)));
                    }
                    Joined::Follow(follow) => {
                        prop_assert!(lead.is_some());
                        let flight = answers.len() - 1;
                        readers.push(Reader { follow, flight, read: Vec::new() });
                    }
                },
                Act::Leave(which) if !readers.is_empty() => {
                    let which = which % readers.len();
                    drop(readers.swap_remove(which));
                }
                Act::Read(which) if !readers.is_empty() => {
                    let which = which % readers.len();
                    let (bytes, step) = drink(&mut readers[which].follow);
                    let reader = &mut readers[which];
                    reader.read.extend_from_slice(&bytes);
                    prop_assert!(answers[reader.flight].starts_with(&reader.read));
                    match step {
                        None => {}
                        Some(Step::Lead(new)) => {
                            prop_assert!(reader.read.is_empty() && lead.is_none());
                            lead = Some((new, reader.flight, false));
                            drop(readers.swap_remove(which));
                        }
                        Some(Step::Landed(_)) => {
                            prop_assert_eq!(&answers[reader.flight], &reader.read);
                            drop(readers.swap_remove(which));
                        }
                        Some(_) => drop(readers.swap_remove(which)),
                    }
                }
                Act::Begin => if let Some((lead, _, begins)) = &mut lead {
                    lead.begin(begun());
                    *begins = true;
                },
                Act::Push(byte) => if let Some((lead, flight, true)) = &lead {
                    let part = vec![byte; usize::from(byte % 9)];
                    answers[*flight].extend_from_slice(&part);
                    lead.push(&Bytes::from(part));
                },
                Act::Fail => if let Some((_, _, begins)) = lead.take() {
                    over = begins;
                },
                Act::Land => if let Some((lead, _, begins)) = lead.take() {
                    over = begins;
                    if begins {
                        lead.land(Landing::default());
                    }
                },
                Act::Leave(_) | Act::Read(_) => {}
            }
        }
        drop(lead);
        drop(readers);
        prop_assert!(flights.is_empty(), "nothing is left behind");
    }
}
