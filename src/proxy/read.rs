//! Request bodies that were read, and those of answered ones for when they come again.
//!
//! A question that is answered from a cache is often one that many ask. Whoever sends the very same bytes is spared
//! reading them and hashing them in their canonical form; whose answers they may get is still asked each time.

use std::hash::BuildHasher;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use foldhash::quality::RandomState;
use parking_lot::Mutex;

use crate::cache::{BodyKey, Unkeyable};
use crate::llm::Endpoint;
use crate::llm::request::RequestView;
use crate::metrics::events;

/// Bodies that are kept at most; each has one of two places.
const PLACES: usize = 512;
/// What one of them may take at most, in bytes. Times `PLACES` that makes 16 MiB.
const MOST: usize = 32 * 1024;

/// A body that was understood.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) view: RequestView,
    key: OnceLock<Result<BodyKey, Unkeyable>>,
}

impl Read {
    /// Reads it; `None` for one that we do not understand.
    pub(super) fn of(endpoint: Endpoint, body: &Bytes) -> Option<Self> {
        Some(Self {
            view: RequestView::parse(endpoint, body).ok()?,
            key: OnceLock::new(),
        })
    }

    /// What it adds to the key of an answer.
    pub(super) fn key(&self) -> Result<BodyKey, Unkeyable> {
        *self.key.get_or_init(|| BodyKey::of(&self.view.body))
    }
}

/// Bodies that were answered from a cache.
#[derive(Debug)]
pub(super) struct Familiar {
    hash: RandomState,
    places: Box<[Mutex<Option<Kept>>]>,
}

#[derive(Debug)]
struct Kept {
    endpoint: Endpoint,
    body: Bytes,
    read: Arc<Read>,
    bytes: usize,
}

impl Default for Familiar {
    fn default() -> Self {
        Self {
            hash: RandomState::default(),
            places: (0..PLACES).map(|_| Mutex::default()).collect(),
        }
    }
}

impl Familiar {
    /// What these bytes say, if they were kept.
    pub(super) fn get(&self, endpoint: Endpoint, body: &Bytes) -> Option<Arc<Read>> {
        self.places(endpoint, body)?.into_iter().find_map(|place| {
            let kept = place.lock();
            let kept = kept.as_ref()?;
            let same = kept.endpoint == endpoint && kept.body == *body;
            same.then(|| Arc::clone(&kept.read))
        })
    }

    /// Keeps a body for when it comes again, in a copy: it must not keep the buffer alive that it was read into.
    pub(super) fn keep(&self, endpoint: Endpoint, body: &Bytes) {
        let Some([one, other]) = self.places(endpoint, body) else {
            return;
        };
        let body = Bytes::copy_from_slice(body);
        let Some(read) = Read::of(endpoint, &body) else {
            return;
        };
        let bytes =
            size_of::<Kept>() + size_of::<Read>() + body.len() + read.view.body.bytes_held();
        if bytes > MOST {
            return;
        }
        let place = match one.lock().is_some() && (other.lock().is_none() || fastrand::bool()) {
            true => other,
            false => one,
        };
        let kept = Kept {
            endpoint,
            body,
            read: Arc::new(read),
            bytes,
        };
        let before = place.lock().replace(kept);
        events::familiar_bodies(bytes, before.map_or(0, |before| before.bytes));
    }

    /// Where a body can be; `None` for one that is too large to be kept.
    fn places(&self, endpoint: Endpoint, body: &Bytes) -> Option<[&Mutex<Option<Kept>>; 2]> {
        if body.is_empty() || body.len() > MOST / 2 {
            return None;
        }
        let hash = self.hash.hash_one((endpoint.name(), &body[..]));
        let place = |bits: u64| self.places.get(bits as usize % PLACES);
        Some([place(hash)?, place(hash >> 32)?])
    }
}

impl Drop for Familiar {
    fn drop(&mut self) {
        for place in &mut self.places {
            let bytes = place.get_mut().as_ref().map_or(0, |kept| kept.bytes);
            events::familiar_bodies(0, bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(question: &str) -> Bytes {
        format!(r#"{{"model":"m","messages":[{{"role":"user","content":"{question}"}}]}}"#).into()
    }

    const CHAT: Endpoint = Endpoint::ChatCompletions;

    #[test]
    fn the_same_bytes_are_known_again_and_no_others() {
        let familiar = Familiar::default();
        assert!(familiar.get(CHAT, &body("one")).is_none());
        familiar.keep(CHAT, &body("one"));
        let read = familiar.get(CHAT, &body("one")).expect("kept");
        let fresh = Read::of(CHAT, &body("one")).expect("read");
        assert_eq!(read.view, fresh.view);
        assert_eq!(read.key(), fresh.key());
        assert!(familiar.get(CHAT, &body("two")).is_none());
        assert!(familiar.get(Endpoint::Completions, &body("one")).is_none());
        let mut spaced = body("one").to_vec();
        spaced.push(b' ');
        assert!(familiar.get(CHAT, &spaced.into()).is_none());
    }

    #[test]
    fn however_many_come_no_more_is_kept_than_there_is_room_for() {
        let familiar = Familiar::default();
        for n in 0..3 * PLACES {
            let body = body(&n.to_string());
            familiar.keep(CHAT, &body);
            let read = familiar.get(CHAT, &body).expect("the last one is there");
            assert_eq!(read.view, Read::of(CHAT, &body).expect("read").view);
        }
        for mut place in familiar.places.iter().map(Mutex::lock) {
            assert!(place.take().is_none_or(|kept| kept.bytes <= MOST));
        }
    }

    #[test]
    fn what_is_large_or_makes_no_sense_is_not_kept() {
        let familiar = Familiar::default();
        let many = format!(r#"{{"prompt":[{}1]}}"#, "1,".repeat(7_000));
        for body in [
            body(&"x".repeat(MOST)),
            many.into(),
            Bytes::from_static(b"{"),
        ] {
            familiar.keep(CHAT, &body);
            assert!(familiar.get(CHAT, &body).is_none());
        }
    }
}
