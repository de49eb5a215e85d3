//! Remembering the answers to single inputs.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::{Found, MOST_INLINE};
use crate::cache::{Answer, Cache, Identity, NewEntry, Origin, Stored};
use crate::llm::Endpoint;
use crate::llm::embeddings::{Inputs, Vectors, shares};
use crate::metrics::events;
use crate::util::collected::Collected;
use crate::util::names::shared;

/// Largest answer that is kept for being taken apart, in bytes: 2,048 vectors of 1,024 components fit.
pub(super) const MOST_ANSWER: usize = 32 << 20;

/// Answers to inputs on their way into a cache.
pub(in crate::proxy) struct Fill {
    keep: Keep,
    body: Option<Collected>,
}

/// Where the answers go.
#[derive(Clone)]
pub(super) struct Keep {
    cache: Arc<Cache>,
    origin: Arc<Origin>,
    ttl: Option<Duration>,
    /// When a peer was asked.
    since: Instant,
    /// In the order asked for.
    identities: Vec<Identity>,
    /// Bytes of each input, in proportion to which the tokens are shared out.
    sizes: Vec<usize>,
}

impl Fill {
    pub(super) fn new(
        cache: Arc<Cache>,
        origin: Arc<Origin>,
        ttl: Option<Duration>,
        found: &Found,
        inputs: &Inputs,
    ) -> Self {
        let size = |at: &usize| inputs.each().get(*at).map_or(0, |input| input.raw.len());
        let keep = Keep {
            cache,
            origin,
            ttl,
            since: Instant::now(),
            identities: found.asked.iter().map(|(_, id)| id.clone()).collect(),
            sizes: found.asked.iter().map(|(at, _)| size(at)).collect(),
        };
        Self { keep, body: None }
    }

    pub(super) fn keep(&self) -> &Keep {
        &self.keep
    }

    /// The answer has begun; only a plain 200 is worth collecting.
    pub(in crate::proxy) fn head(&mut self, status: u16, encoded: bool) {
        if status == 200 && !encoded {
            self.body = Some(Collected::default());
        }
    }

    /// A part of it.
    pub(in crate::proxy) fn part(&mut self, part: &Bytes) {
        let Some(body) = &mut self.body else { return };
        if body.len() + part.len() > MOST_ANSWER {
            self.body = None;
            events::cache_write_skipped("too_large");
        } else {
            body.push(part);
        }
    }

    /// The answer is complete. A large one is stored a moment later, for it takes that long to read.
    pub(in crate::proxy) fn store(self) {
        let Some(body) = self.body.map(Collected::into_bytes) else {
            return;
        };
        let (keep, size) = (self.keep, body.len());
        let store = move || match Vectors::of(&body, keep.asked()) {
            Some(vectors) => keep.store(&vectors),
            None => events::cache_write_skipped("misfit"),
        };
        if size <= MOST_INLINE {
            store();
        } else {
            drop(tokio::task::spawn_blocking(store));
        }
    }
}

impl Keep {
    /// How many inputs a peer is asked for.
    pub(super) fn asked(&self) -> usize {
        self.identities.len()
    }

    /// Stores each item under its input.
    pub(super) fn store(&self, vectors: &Vectors) {
        let tokens = shares(vectors.tokens, &self.sizes);
        let each = self.identities.iter().zip(vectors.items()).zip(tokens);
        for ((identity, item), input_tokens) in each {
            let answer = Answer {
                endpoint: Endpoint::Embeddings.name(),
                streamed: false,
                content_type: shared("application/json"),
                body: item.clone(),
                input_tokens,
                output_tokens: 0,
                model: shared(&vectors.model),
            };
            let new = NewEntry {
                identity,
                answer,
                origin: Arc::clone(&self.origin),
                asked: self.since,
                ttl: self.ttl,
                vector: None,
            };
            match self.cache.put(new, Instant::now()) {
                Stored::Yes(_) => {}
                Stored::TooLarge => events::cache_write_skipped("too_large"),
                Stored::Purged => events::cache_write_skipped("purged"),
            }
        }
    }
}
