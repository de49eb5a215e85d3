use std::time::UNIX_EPOCH;

use proptest::prelude::*;

use super::*;
use crate::cache::entry::tests::{answer, identity};

fn clock(now: Instant) -> Clock {
    Clock::new(Duration::ZERO, UNIX_EPOCH + Duration::from_secs(9_999), now)
}

fn entry(question: Option<&str>, body: &str, now: Instant) -> Entry {
    let ttl = Duration::from_secs(60);
    let origin = Origin {
        scope: "key:a".into(),
        tenant: question.map(|_| "acme".into()),
        route: "chat".into(),
        model: "m".into(),
        namespace: body.into(),
        tags: vec![("a".into(), "1".into()), ("b".into(), String::new())],
    };
    Entry::new(&identity(3, 4, question), answer(body), origin, ttl, now)
}

#[test]
fn an_entry_comes_back_as_it_was() {
    let now = Instant::now();
    for (question, body) in [(None, ""), (Some("why?"), "because"), (Some(""), "é\0")] {
        let before = entry(question, body, now);
        let record = of_entry(&before, &clock(now));
        let after = to_entry(&before.exact, &record, &clock(now), now).unwrap();
        assert_eq!(after.id(), before.id());
        assert_eq!(after.question, before.question);
        assert_eq!(after.answer, before.answer);
        assert_eq!(after.origin, before.origin);
        assert_eq!(after.ttl, before.ttl);
        assert!(before.stored_at - after.stored_at < Duration::from_micros(2));
        assert_eq!(id(&record), Some(before.number()));
        assert_eq!(stored_at(&record), Some(9_999_000_000));
    }
}

#[test]
fn every_name_of_a_wire_format_comes_back() {
    use crate::llm::Endpoint;
    let now = Instant::now();
    for endpoint in [
        Endpoint::ChatCompletions,
        Endpoint::Completions,
        Endpoint::Embeddings,
        Endpoint::Messages,
        Endpoint::Responses,
    ] {
        let mut before = entry(None, "x", now);
        before.answer.endpoint = endpoint.name();
        let record = of_entry(&before, &clock(now));
        let after = to_entry(&before.exact, &record, &clock(now), now).unwrap();
        assert_eq!(after.answer.endpoint, endpoint.name());
    }
}

#[test]
fn what_is_left_of_a_life_survives_and_never_grows() {
    let now = Instant::now();
    let before = entry(None, "x", now);
    let record = of_entry(&before, &clock(now));
    let later = |seconds: u64| {
        let wall = UNIX_EPOCH + Duration::from_secs(9_999 + seconds);
        let clock = Clock::new(Duration::ZERO, wall, now);
        to_entry(&before.exact, &record, &clock, now).unwrap()
    };
    assert_eq!(later(20).remaining(now), Duration::from_secs(40));
    assert!(later(60).over(now));
    let set_back = Clock::new(Duration::from_secs(9_999 + 20), UNIX_EPOCH, now);
    let after = to_entry(&before.exact, &record, &set_back, now).unwrap();
    assert_eq!(after.remaining(now), Duration::from_secs(40));
}

#[test]
fn a_record_under_another_key_or_of_another_kind_is_damaged() {
    let record = seal(Kind::Blob, b"key", b"payload");
    assert_eq!(open(Kind::Blob, b"key", &record).unwrap(), b"payload");
    assert_eq!(open(Kind::Blob, b"kez", &record), Err(Unreadable::Damaged));
    assert_eq!(open(Kind::Entry, b"key", &record), Err(Unreadable::Damaged));
}

#[test]
fn a_record_of_a_later_version_is_told_from_a_damaged_one() {
    let mut record = vec![VERSION + 1];
    record.extend_from_slice(&checksum(Kind::Blob, VERSION + 1, b"k", b"later"));
    record.extend_from_slice(b"later");
    assert_eq!(open(Kind::Blob, b"k", &record), Err(Unreadable::Version));
}

#[test]
fn fields_of_later_versions_are_passed_over() {
    let now = Instant::now();
    let before = entry(Some("why?"), "because", now);
    let record = of_entry(&before, &clock(now));
    let mut payload = Writer(record[HEAD..].to_vec());
    payload.put(250, b"of the future");
    let record = seal(Kind::Entry, &before.exact, &payload.0);
    let after = to_entry(&before.exact, &record, &clock(now), now).unwrap();
    assert_eq!(after.answer, before.answer);
}

proptest! {
    /// No change of a byte, and no cut, goes unnoticed.
    #[test]
    fn any_damage_is_detected(body in ".{0,200}", question in prop::option::of(".{0,50}"), at in any::<prop::sample::Index>(), flip in 1..=255u8) {
        let now = Instant::now();
        let before = entry(question.as_deref(), &body, now);
        let record = of_entry(&before, &clock(now));
        let mut bent = record.clone();
        bent[at.index(record.len())] ^= flip;
        prop_assert!(to_entry(&before.exact, &bent, &clock(now), now).is_err());
        let cut = &record[..at.index(record.len())];
        prop_assert!(to_entry(&before.exact, cut, &clock(now), now).is_err());
    }

    /// Whatever lies there, reading it ends in a word about it.
    #[test]
    fn no_bytes_are_too_odd(record in prop::collection::vec(any::<u8>(), 0..300)) {
        let now = Instant::now();
        prop_assert!(to_entry(&[0; 32], &record, &clock(now), now).is_err());
        prop_assert!(to_vector(&[0; 32], &record).is_err());
        let _ = (id(&record), stored_at(&record));
        // The same bytes behind a true checksum.
        let sealed = seal(Kind::Entry, &[0; 32], &record);
        let _ = to_entry(&[0; 32], &sealed, &clock(now), now);
        let sealed = seal(Kind::Vector, &[0; 32], &record);
        let _ = to_vector(&[0; 32], &sealed);
    }

    #[test]
    fn a_vector_comes_back_as_it_was(packed in prop::collection::vec(any::<i16>(), 0..400), id in any::<u128>()) {
        let vector = Vector { id, class: [1; 32], model: [2; 32], packed };
        let record = of_vector(&[9; 32], &vector);
        prop_assert_eq!(to_vector(&[9; 32], &record), Ok(vector));
        prop_assert!(to_vector(&[8; 32], &record).is_err());
    }
}
