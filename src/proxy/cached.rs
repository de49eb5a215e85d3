//! Answers given before: looking one up, replaying it as the client asked, and remembering a new one.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use pingora::http::RequestHeader;

use super::collect::Collected;
use super::ctx::Ctx;
use super::respond;
use super::stop::Stop;
use crate::cache::{
    Answer, Cache, Caller, Directives, Eligible, Entry, Facts, Identity, KeyParts, SemanticOutcome,
    Stored, eligible, scope,
};
use crate::front::Session;
use crate::llm::error::ApiError;
use crate::llm::request::RequestView;
use crate::llm::{Endpoint, Finish, Usage, replay};
use crate::metrics::events::{self, AbortStage};
use crate::route::Route;

/// What the cache said.
#[expect(
    clippy::large_enum_variant,
    reason = "taken apart as soon as it is made: a box would cost every miss an allocation"
)]
pub(super) enum Looked {
    /// The client has its answer.
    Answered,
    /// A peer must answer; the answer may be stored.
    Miss(Option<Fill>),
}

/// An answer on its way into a cache.
pub(super) struct Fill {
    cache: Arc<Cache>,
    identity: Identity,
    vector: Option<Arc<[f32]>>,
    endpoint: Endpoint,
    ttl: Option<Duration>,
    content_type: String,
    streamed: bool,
    body: Option<Collected>,
}

/// Looks for an answer to `view` and, if there is one, gives it to the client.
pub(super) async fn look_up(
    session: &mut Session,
    ctx: &mut Ctx,
    endpoint: Endpoint,
    view: &RequestView,
    route: &Route,
) -> Result<Looked, Stop> {
    let Some(cache) = route
        .cache
        .as_ref()
        .and_then(|name| ctx.snapshot.caches.get(name))
    else {
        return Ok(Looked::Miss(None));
    };
    let cache = Arc::clone(cache);
    let directives = Directives::parse(&session.head().headers)
        .map_err(|why| ApiError::bad_request(why, None))?;
    let by_meaning = cache.serves_by_meaning().then(|| by_meaning(&cache, view));
    let credential = match &ctx.client {
        Some(_) => String::new(),
        None => credential(session.head()),
    };
    let partition = scope::partition(cache.config().scope, &caller(ctx, &credential));
    let identity = Identity::of(&KeyParts {
        partition: &[
            &partition,
            &route.name,
            route.pool(),
            endpoint.name(),
            directives.namespace.as_deref().unwrap_or(""),
            &variant(session.head()),
        ],
        body: &view.body,
        question: match by_meaning {
            Some(Eligible::Yes) => view.last_user_text(),
            Some(Eligible::No(_)) | None => None,
        }
        .as_deref(),
    });
    let Ok(identity) = identity else {
        events::cache_write_skipped("unkeyable");
        status(ctx, "BYPASS");
        return Ok(Looked::Miss(None));
    };
    let now = Instant::now();
    if directives.lookup_exact {
        match cache.get_exact(&identity, now, directives.max_age) {
            Some(entry) => {
                events::cache_lookup("exact", "hit");
                return hit(session, ctx, endpoint, view, &entry, None).await;
            }
            None => events::cache_lookup("exact", "miss"),
        }
    }
    let mut vector = None;
    if let Some(Eligible::No(why)) = by_meaning {
        events::cache_lookup("semantic", why.name());
    }
    if identity.question.is_some() && directives.lookup_semantic {
        let lookup = cache.get_semantic(&identity, &directives, now);
        let outcome = tokio::select! {
            biased;
            outcome = lookup => outcome,
            () = session.gone() => return Err(Stop::ClientGone(AbortStage::Queued)),
        };
        ctx.waited_since(now);
        match outcome {
            SemanticOutcome::Hit { entry, similarity } => {
                events::semantic_lookup(now.elapsed());
                events::cache_lookup("semantic", "hit");
                return hit(session, ctx, endpoint, view, &entry, Some(similarity)).await;
            }
            SemanticOutcome::Miss {
                vector: embedded, ..
            } => {
                events::semantic_lookup(now.elapsed());
                events::cache_lookup("semantic", "miss");
                vector = Some(embedded);
            }
            SemanticOutcome::Skipped {
                reason,
                vector: embedded,
            } => {
                events::cache_lookup("semantic", reason.name());
                vector = embedded;
            }
        }
    }
    if directives.only_if_cached {
        return Err(ApiError::not_cached().into());
    }
    let looked = directives.lookup_exact || directives.lookup_semantic;
    status(
        ctx,
        match (looked, directives.store) {
            (true, _) => "MISS",
            (false, true) => "REFRESH",
            (false, false) => "BYPASS",
        },
    );
    if !directives.store {
        events::cache_write_skipped("asked");
        return Ok(Looked::Miss(None));
    }
    Ok(Looked::Miss(Some(Fill {
        ttl: directives.ttl,
        cache,
        identity,
        vector,
        endpoint,
        content_type: String::new(),
        streamed: false,
        body: None,
    })))
}

