//! Requests for embeddings, looked up input by input: a peer is asked for the inputs that are not known, and its answer
//! is completed with those that are.
//!
//! A request that cannot be taken apart is looked up whole, like any other.

mod complete;
mod fill;
mod rest;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::cached;
use super::ctx::Ctx;
use super::read::Read;
use super::respond;
use super::stop::Stop;
use crate::cache::{Cache, Directives, Entry, Identity};
use crate::front::Session;
use crate::llm::embeddings::{Inputs, whole};
use crate::llm::error::ApiError;
use crate::llm::request::RequestView;
use crate::llm::{Endpoint, Usage};
use crate::metrics::events::{self, AbortStage};
use crate::route::Route;
pub(super) use fill::Fill;
pub(super) use rest::Way;

/// Bodies and answers beyond this size, in bytes, are taken apart on a thread of their own.
const MOST_INLINE: usize = 64 * 1024;

/// What the cache said.
pub(super) enum Looked {
    /// It is no request that can be looked up by its inputs.
    Whole,
    /// The client has its answer.
    Answered,
    /// No input is known. The answer passes through and may be stored, and shared with requests alike.
    Miss(Option<Box<Fill>>, Option<Box<cached::Fill>>),
    /// Some inputs are known, or come twice.
    Partly(Box<Partly>),
}

/// A request of which only a part goes to a peer.
pub(super) struct Partly {
    /// The request for the rest.
    body: Bytes,
    /// Where each input's answer is.
    places: Vec<Place>,
    fill: Fill,
    /// Whether the answers may be kept.
    store: bool,
    /// Tokens that the peer need not compute.
    saved: u64,
}

/// Where an input's answer is.
enum Place {
    Known(Arc<Entry>),
    /// Among those asked for.
    Asked(usize),
}

/// Looks for answers to the inputs of `view`, and gives them to the client if all are there.
pub(super) async fn look_up(
    session: &mut Session,
    ctx: &mut Ctx,
    view: &RequestView,
    body: &Bytes,
    route: &Route,
) -> Result<Looked, Stop> {
    let cache = route.cache.as_ref();
    let Some(cache) = cache.and_then(|name| ctx.snapshot.caches.get(name)) else {
        return Ok(Looked::Whole);
    };
    let cache = Arc::clone(cache);
    let directives = Directives::parse(&session.head().headers)
        .map_err(|why| ApiError::bad_request(why, None))?;
    if view.stream {
        return Ok(Looked::Whole);
    }
    let Some((inputs, frame)) = apart(body).await else {
        return Ok(Looked::Whole);
    };
    let Some((frame, origin)) =
        cached::identify_frame(session, ctx, &frame, route, &cache, &directives)
    else {
        return Ok(Looked::Whole);
    };

    let found = find(&cache, &inputs, &frame, &directives);
    let known = found.known();
    if directives.lookup_exact {
        events::inputs_looked_up(known.len(), inputs.each().len() - known.len());
        events::cache_lookup(
            "exact",
            match (known.is_empty(), found.asked.is_empty()) {
                (_, true) => "hit",
                (false, false) => "partial",
                (true, false) => "miss",
            },
        );
    }
    if found.asked.is_empty() {
        return hit(session, ctx, &known).await;
    }
    if directives.only_if_cached {
        return Err(ApiError::not_cached().into());
    }
    let looked = directives.lookup_exact || directives.lookup_semantic;
    cached::status(
        ctx,
        match (known.is_empty(), looked, directives.store) {
            (false, _, _) => "PARTIAL",
            (true, true, _) => "MISS",
            (true, false, true) => "REFRESH",
            (true, false, false) => "BYPASS",
        },
    );
    if !directives.store {
        events::cache_write_skipped("asked");
    }
    let saved = known.iter().map(|entry| entry.answer.input_tokens).sum();
    let whole = found.asked.len() == inputs.each().len();
    // One that takes nothing old may not take what was asked for before.
    let shares =
        whole && directives.store && directives.lookup_exact && directives.max_age.is_none();
    let shared = shares.then(|| {
        let all = frame.of_inputs(inputs.each().iter().map(|input| &input.digest));
        let (cache, origin) = (Arc::clone(&cache), origin.clone());
        cached::share(cache, all, origin, Endpoint::Embeddings, view, ctx.now)
    });
    let fill = Fill::new(
        cache,
        origin,
        cached::shorter(directives.ttl, route.cache_ttl),
        &found,
        &inputs,
    );
    if whole {
        let kept = directives.store.then(|| Box::new(fill));
        return Ok(Looked::Miss(kept, shared.flatten()));
    }
    let places: Vec<usize> = found.asked.iter().map(|(at, _)| *at).collect();
    Ok(Looked::Partly(Box::new(Partly {
        body: inputs.only(&places),
        places: found.places,
        fill,
        store: directives.store,
        saved,
    })))
}

