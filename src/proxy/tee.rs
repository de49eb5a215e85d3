//! Reads along with an answer: meters it, settles what was reserved, fills the cache. Never touches a byte of it.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use super::admission::Held;
use super::cached::Fill;
use super::embeddings;
use crate::balance::Lease;
use crate::cache::flight::{Break, Crew, Follow, Landing};
use crate::llm::answer::AnswerFacts;
use crate::llm::meter::StreamMeter;
use crate::llm::{ApiError, Endpoint, Finish, Usage};
use crate::state::Pool;
use crate::util::collected::Collected;
use crate::wire::ResponseHead;

/// Largest JSON answer that is kept for reading its usage, in bytes. Embeddings of large batches are larger; their
/// usage is then estimated.
const MOST_JSON: usize = 4 * 1024 * 1024;

/// Reads along with one answer.
pub(super) struct Tee {
    kind: Kind,
    status: u16,
    fill: Option<Box<Fill>>,
    /// Answers to the inputs of a request for embeddings.
    inputs: Option<Box<embeddings::Fill>>,
    reservation: Option<Held>,
    learn: Option<Learn>,
    first_token: Option<Instant>,
    last_token: Option<Instant>,
    completed: bool,
}

enum Kind {
    /// Not an answer of a model: nothing to read.
    Opaque,
    /// Not known before the head.
    Unknown(Endpoint),
    Stream(Box<StreamMeter>),
    Json {
        endpoint: Endpoint,
        body: Collected,
        whole: bool,
        facts: Option<AnswerFacts>,
    },
}

/// What the estimates learn from a finished answer.
#[derive(Clone)]
pub(super) struct Learn {
    pub(super) pool: Arc<Pool>,
    pub(super) model: Arc<str>,
    pub(super) text_bytes: u64,
    pub(super) non_ascii_bytes: u64,
    /// The prompt is nothing but text.
    pub(super) text_only: bool,
    /// Estimated prompt tokens, for answers that say nothing of usage.
    pub(super) prompt_tokens: u64,
}

impl Tee {
    /// For answers that mean nothing to us.
    pub(super) fn opaque(reservation: Option<Held>) -> Self {
        Self::new(Kind::Opaque, reservation, None, None)
    }

    /// For answers of a model API.
    pub(super) fn metering(
        endpoint: Endpoint,
        reservation: Option<Held>,
        learn: Learn,
        fill: Option<Box<Fill>>,
    ) -> Self {
        Self::new(Kind::Unknown(endpoint), reservation, Some(learn), fill)
    }

    fn new(
        kind: Kind,
        reservation: Option<Held>,
        learn: Option<Learn>,
        fill: Option<Box<Fill>>,
    ) -> Self {
        Self {
            kind,
            status: 0,
            fill,
            inputs: None,
            reservation,
            learn,
            first_token: None,
            last_token: None,
            completed: false,
        }
    }

    /// Takes the reservation back, for another answer to the same request.
    pub(super) fn take_reservation(&mut self) -> Option<Held> {
        self.reservation.take()
    }

    /// Remembers the answers to single inputs too.
    pub(super) fn keep_inputs(&mut self, inputs: Option<Box<embeddings::Fill>>) {
        self.inputs = inputs;
    }

    /// The answer has begun.
    pub(super) fn head(&mut self, head: &ResponseHead) {
        self.status = head.status.as_u16();
        let kind = head
            .headers
            .get(http::header::CONTENT_TYPE)
            .and_then(|kind| kind.to_str().ok())
            .unwrap_or("");
        let encoded = head.headers.contains_key(http::header::CONTENT_ENCODING);
        if let Some(fill) = &mut self.fill {
            let length = head.headers.get(http::header::CONTENT_LENGTH);
            let length = length.and_then(|length| length.to_str().ok()?.parse().ok());
            fill.head(self.status, kind, encoded, length);
        }
        if let Some(inputs) = &mut self.inputs {
            inputs.head(self.status, encoded);
        }
        if let Kind::Unknown(endpoint) = self.kind {
            self.kind = if encoded {
                Kind::Opaque
            } else if kind.starts_with("text/event-stream") {
                Kind::Stream(Box::new(StreamMeter::new(endpoint)))
            } else {
                Kind::Json {
                    endpoint,
                    body: Collected::default(),
                    whole: true,
                    facts: None,
                }
            };
        }
    }

    /// A part of the answer is on its way to the client.
    pub(super) fn part(&mut self, part: &Bytes, lease: Option<&mut Lease>, now: Instant) {
        let progress = |output_tokens| {
            if let Some(lease) = lease {
                lease.progress(output_tokens, now);
            }
        };
        if let Some(fill) = &mut self.fill {
            fill.part(part);
        }
        if let Some(inputs) = &mut self.inputs {
            inputs.part(part);
        }
        match &mut self.kind {
            Kind::Opaque | Kind::Unknown(_) => progress(0),
            Kind::Stream(meter) => {
                let pushed = meter.push(part);
                progress(meter.output_tokens());
                if pushed.new_output_tokens > 0 {
                    self.first_token.get_or_insert(now);
                    self.last_token = Some(now);
                    if let Some(reservation) = &mut self.reservation {
                        reservation.progress(meter.output_tokens(), now);
                    }
                }
            }
            Kind::Json { body, whole, .. } => {
                progress(0);
                *whole = *whole && body.len() + part.len() <= MOST_JSON;
                if *whole {
                    body.push(part);
                }
            }
        }
    }

