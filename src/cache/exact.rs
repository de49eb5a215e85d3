//! The store of answers: bounded in bytes, each entry with a life of its own, found by the whole 256-bit key.
//!
//! `moka` frees what is over; whether an entry may still be served is decided here, against the caller's `now`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use moka::Expiry;
use moka::sync::Cache;

use super::entry::Entry;

/// Answers by key.
#[derive(Debug)]
pub struct Exact {
    entries: Cache<[u8; 32], Arc<Entry>>,
    max_bytes: u64,
}

/// Frees each entry when its own life is over, counted anew when it is replaced.
struct OwnTtl;

impl Expiry<[u8; 32], Arc<Entry>> for OwnTtl {
    fn expire_after_create(
        &self,
        _: &[u8; 32],
        entry: &Arc<Entry>,
        _: Instant,
    ) -> Option<Duration> {
        Some(entry.ttl)
    }

    fn expire_after_update(
        &self,
        _: &[u8; 32],
        entry: &Arc<Entry>,
        _: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        Some(entry.ttl)
    }
}

impl Exact {
    /// A store of at most `max_bytes` bytes.
    #[must_use]
    pub fn new(max_bytes: u64) -> Self {
        let entries = Cache::builder()
            .max_capacity(max_bytes)
            .weigher(|_, entry: &Arc<Entry>| {
                u32::try_from(entry.weight_bytes()).unwrap_or(u32::MAX)
            })
            .expire_after(OwnTtl)
            .build();
        Self { entries, max_bytes }
    }

    /// The answer to exactly this request, if it is fresh at `now` and no older than `max_age`.
    #[must_use]
    pub fn get(
        &self,
        exact: &[u8; 32],
        now: Instant,
        max_age: Option<Duration>,
    ) -> Option<Arc<Entry>> {
        self.entries
            .get(exact)
            .filter(|entry| entry.exact == *exact && entry.fresh(now, max_age))
    }

    /// Stores an entry in place of any with the same key.
    pub fn put(&self, entry: Arc<Entry>) {
        self.entries.insert(entry.exact, entry);
    }

    /// Number of entries held.
    #[must_use]
    pub fn entries(&self) -> u64 {
        self.entries.entry_count()
    }

    /// Bytes of all entries held.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.entries.weighted_size()
    }

    /// Bound of [`Self::bytes`].
    #[must_use]
    pub fn max_bytes(&self) -> u64 {
        self.max_bytes
    }

    /// Does the evictions that are due, so that the counts are true.
    pub fn settle(&self) {
        self.entries.run_pending_tasks();
    }
}

#[cfg(test)]
mod tests {
    use super::super::entry::tests::{answer, identity};
    use super::super::entry::{Answer, Origin};
    use super::super::key::Identity;
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn store(
        cache: &Exact,
        identity: &Identity,
        answer: Answer,
        ttl: Duration,
        now: Instant,
    ) -> Arc<Entry> {
        let entry = Arc::new(Entry::new(identity, answer, Origin::default(), ttl, now));
        cache.put(entry.clone());
        entry
    }

    #[test]
    fn what_was_put_is_what_is_got() {
        let (cache, now) = (Exact::new(1 << 20), Instant::now());
        let put = store(&cache, &identity(1, 0, None), answer("one"), HOUR, now);
        let got = cache.get(&[1; 32], now, None).unwrap();
        assert_eq!(
            (got.id.as_str(), &got.answer),
            (put.id.as_str(), &put.answer)
        );
        assert!(cache.get(&[2; 32], now, None).is_none());
    }

    #[test]
    fn keys_that_differ_in_one_bit_are_different_requests() {
        let (cache, now) = (Exact::new(1 << 20), Instant::now());
        store(&cache, &identity(0, 0, None), answer("zero"), HOUR, now);
        for bit in 0..256 {
            let mut key = [0; 32];
            key[bit / 8] |= 1 << (bit % 8);
            assert!(cache.get(&key, now, None).is_none(), "bit {bit}");
        }
    }

    #[test]
    fn an_entry_is_not_served_past_its_ttl() {
        let (cache, now) = (Exact::new(1 << 20), Instant::now());
        store(&cache, &identity(1, 0, None), answer("one"), HOUR, now);
        assert!(
            cache
                .get(&[1; 32], now + HOUR - Duration::from_secs(1), None)
                .is_some()
        );
        assert!(cache.get(&[1; 32], now + HOUR, None).is_none());
    }

    #[test]
    fn a_newer_answer_replaces_an_older_one() {
        let (cache, now) = (Exact::new(1 << 20), Instant::now());
        store(&cache, &identity(1, 0, None), answer("old"), HOUR, now);
        store(&cache, &identity(1, 0, None), answer("new"), HOUR, now);
        assert_eq!(cache.get(&[1; 32], now, None).unwrap().answer.body, "new");
        cache.settle();
        assert_eq!(cache.entries(), 1);
    }

    #[test]
    fn the_bytes_held_stay_within_the_bound() {
        let (cache, now) = (Exact::new(100_000), Instant::now());
        let body = "x".repeat(1000);
        for n in 0..=255 {
            store(&cache, &identity(n, 0, None), answer(&body), HOUR, now);
        }
        cache.settle();
        assert!(cache.bytes() <= 100_000, "{}", cache.bytes());
        assert!((1..=100).contains(&cache.entries()), "{}", cache.entries());
    }
}