/// Takes a request apart.
async fn apart(body: &Bytes) -> Option<(Inputs, Read)> {
    fn apart(body: &Bytes) -> Option<(Inputs, Read)> {
        let inputs = Inputs::of(body)?;
        let frame = Read::of(Endpoint::Embeddings, &inputs.frame())?;
        Some((inputs, frame))
    }
    if body.len() <= MOST_INLINE {
        return apart(body);
    }
    let body = body.clone();
    let apart = tokio::task::spawn_blocking(move || apart(&body));
    apart.await.ok().flatten()
}

/// What is known of the inputs of a request.
struct Found {
    /// Of each input.
    places: Vec<Place>,
    /// Inputs that a peer must answer, each once: its place and identity.
    asked: Vec<(usize, Identity)>,
}

fn find(cache: &Cache, inputs: &Inputs, frame: &Identity, directives: &Directives) -> Found {
    let now = Instant::now();
    let mut found = Found {
        places: Vec::with_capacity(inputs.each().len()),
        asked: Vec::new(),
    };
    let mut seen = std::collections::HashMap::new();
    for (at, input) in inputs.each().iter().enumerate() {
        let identity = frame.of_input(&input.digest);
        let known = directives
            .lookup_exact
            .then(|| cache.get_exact(&identity, now, directives.max_age))
            .flatten();
        found.places.push(match known {
            Some(entry) => Place::Known(entry),
            None => Place::Asked(*seen.entry(input.digest).or_insert_with(|| {
                found.asked.push((at, identity));
                found.asked.len() - 1
            })),
        });
    }
    found
}

impl Found {
    fn known(&self) -> Vec<Arc<Entry>> {
        let known = self.places.iter().filter_map(|place| match place {
            Place::Known(entry) => Some(Arc::clone(entry)),
            Place::Asked(_) => None,
        });
        known.collect()
    }
}

async fn hit(session: &mut Session, ctx: &mut Ctx, known: &[Arc<Entry>]) -> Result<Looked, Stop> {
    let now = Instant::now();
    let model = known.first().map(|entry| Arc::clone(&entry.answer.model));
    let model = model.unwrap_or_default();
    let body = whole(&model, known.iter().map(|entry| &*entry.answer.body));
    cached::status(ctx, "HIT");
    if let [only] = known {
        let id = only.id();
        ctx.own.set("x-cache-key", &id);
        ctx.record.cache_id = Some(id);
    }
    let oldest = known.iter().map(|entry| entry.age(now)).max();
    ctx.own
        .number("age", oldest.unwrap_or(Duration::ZERO).as_secs());
    ctx.record.usage = Some(Usage::default());
    ctx.record.response_model = Some(model);
    ctx.record.saved = Some(Usage {
        input_tokens: known.iter().map(|entry| entry.answer.input_tokens).sum(),
        ..Usage::default()
    });
    ctx.record.first_byte = Some(ctx.start.elapsed());
    // Before the client takes its time to read.
    ctx.overhead_ends("hit");
    respond::replay(session, ctx, "application/json", body)
        .await
        .map_err(|_| Stop::ClientGone(AbortStage::MidStream))?;
    Ok(Looked::Answered)
}
