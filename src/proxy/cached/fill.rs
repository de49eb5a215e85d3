//! Remembering a new answer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::hit::Wanted;
use crate::cache::flight::{Begun, Break, Crew, Follow, Landing, Lead, Pushed};
use crate::cache::{Answer, Cache, Entry, Identity, NewEntry, Origin, Sighting, Stored};
use crate::llm::{Endpoint, Finish};
use crate::metrics::events;
use crate::proxy::judge::Bench;
use crate::util::collected::Collected;
use crate::util::names::shared;

/// An answer on its way into a cache.
pub(in crate::proxy) struct Fill {
    pub(super) cache: Arc<Cache>,
    pub(super) identity: Identity,
    origin: Arc<Origin>,
    asked: Instant,
    vector: Option<Arc<[f32]>>,
    pub(super) endpoint: Endpoint,
    pub(super) wanted: Wanted,
    ttl: Option<Duration>,
    /// Whether the answer is stored, and not only shared.
    stores: bool,
    content_type: Arc<str>,
    streamed: bool,
    body: Body,
    /// What the cache could have answered, to be compared.
    sighting: Option<Box<Sighting>>,
    /// For when a judge is to compare them.
    bench: Option<Box<Bench>>,
    pub(super) flight: Flying,
    /// An answer whose life is over, for when no peer has a fresh one.
    pub(in crate::proxy) spare: Option<Arc<Entry>>,
}

/// Where the answer's body is put together.
enum Body {
    /// It is not.
    None,
    Here(Collected),
    /// Where those who follow find it.
    InFlight,
}

/// With whom the upstream call is shared.
pub(super) enum Flying {
    Alone,
    Lead(Lead),
    Follow(Follow),
}

impl Fill {
    /// Nothing of the answer is here yet, which was asked for at `asked`.
    pub(super) fn new(
        cache: Arc<Cache>,
        identity: Identity,
        origin: Arc<Origin>,
        vector: Option<Arc<[f32]>>,
        endpoint: Endpoint,
        wanted: Wanted,
        asked: Instant,
    ) -> Self {
        Self {
            cache,
            identity,
            origin,
            asked,
            vector,
            endpoint,
            wanted,
            ttl: None,
            stores: true,
            content_type: Arc::default(),
            streamed: false,
            body: Body::None,
            sighting: None,
            bench: None,
            flight: Flying::Alone,
            spare: None,
        }
    }

    /// Its life, within the configured one.
    pub(super) fn lasting(self, ttl: Option<Duration>) -> Self {
        Self { ttl, ..self }
    }

    /// The answer is shared with requests alike, and stored by somebody else.
    pub(super) fn only_shared(self) -> Self {
        Self {
            stores: false,
            ..self
        }
    }

    /// The answer is to be compared with what the cache could have answered.
    pub(super) fn comparing(self, sighting: Option<Box<Sighting>>) -> Self {
        Self { sighting, ..self }
    }

    /// Has a judge asked where the cache names one and there is something to compare.
    pub(in crate::proxy) fn judged_by(&mut self, bench: impl FnOnce() -> Bench) {
        let semantic = self.cache.config().semantic.as_ref();
        if self.sighting.is_some() && semantic.is_some_and(|semantic| semantic.judge.is_some()) {
            self.bench = Some(Box::new(bench()));
        }
    }

    /// The answer has begun; only a plain 200 is worth collecting, or giving to others.
    pub(in crate::proxy) fn head(
        &mut self,
        status: u16,
        content_type: &str,
        encoded: bool,
        length: Option<u64>,
    ) {
        if status != 200 || encoded {
            // Those who follow ask again.
            self.flight = Flying::Alone;
            return;
        }
        self.streamed = content_type.starts_with("text/event-stream");
        self.content_type = shared(content_type);
        self.body = match &self.flight {
            Flying::Lead(lead) => {
                lead.begin(Begun {
                    content_type: Arc::clone(&self.content_type),
                    length,
                });
                Body::InFlight
            }
            Flying::Alone | Flying::Follow(_) if !self.stores => Body::None,
            Flying::Alone | Flying::Follow(_) => Body::Here(Collected::default()),
        };
    }

