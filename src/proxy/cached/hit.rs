//! Replaying a stored answer as the client asked.

use std::sync::Arc;

use bytes::Bytes;

use super::{Looked, status};
use crate::cache::Entry;
use crate::cache::flight::Form;
use crate::front::Session;
use crate::llm::request::RequestView;
use crate::llm::{Endpoint, Usage, replay};
use crate::metrics::events::{self, AbortStage};
use crate::proxy::ctx::Ctx;
use crate::proxy::respond;
use crate::proxy::stop::Stop;

/// The form that a client wants its answer in.
#[derive(Debug, Clone, Copy)]
pub(in crate::proxy) struct Wanted {
    stream: bool,
    include_usage: bool,
}

impl From<&RequestView> for Wanted {
    fn from(view: &RequestView) -> Self {
        Self {
            stream: view.stream,
            include_usage: view.include_usage,
        }
    }
}

impl Wanted {
    /// Whether a stream is wanted, and with usage at its end.
    pub(in crate::proxy) fn stream(self) -> Option<bool> {
        self.stream.then_some(self.include_usage)
    }

    /// Requests of one form share a call.
    pub(super) fn form(self) -> Form {
        match (self.stream, self.include_usage) {
            (false, _) => Form::Whole,
            (true, false) => Form::Stream,
            (true, true) => Form::StreamWithUsage,
        }
    }
}

/// Gives the client a stored answer, in the format it asked for.
pub(super) async fn hit(
    session: &mut Session,
    ctx: &mut Ctx,
    endpoint: Endpoint,
    view: impl Into<Wanted>,
    entry: &Entry,
    similarity: Option<f32>,
) -> Result<Looked, Stop> {
    let view = view.into();
    let stored = &entry.answer;
    let usage = Usage {
        input_tokens: stored.input_tokens,
        output_tokens: stored.output_tokens,
        ..Usage::default()
    };
    let body = entry.anew(endpoint, fastrand::u128(..), ctx.arrived);
    let body = match (stored.streamed, view.stream) {
        (true, true) => Ok(replay::with_usage(endpoint, &body, view.include_usage, usage).into()),
        (true, false) => replay::to_json(endpoint, &body, usage).map(Bytes::from),
        (false, true) => replay::to_sse(endpoint, &body, view.include_usage).map(Bytes::from),
        (false, false) => Ok(body),
    };
    let body = match body {
        Ok(body) => body,
        Err(why) => {
            // Nothing wrong reaches the client: a peer answers instead.
            log::warn!(
                "{}: entry {} cannot be replayed: {why}",
                ctx.request_id,
                entry.id()
            );
            events::cache_lookup("exact", "unreplayable");
            status(ctx, "BYPASS");
            return Ok(Looked::Miss(None));
        }
    };
    let content_type = match (stored.streamed == view.stream, view.stream) {
        (true, _) => &*stored.content_type,
        (false, true) => "text/event-stream",
        (false, false) => "application/json",
    };
    let stale = !entry.fresh(ctx.now, None);
    status(
        ctx,
        match (stale, similarity) {
            (true, _) => "STALE",
            (false, Some(_)) => "SEMANTIC_HIT",
            (false, None) => "HIT",
        },
    );
    let id = entry.id();
    ctx.record.cache_similarity = similarity;
    ctx.record.usage = Some(usage);
    ctx.record.response_model = Some(Arc::clone(&stored.model));
    ctx.own.set("x-cache-key", &id);
    ctx.record.cache_id = Some(id);
    if let Some(similarity) = similarity {
        ctx.own
            .print("x-cache-similarity", format_args!("{similarity:.4}"));
    }
    let age = entry.age(ctx.now);
    events::cache_entry_age(age);
    ctx.own.number("age", age.as_secs());
    // Before the client takes its time to read.
    ctx.overhead_ends("hit");
    ctx.record.first_byte = Some(ctx.now.saturating_duration_since(ctx.start));
    respond::replay(session, ctx, content_type, body)
        .await
        .map_err(|_| Stop::ClientGone(AbortStage::MidStream))?;
    Ok(Looked::Answered)
}