fn by_meaning(cache: &Cache, view: &RequestView) -> Eligible {
    let most = cache
        .config()
        .semantic
        .as_ref()
        .map_or(0.0, |semantic| semantic.max_temperature);
    let question = view.last_user_text();
    let facts = Facts {
        question: question.as_deref(),
        temperature: view.temperature,
        n: Some(view.n),
        tool_turns: view.has_tool_turns,
        media: view.has_images,
        logprobs: view.logprobs,
    };
    eligible(&facts, most)
}

/// Whatever peers may tell clients apart by, where that is left to them.
const CREDENTIALS: [&str; 5] = [
    "authorization",
    "x-api-key",
    "x-goog-api-key",
    "api-key",
    "cookie",
];

/// Headers by which a client chooses among answers to one body.
const VARIANTS: [&str; 5] = [
    "anthropic-version",
    "anthropic-beta",
    "openai-organization",
    "openai-project",
    "openai-beta",
];

/// All that the headers say under these names: the same text only for the same values.
fn said(head: &RequestHeader, names: &[&str]) -> String {
    let mut said = String::new();
    if !head
        .headers
        .keys()
        .any(|name| names.contains(&name.as_str()))
    {
        return said;
    }
    for name in names {
        for value in head.headers.get_all(*name) {
            // A line feed cannot be part of an escaped value.
            said += &format!("{name}: {}\n", value.as_bytes().escape_ascii());
        }
    }
    said
}

fn credential(head: &RequestHeader) -> String {
    said(head, &CREDENTIALS)
}

/// What besides the body changes an answer: some headers, and the query (`api-version`).
fn variant(head: &RequestHeader) -> String {
    said(head, &VARIANTS) + head.uri.query().unwrap_or_default()
}

fn caller<'a>(ctx: &'a Ctx, credential: &'a str) -> Caller<'a> {
    match &ctx.client {
        Some(client) => Caller {
            key: Some(&client.name),
            tenant: Some(&client.tenant),
            credential: None,
        },
        None => Caller {
            credential: Some(credential.as_bytes()).filter(|said| !said.is_empty()),
            ..Caller::default()
        },
    }
}

fn status(ctx: &mut Ctx, status: &'static str) {
    ctx.record.cache_status = Some(status);
    ctx.own.set("x-cache-status", status);
}

async fn hit(
    session: &mut Session,
    ctx: &mut Ctx,
    endpoint: Endpoint,
    view: &RequestView,
    entry: &Entry,
    similarity: Option<f32>,
) -> Result<Looked, Stop> {
    let stored = &entry.answer;
    let usage = Usage {
        input_tokens: stored.input_tokens,
        output_tokens: stored.output_tokens,
        ..Usage::default()
    };
    let body = match (stored.streamed, view.stream) {
        (true, true) => {
            Ok(replay::with_usage(endpoint, &stored.body, view.include_usage, usage).into())
        }
        (true, false) => replay::to_json(endpoint, &stored.body, usage).map(Bytes::from),
        (false, true) => {
            replay::to_sse(endpoint, &stored.body, view.include_usage).map(Bytes::from)
        }
        (false, false) => Ok(stored.body.clone()),
    };
    let body = match body {
        Ok(body) => body,
        Err(why) => {
            // Nothing wrong reaches the client: a peer answers instead.
            log::warn!(
                "{}: entry {} cannot be replayed: {why}",
                ctx.request_id,
                entry.id
            );
            events::cache_lookup("exact", "unreplayable");
            status(ctx, "BYPASS");
            return Ok(Looked::Miss(None));
        }
    };
    let content_type = match (stored.streamed == view.stream, view.stream) {
        (true, _) => stored.content_type.as_str(),
        (false, true) => "text/event-stream",
        (false, false) => "application/json",
    };
    status(
        ctx,
        if similarity.is_some() {
            "SEMANTIC_HIT"
        } else {
            "HIT"
        },
    );
    ctx.record.cache_id = Some(entry.id.clone());
    ctx.record.cache_similarity = similarity;
    ctx.record.usage = Some(usage);
    ctx.record.response_model = Some(stored.model.clone());
    ctx.own.set("x-cache-key", &entry.id);
    if let Some(similarity) = similarity {
        ctx.own
            .print("x-cache-similarity", format_args!("{similarity:.4}"));
    }
    ctx.own.number("age", entry.age(Instant::now()).as_secs());
    events::cache_saved(usage.total_tokens());
    ctx.record.first_byte = Some(ctx.start.elapsed());
    // Before the client takes its time to read.
    ctx.overhead_ends("hit");
    respond::replay(session, ctx, content_type, body)
        .await
        .map_err(|_| Stop::ClientGone(AbortStage::MidStream))?;
    Ok(Looked::Answered)
}

impl Fill {
    /// The answer has begun; only a plain 200 is worth collecting.
    pub(super) fn head(&mut self, status: u16, content_type: &str, encoded: bool) {
        if status == 200 && !encoded {
            self.streamed = content_type.starts_with("text/event-stream");
            self.content_type = content_type.to_owned();
            self.body = Some(Collected::default());
        }
    }

    /// A part of it.
    pub(super) fn part(&mut self, part: &Bytes) {
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
    pub(super) fn store(self, usage: Usage, model: &str, finish: Option<Finish>) {
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
        let stored = self
            .cache
            .put(&self.identity, answer, self.ttl, vector, Instant::now());
        if let Stored::TooLarge = stored {
            events::cache_write_skipped("too_large");
        }
    }
}