    /// A part of it.
    pub(in crate::proxy) fn part(&mut self, part: &Bytes) {
        let outgrown = match (&mut self.body, &self.flight) {
            (Body::Here(body), _) => {
                let most = self.cache.config().max_entry_bytes;
                let fits = (body.len() + part.len()) as u64 <= most;
                if fits {
                    body.push(part);
                } else {
                    self.body = Body::None;
                }
                !fits
            }
            (Body::InFlight, Flying::Lead(lead)) => lead.push(part) == Pushed::Outgrown,
            _ => false,
        };
        if outgrown && self.stores {
            events::cache_write_skipped("too_large");
        }
    }

    /// Those who share the call, where somebody may.
    pub(in crate::proxy) fn crew(&self) -> Option<Crew> {
        match &self.flight {
            Flying::Lead(lead) => Some(lead.crew()),
            Flying::Alone | Flying::Follow(_) => None,
        }
    }

    /// Follows its own answer from here on, where somebody shares it.
    pub(in crate::proxy) fn follow_on(&self) -> Option<Follow> {
        match &self.flight {
            Flying::Lead(lead) => Some(lead.follow()),
            Flying::Alone | Flying::Follow(_) => None,
        }
    }

    /// The answer broke off.
    pub(in crate::proxy) fn broke(self, why: Break) {
        if let Flying::Lead(lead) = self.flight {
            lead.broke(why);
        }
    }

    /// The answer came to its end, but is none to be stored.
    pub(in crate::proxy) fn let_go(self, reason: &str, landing: Landing) {
        if self.stores {
            events::cache_write_skipped(reason);
        }
        if let Flying::Lead(lead) = self.flight {
            lead.land(landing);
        }
    }

    /// The answer is complete.
    ///
    /// One that was cut by its token limit deserves to be repeated to those who set the same limit, but not to be given
    /// to a question in other words.
    pub(in crate::proxy) fn store(
        mut self,
        finish: Option<Finish>,
        landing: Landing,
        now: Instant,
    ) {
        let body = match (std::mem::replace(&mut self.body, Body::None), &self.flight) {
            (Body::Here(body), _) => Some(body.into_bytes()),
            (Body::InFlight, Flying::Lead(lead)) => lead.close(),
            _ => None,
        };
        let lead = match std::mem::replace(&mut self.flight, Flying::Alone) {
            Flying::Lead(lead) => Some(lead),
            Flying::Alone | Flying::Follow(_) => None,
        };
        if let (Some(body), true) = (body, self.stores) {
            self.put(body, finish, &landing, now);
        }
        if let Some(lead) = lead {
            lead.land(landing);
        }
    }

    fn put(self, body: Bytes, finish: Option<Finish>, landing: &Landing, now: Instant) {
        if finish.is_some_and(|finish| !finish.is_proper()) {
            events::cache_write_skipped("finish_reason");
            return;
        }
        let usage = landing.usage.unwrap_or_default();
        let answer = Answer {
            endpoint: self.endpoint.name(),
            streamed: self.streamed,
            content_type: self.content_type,
            body,
            input_tokens: usage.input_tokens,
            output_tokens: usage.output_tokens,
            model: landing.model.clone().unwrap_or_default(),
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
        match self.cache.put(new, now) {
            Stored::Purged => events::cache_write_skipped("purged"),
            Stored::TooLarge => events::cache_write_skipped("too_large"),
            Stored::Yes(entry) => {
                if let Some(sighting) = self.sighting.filter(|_| natural) {
                    compare(self.cache, sighting, entry, self.bench);
                }
            }
        }
    }
}

/// Has the cache learn from a fresh answer. Nobody waits for it.
fn compare(
    cache: Arc<Cache>,
    sighting: Box<Sighting>,
    fresh: Arc<Entry>,
    bench: Option<Box<Bench>>,
) {
    tokio::spawn(async move {
        let right = match (bench, cache.judge_of(&sighting, &fresh)) {
            (Some(bench), Some(judge)) => {
                let (name, route) = (&cache.config().name, &fresh.origin.route);
                let dispute = sighting.dispute(&fresh);
                let right = bench.ask(name, route, judge, dispute).await.same();
                if let Some(right) = right {
                    cache.told(&sighting, &fresh, right).await;
                }
                right
            }
            // Without the means to ask there is no verdict.
            (None, Some(_)) => None,
            (_, None) => cache.learn(&sighting, &fresh).await,
        };
        events::cache_compared(match right {
            Some(true) => "right",
            Some(false) => "wrong",
            None => "unknown",
        });
    });
}