    /// What the client must get before a further event, after all that went to it so far.
    pub(super) fn closing(&self) -> &'static [u8] {
        match &self.kind {
            Kind::Stream(meter) => meter.closing(),
            _ => b"\n\n",
        }
    }

    /// Whether the stream has said that it is over, although its connection has not.
    pub(super) fn saw_the_end(&self) -> bool {
        matches!(&self.kind, Kind::Stream(meter) if meter.ended())
    }

    /// The answer has come to its end: settle, learn and remember. Only the first call counts.
    pub(super) fn complete(&mut self, now: Instant) {
        if std::mem::replace(&mut self.completed, true) {
            return;
        }
        if let Kind::Stream(meter) = &mut self.kind {
            meter.end();
        }
        if let Kind::Json {
            endpoint,
            body,
            whole: true,
            facts,
        } = &mut self.kind
        {
            let body = std::mem::take(body).into_bytes();
            *facts = Some(AnswerFacts::of(*endpoint, &body));
        }
        let success = (200..300).contains(&self.status);
        let usage = self.usage();
        if let (Some(learn), Some(usage), true) = (
            &self.learn,
            self.reported_usage(),
            success && self.text_only(),
        ) {
            learn.pool.balance.estimator().learn(
                &learn.model,
                learn.text_bytes,
                learn.non_ascii_bytes,
                usage.input_tokens,
                usage.output_tokens,
                now,
            );
        }
        if let Some(mut reservation) = self.reservation.take() {
            match (usage, success) {
                (Some(usage), true) => reservation.settle(usage.total_tokens(), now),
                // An error costs its request, not its tokens.
                (_, false) => reservation.settle(0, now),
                (None, true) => drop(reservation),
            }
        }
        if let Some(inputs) = self.inputs.take() {
            inputs.store();
        }
        if let Some(fill) = self.fill.take() {
            let complete = match &self.kind {
                Kind::Stream(meter) => meter.complete(),
                Kind::Json {
                    facts: Some(facts), ..
                } => facts.complete,
                _ => false,
            };
            let landing = Landing {
                usage,
                model: self.model().cloned(),
                finish_reason: self.finish_reason().cloned(),
                tokens: self.token_times(),
            };
            match (complete, success) {
                (true, _) => fill.store(self.finish(), landing, now),
                (false, true) => fill.let_go("incomplete", landing),
                (false, false) => fill.let_go("status", landing),
            }
        }
    }

    /// The answer broke off, and those who share it are told so.
    pub(super) fn broke(&mut self, error: &ApiError) {
        let closing = self.closing();
        if let Some(fill) = self.fill.take() {
            fill.broke(Break {
                closing,
                error: error.clone(),
            });
        }
    }

    /// Those who share the answer, where somebody may.
    pub(super) fn crew(&self) -> Option<Crew> {
        self.fill.as_ref().and_then(|fill| fill.crew())
    }

    /// Follows the answer from here on, where it is shared.
    pub(super) fn follow_on(&self) -> Option<Follow> {
        self.fill.as_ref().and_then(|fill| fill.follow_on())
    }

    /// Whether the answer went elsewhere, and what it came to is told there.
    pub(super) fn is_away(&self) -> bool {
        matches!(self.kind, Kind::Opaque) && self.learn.is_none()
    }

    /// Whether the answer has come to its end.
    pub(super) fn is_complete(&self) -> bool {
        self.completed
    }

    /// Images and sound have tokens that their bytes say nothing of.
    fn text_only(&self) -> bool {
        self.learn.as_ref().is_some_and(|learn| learn.text_only)
    }

    /// Usage as the peer reported it, or counted from the stream.
    pub(super) fn usage(&self) -> Option<Usage> {
        self.reported_usage().or_else(|| match &self.kind {
            Kind::Stream(meter) => Some(Usage {
                input_tokens: self.learn.as_ref().map_or(0, |learn| learn.prompt_tokens),
                output_tokens: meter.output_tokens(),
                ..Usage::default()
            }),
            _ => None,
        })
    }

    fn reported_usage(&self) -> Option<Usage> {
        match &self.kind {
            Kind::Stream(meter) => meter.usage(),
            Kind::Json { facts, .. } => facts.as_ref()?.usage,
            _ => None,
        }
    }

    /// How the answer ended.
    fn finish(&self) -> Option<Finish> {
        match &self.kind {
            Kind::Stream(meter) => meter.finish(),
            Kind::Json { facts, .. } => facts.as_ref()?.finish,
            _ => None,
        }
    }

    /// The model that answered.
    pub(super) fn model(&self) -> Option<&Arc<str>> {
        match &self.kind {
            Kind::Stream(meter) => meter.model(),
            Kind::Json { facts, .. } => facts.as_ref()?.model.as_ref(),
            _ => None,
        }
    }

    /// Why the model stopped.
    pub(super) fn finish_reason(&self) -> Option<&Arc<str>> {
        match &self.kind {
            Kind::Stream(meter) => meter.finish_reason(),
            Kind::Json { facts, .. } => facts.as_ref()?.finish_reason.as_ref(),
            _ => None,
        }
    }

    /// When the first and the last token passed.
    pub(super) fn token_times(&self) -> Option<(Instant, Instant)> {
        Some((self.first_token?, self.last_token?))
    }
}
