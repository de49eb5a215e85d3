//! Asks a model whether a fresh answer says the same as the stored one.
//!
//! Nobody waits for the verdict, and whatever goes wrong on the way to it is none. The judge hears two questions and two answers, and
//! nothing of the client: neither its key nor its headers. It is asked only where its pool has room that no one waits for.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use http::header::CONTENT_LENGTH;
use tokio::sync::OwnedSemaphorePermit;

use super::mirror::{Hears, ask, idle};
use crate::balance::{Demand, Lease};
use crate::cache::verify::{Dispute, judge};
use crate::config::model::Judge;
use crate::exchange::Client;
use crate::llm::{Endpoint, Usage};
use crate::metrics::events;
use crate::state::{Pool, Snapshot};
use crate::util::collected::Collected;
use crate::wire::{RequestHead, ResponseHead};

/// Longest time that a verdict may take, whatever the pool allows: the room is bounded.
const PATIENCE: Duration = Duration::from_secs(60);

/// Largest answer of a judge, in bytes; some think aloud.
const MOST: usize = 256 * 1024;

/// Output tokens that a verdict is expected to take.
const EXPECTED: u64 = 2;

/// What it takes to ask, kept until the answer that is to be judged is there.
pub(super) struct Bench {
    pub(super) client: Arc<Client>,
    pub(super) snapshot: Arc<Snapshot>,
}

/// What came of asking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Same,
    Different,
    /// The judge said something else.
    Unknown,
    /// It was not asked: no room, no peer, or texts that are not fit for it.
    Skipped,
    /// It gave no answer.
    Failed,
}

impl Verdict {
    fn name(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Different => "different",
            Self::Unknown => "unknown",
            Self::Skipped => "skipped",
            Self::Failed => "failed",
        }
    }

    /// Whether the two are the same, where it was said.
    pub(super) fn same(self) -> Option<bool> {
        match self {
            Self::Same => Some(true),
            Self::Different => Some(false),
            Self::Unknown | Self::Skipped | Self::Failed => None,
        }
    }
}

impl Bench {
    /// Asks `judge` about answers of `route`, for the cache of this name.
    pub(super) async fn ask(
        &self,
        cache: &str,
        route: &str,
        judge: &Judge,
        dispute: Option<Dispute>,
    ) -> Verdict {
        let verdict = match dispute {
            Some(dispute) => self.put(cache, route, judge, &dispute).await,
            None => Verdict::Skipped,
        };
        events::cache_judged(cache, verdict.name());
        verdict
    }

    async fn put(&self, cache: &str, route: &str, judge: &Judge, dispute: &Dispute) -> Verdict {
        let body = Bytes::from(dispute.request(&judge.model));
        let Some((_permit, pool, lease)) = self.place(route, judge, &body) else {
            return Verdict::Skipped;
        };
        let Some(head) = head(lease.peer().label(), body.len()) else {
            return Verdict::Skipped;
        };
        let mut heard = Heard::default();
        let asked = ask(&self.client, &pool, lease, &head, body, Some(&mut heard));
        match tokio::time::timeout(PATIENCE, asked).await {
            Ok(Ok(())) => heard.verdict(cache),
            Ok(Err(failure)) => {
                log::info!("judge of cache {cache}: {failure}");
                Verdict::Failed
            }
            Err(_) => {
                log::info!("judge of cache {cache}: no verdict within {PATIENCE:?}");
                Verdict::Failed
            }
        }
    }

    fn place(
        &self,
        route: &str,
        judge: &Judge,
        body: &Bytes,
    ) -> Option<(OwnedSemaphorePermit, Arc<Pool>, Lease)> {
        let room = &self.snapshot.routes_live.get(route)?.judged;
        let permit = Arc::clone(room).try_acquire_owned().ok()?;
        let pool = self.snapshot.pools.get(&judge.pool)?;
        let estimator = pool.balance.estimator();
        let demand = Demand {
            prompt_tokens: estimator.prompt_tokens(&judge.model, body.len() as u64, 0),
            output_tokens: EXPECTED,
            client_hash: fastrand::u64(..),
        };
        let (pool, lease) = idle(&self.snapshot, &judge.pool, &demand)?;
        Some((permit, pool, lease))
    }
}

fn head(peer: &str, length: usize) -> Option<RequestHead> {
    let path = Endpoint::ChatCompletions.path();
    let mut head = RequestHead::new(Method::POST, path).ok()?;
    head.headers.set("host", peer).ok()?;
    head.headers.set("content-type", "application/json").ok()?;
    head.headers.insert(CONTENT_LENGTH, length.into());
    Some(head)
}

/// What the judge said.
#[derive(Default)]
struct Heard {
    status: u16,
    body: Collected,
    too_long: bool,
}

impl Hears for Heard {
    fn head(&mut self, head: &ResponseHead) {
        self.status = head.status.as_u16();
    }

    fn part(&mut self, part: &Bytes, _: &mut Lease) {
        self.too_long |= self.body.len() + part.len() > MOST;
        if !self.too_long {
            self.body.push(part);
        }
    }
}

impl Heard {
    fn verdict(self, cache: &str) -> Verdict {
        if self.status != 200 {
            log::info!("judge of cache {cache}: status {}", self.status);
            return Verdict::Failed;
        }
        if self.too_long {
            return Verdict::Unknown;
        }
        let said = self.body.into_bytes();
        if let Some(usage) = Usage::of_answer(Endpoint::ChatCompletions, &said) {
            events::judge_tokens(cache, usage.input_tokens, usage.output_tokens);
        }
        match judge::verdict(&said) {
            Some(true) => Verdict::Same,
            Some(false) => Verdict::Different,
            None => Verdict::Unknown,
        }
    }
}
