//! One stored answer.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;

use super::key::Identity;
use super::origin::Origin;
use super::verify::AnswerClass;
use crate::llm::Endpoint;
use crate::llm::replay::Stamp;
use crate::util::hex;

/// What the table of places, the eviction policy and the allocator keep for an entry beside its own bytes, roughly.
const OVERHEAD: usize = 256;

/// A complete answer, as it came from a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Name of the endpoint that gave it: the wire format of `body`.
    pub endpoint: &'static str,
    /// Whether `body` is an event stream.
    pub streamed: bool,
    /// Value of the peer's `Content-Type`.
    pub content_type: Arc<str>,
    /// The body, byte for byte.
    pub body: Bytes,
    /// Tokens of the prompt.
    pub input_tokens: u64,
    /// Tokens of the answer.
    pub output_tokens: u64,
    /// Model that answered.
    pub model: Arc<str>,
}

/// An answer in the cache.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Its id as a number.
    pub(super) number: u128,
    /// When it was stored.
    pub stored_at: Instant,
    /// How long it may be served.
    pub ttl: Duration,
    /// Key of the request that it answers.
    pub exact: [u8; 32],
    /// What was asked, where that may be compared by meaning.
    pub question: Option<String>,
    /// The answer.
    pub answer: Answer,
    /// Where it belongs.
    pub origin: Arc<Origin>,
    /// What its answer says.
    pub class: AnswerClass,
    /// Where its id and its time stand, once it was given again; inside, `None` where that cannot be told.
    pub stamp: OnceLock<Option<Stamp>>,
}

impl Entry {
    /// Makes an entry with a new id. The body is copied, since a slice would keep the buffer around it alive, which
    /// no byte count would show.
    #[must_use]
    pub fn new(
        identity: &Identity,
        answer: Answer,
        origin: impl Into<Arc<Origin>>,
        ttl: Duration,
        now: Instant,
    ) -> Self {
        let body = Bytes::copy_from_slice(&answer.body);
        Self {
            number: fastrand::u128(..),
            stored_at: now,
            ttl,
            exact: identity.exact,
            question: identity.question.clone(),
            answer: Answer { body, ..answer },
            origin: origin.into(),
            class: AnswerClass::default(),
            stamp: OnceLock::new(),
        }
    }

    /// Its body as a new answer to a request for `endpoint`: with an id made of `random` and the time `now`, wherever these
    /// stand for sure; else as it came.
    #[must_use]
    pub fn anew(&self, endpoint: Endpoint, random: u128, now: SystemTime) -> Bytes {
        let Answer { streamed, body, .. } = &self.answer;
        let find = || Stamp::of(endpoint, *streamed, body);
        match self.stamp.get_or_init(find) {
            Some(stamp) => stamp.renew(body, random, now).into(),
            None => body.clone(),
        }
    }

    /// The same under another id.
    #[must_use]
    pub fn numbered(self, number: u128) -> Self {
        Self { number, ..self }
    }

    /// Its id as a number.
    #[must_use]
    pub fn number(&self) -> u128 {
        self.number
    }

    /// Its id, 128 bits in hex: what `X-Cache-Key` shows and feedback refers to.
    #[must_use]
    pub fn id(&self) -> String {
        let mut id = String::with_capacity(32);
        hex::push(self.number, 32, &mut id);
        id
    }

    /// Memory that it takes, in bytes.
    #[must_use]
    pub fn weight_bytes(&self) -> usize {
        let question = self.question.as_ref().map_or(0, String::capacity);
        let answer = &self.answer;
        let text = question + answer.content_type.len() + answer.model.len() + self.origin.bytes();
        size_of::<Self>() + OVERHEAD + text + answer.body.len()
    }

    /// Time since it was stored; zero if `now` is earlier.
    #[must_use]
    pub fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.stored_at)
    }

    /// Whether it may be served at `now` to one who takes nothing older than `max_age`.
    #[must_use]
    pub fn fresh(&self, now: Instant, max_age: Option<Duration>) -> bool {
        let age = self.age(now);
        age < self.ttl && max_age.is_none_or(|most| age <= most)
    }

    /// Time since its life was over; `None` while it is not.
    #[must_use]
    pub fn stale_for(&self, now: Instant) -> Option<Duration> {
        self.age(now).checked_sub(self.ttl)
    }

    /// When its life is over; `None` where that is beyond all time.
    #[must_use]
    pub fn ends(&self) -> Option<Instant> {
        self.stored_at.checked_add(self.ttl)
    }

    /// Whether nobody can make use of it any more.
    #[must_use]
    pub fn over(&self, now: Instant) -> bool {
        self.age(now) >= self.ttl
    }

    /// Time it may still be served; zero when it is over.
    #[must_use]
    pub fn remaining(&self, now: Instant) -> Duration {
        self.ttl.saturating_sub(self.age(now))
    }
}

/// The number behind an id.
pub(super) fn number(id: &str) -> Option<u128> {
    let plain = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let whole = id.len() == 32 && id.bytes().all(plain);
    whole.then(|| u128::from_str_radix(id, 16).ok()).flatten()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(crate) fn answer(body: &str) -> Answer {
        Answer {
            endpoint: "chat",
            streamed: false,
            content_type: "application/json".into(),
            body: Bytes::copy_from_slice(body.as_bytes()),
            input_tokens: 7,
            output_tokens: 9,
            model: "m".into(),
        }
    }

    pub(crate) fn identity(exact: u8, compat: u8, question: Option<&str>) -> Identity {
        Identity {
            exact: [exact; 32],
            compat: [compat; 32],
            question: question.map(str::to_owned),
        }
    }

    fn entry(ttl: u64, now: Instant) -> Entry {
        Entry::new(
            &identity(1, 1, None),
            answer("body"),
            Origin::default(),
            Duration::from_secs(ttl),
            now,
        )
    }

    #[test]
    fn an_entry_is_fresh_until_its_ttl_is_over() {
        let now = Instant::now();
        let entry = entry(10, now);
        let at = |s| now + Duration::from_secs(s);
        assert!(entry.fresh(now, None) && entry.fresh(at(9), None));
        assert!(!entry.fresh(at(10), None));
        assert_eq!(entry.remaining(at(4)), Duration::from_secs(6));
        assert_eq!(entry.remaining(at(99)), Duration::ZERO);
    }

    #[test]
    fn a_client_may_ask_for_younger_entries_only() {
        let now = Instant::now();
        let entry = entry(10, now);
        let most = Some(Duration::from_secs(3));
        assert!(entry.fresh(now + Duration::from_secs(3), most));
        assert!(!entry.fresh(now + Duration::from_secs(4), most));
    }

    #[test]
    fn ids_are_long_and_never_repeat() {
        let now = Instant::now();
        let ids: std::collections::HashSet<_> = (0..1000).map(|_| entry(1, now).id()).collect();
        assert_eq!(ids.len(), 1000);
        assert!(
            ids.iter()
                .all(|id| id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit()))
        );
    }

    #[test]
    fn the_weight_covers_the_body_and_not_the_buffer_around_it() {
        let buffer = Bytes::from(vec![b'x'; 1 << 20]);
        let answer = Answer {
            body: buffer.slice(..1000),
            ..answer("")
        };
        let entry = Entry::new(
            &identity(1, 1, None),
            answer,
            Origin::default(),
            Duration::from_secs(1),
            Instant::now(),
        );
        assert!(
            (1000..3000).contains(&entry.weight_bytes()),
            "{}",
            entry.weight_bytes()
        );
        let stored = entry.answer.body.as_ptr_range();
        assert!(!buffer.as_ptr_range().contains(&stored.start));
    }
}
