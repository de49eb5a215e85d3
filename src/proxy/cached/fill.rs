//! Remembering a new answer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::cache::{Answer, Cache, Entry, Identity, NewEntry, Origin, Sighting, Stored};
use crate::llm::{Endpoint, Finish, Usage};
use crate::metrics::events;
use crate::proxy::collect::Collected;

/// An answer on its way into a cache.
pub(in crate::proxy) struct Fill {
    cache: Arc<Cache>,
    identity: Identity,
    origin: Origin,
    asked: Instant,
    vector: Option<Arc<[f32]>>,
    endpoint: Endpoint,
    ttl: Option<Duration>,
    content_type: String,
    streamed: bool,
    body: Option<Collected>,
    /// What the cache could have answered, to be compared.
    sighting: Option<Box<Sighting>>,
}

impl Fill {
    /// Nothing of the answer is here yet.
    pub(super) fn new(
        cache: Arc<Cache>,
        identity: Identity,
        origin: Origin,
        vector: Option<Arc<[f32]>>,
        endpoint: Endpoint,
        ttl: Option<Duration>,
    ) -> Self {
        Self {
            cache,
            identity,
            origin,
            asked: Instant::now(),
            vector,
            endpoint,
            ttl,
            content_type: String::new(),
            streamed: false,
            body: None,
            sighting: None,
        }
    }

    /// The answer is to be compared with what the cache could have answered.
    pub(super) fn comparing(self, sighting: Option<Box<Sighting>>) -> Self {
        Self { sighting, ..self }
    }

    /// The answer has begun; only a plain 200 is worth collecting.
    pub(in crate::proxy) fn head(&mut self, status: u16, content_type: &str, encoded: bool) {
        if status == 200 && !encoded {
            self.streamed = content_type.starts_with("text/event-stream");
            self.content_type = content_type.to_owned();
            self.body = Some(Collected::default());
        }
    }

    /// A part of it.
    pub(in crate::proxy) fn part(&mut self, part: &Bytes) {
        let Some(body) = &mut self.body else { return };
        if (body.len() + part.len()) as u64 > self.cache.config().max_entry_bytes {
            self.body = None;
            events::cache_write_skipped("too_large");
        } else {
            body.push(part);
        }
    }

    /// The answer is complete.
    ///
    /// One that was cut by its token limit deserves to be repeated to those who set the same limit, but not to be given
    /// to a question in other words.
    pub(in crate::proxy) fn store(self, usage: Usage, model: &str, finish: Option<Finish>) {
        let Some(body) = self.body else { return };
        if finish.is_some_and(|finish| !finish.is_proper()) {
            events::cache_write_skipped("finish_reason");
            return;
        }
        let answer = Answer {
            endpoint: self.endpoint.name(),
            streamed: self.streamed,
            content_type: self.content_type,
            body: body.into_own(),
            input_tokens: usage.input_tokens,
            output_tokens: usage.output_tokens,
            model: model.to_owned(),
        };
        let vector = self
            .vector
            .filter(|_| finish.is_some_and(Finish::is_natural));
        let new = NewEntry {
            identity: &self.identity,
            answer,
            origin: self.origin,
            asked: self.asked,
            ttl: self.ttl,
            vector,
        };
        let natural = new.vector.is_some();
        match self.cache.put(new, Instant::now()) {
            Stored::Purged => events::cache_write_skipped("purged"),
            Stored::TooLarge => events::cache_write_skipped("too_large"),
            Stored::Yes(entry) => {
                if let Some(sighting) = self.sighting.filter(|_| natural) {
                    compare(self.cache, sighting, entry);
                }
            }
        }
    }
}

/// Has the cache learn from a fresh answer. Nobody waits for it.
fn compare(cache: Arc<Cache>, sighting: Box<Sighting>, fresh: Arc<Entry>) {
    tokio::spawn(async move {
        let right = cache.learn(&sighting, &fresh).await;
        events::cache_compared(match right {
            Some(true) => "right",
            Some(false) => "wrong",
            None => "unknown",
        });
    });
}
