//! Answers given before: looking one up, replaying it as the client asked, and remembering a new one.

mod feedback;
mod fill;
mod follow;
mod hit;
mod identity;
mod sight;

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::cost;
use super::ctx::Ctx;
use super::read::Read;
use super::stop::Stop;
use crate::cache::guard::Difference;
use crate::cache::{
    Belongs, Bounds, Cache, Directives, Eligible, Entry, Facts, Identity, Origin, SemanticOutcome,
    eligible, ttl,
};
use crate::config::model::SingleFlight;
use crate::front::Session;
use crate::llm::Endpoint;
use crate::llm::error::ApiError;
use crate::llm::request::RequestView;
use crate::metrics::events::{self, AbortStage};
use crate::route::Route;
pub(super) use feedback::{feedback, is_feedback};
pub(super) use fill::Fill;
pub(super) use follow::Shared;
pub(super) use hit::Wanted;
use hit::hit;
use identity::{Known, identify};
pub(super) use sight::tell;

/// A request of the model API and where it goes.
#[derive(Clone, Copy)]
struct Asked<'a> {
    endpoint: Endpoint,
    view: &'a RequestView,
    read: &'a Read,
    route: &'a Route,
}

/// What the cache said.
pub(super) enum Looked {
    /// The client has its answer.
    Answered,
    /// A peer must answer; the answer may be stored.
    Miss(Option<Box<Fill>>),
    /// The client has its answer, and a peer is to be asked all the same, to learn whether it was right.
    Check(Box<Fill>),
    /// An answer whose life is over may be given; with `Fill`, a fresh one is to be fetched meanwhile.
    Stale(Arc<Entry>, Option<Box<Fill>>),
}

/// Looks for an answer to `view` and, if there is one, gives it to the client.
pub(super) async fn look_up(
    session: &mut Session,
    ctx: &mut Ctx,
    endpoint: Endpoint,
    read: &Read,
    route: &Route,
) -> Result<Looked, Stop> {
    let view = &read.view;
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
    let question = match by_meaning {
        Some(Eligible::Yes) => view.last_user_text(),
        Some(Eligible::No(_)) | None => None,
    };
    let asked = Asked {
        endpoint,
        view,
        read,
        route,
    };
    let known = identify(
        session,
        ctx,
        &asked,
        &cache,
        &directives,
        question.as_deref(),
    );
    let Ok(Known { identity, scope }) = known else {
        events::cache_write_skipped("unkeyable");
        status(ctx, "BYPASS");
        return Ok(Looked::Miss(None));
    };
    let now = ctx.now;
    let landed = cache.flights().landed();
    if directives.lookup_exact {
        match cache.get_exact(&identity, now, directives.max_age) {
            Some(entry) => {
                events::cache_lookup("exact", "hit");
                return hit(session, ctx, endpoint, view, &entry, None).await;
            }
            None => events::cache_lookup("exact", "miss"),
        }
    }
    let (mut vector, mut seen) = (None, None);
    if let Some(Eligible::No(why)) = by_meaning {
        events::cache_lookup("semantic", why.name());
    }
    if identity.question.is_some() && directives.lookup_semantic {
        let began = ctx.tick();
        let lookup = cache.get_semantic(&identity, &directives, began);
        let outcome = tokio::select! {
            biased;
            outcome = lookup => outcome,
            () = session.gone() => return Err(Stop::ClientGone(AbortStage::Queued)),
        };
        let took = ctx.waited_since(began);
        match outcome {
            SemanticOutcome::Hit {
                entry,
                similarity,
                vector: embedded,
                check,
            } => {
                events::semantic_lookup(took);
                events::cache_lookup("semantic", "hit");
                let looked = hit(session, ctx, endpoint, view, &entry, Some(similarity)).await?;
                let life = life(&cache, view);
                let kept = directives.store && !life.is_some_and(|life| life.is_zero());
                let (Looked::Answered, Some(check), true) = (&looked, check, kept) else {
                    return Ok(looked);
                };
                let origin = origin(ctx, &asked, &directives, &scope);
                let ttl = shorter(life, shorter(directives.ttl, route.cache_ttl));
                let fill = Fill::new(
                    cache,
                    identity,
                    origin,
                    Some(embedded),
                    endpoint,
                    view.into(),
                    ctx.now,
                );
                let fill = fill.lasting(ttl);
                return Ok(Looked::Check(Box::new(fill.comparing(Some(check)))));
            }
            SemanticOutcome::Miss {
                vector: embedded,
                sighting,
                refused,
                ..
            } => {
                seen = sighting;
                events::semantic_lookup(took);
                events::cache_lookup("semantic", refused.map_or("miss", Difference::name));
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
    let life = life(&cache, view);
    if life.is_some_and(|life| life.is_zero()) {
        events::cache_write_skipped("ttl_rule");
        return Ok(Looked::Miss(None));
    }
    let origin = origin(ctx, &asked, &directives, &scope);
    let ttl = shorter(life, shorter(directives.ttl, route.cache_ttl));
    let mut fill = Fill::new(
        Arc::clone(&cache),
        identity,
        origin,
        vector,
        endpoint,
        view.into(),
        now,
    )
    .lasting(ttl)
    .comparing(seen);
    let may_be_old = directives.lookup_exact && directives.max_age.is_none();
    if may_be_old {
        let config = cache.config();
        let stale = |most| cache.get_stale(&fill.identity, now, most);
        if let Some(entry) = stale(config.stale_while_revalidate) {
            events::cache_lookup("exact", "stale");
            // One fetches it for all.
            fill.board();
            let fetches = !fill.follows();
            return Ok(Looked::Stale(entry, fetches.then(|| Box::new(fill))));
        }
        fill.spare = stale(config.stale_if_error);
    }
    // One that takes nothing old may not take what was asked for before.
    let shares = cache.config().single_flight != SingleFlight::Off && may_be_old;
    if shares {
        fill.board();
    }
    if fill.may_find_it_stored(landed)
        && let Some(entry) = cache.get_exact(&fill.identity, Instant::now(), None)
    {
        // Those who followed meanwhile find it as well.
        drop(fill);
        events::cache_lookup("exact", "hit");
        return hit(session, ctx, endpoint, view, &entry, None).await;
    }
    Ok(Looked::Miss(Some(Box::new(fill))))
}

/// Gives the client an answer whose life is over. False if it cannot be given.
pub(super) async fn give_stale(
    session: &mut Session,
    ctx: &mut Ctx,
    endpoint: Endpoint,
    wanted: Wanted,
    entry: &Entry,
) -> Result<bool, Stop> {
    let given = hit(session, ctx, endpoint, wanted, entry, None).await?;
    Ok(matches!(given, Looked::Answered))
}

/// What the rules on questions say of this one's answer.
fn life(cache: &Cache, view: &RequestView) -> Option<Duration> {
    let rules = &cache.config().ttl_rules;
    if rules.is_empty() {
        return None;
    }
    ttl::life(&view.last_user_text()?, rules)
}

/// Identifies a request for embeddings, given without its inputs; `None` if it has no identity.
pub(super) fn identify_frame(
    session: &Session,
    ctx: &Ctx,
    frame: &Read,
    route: &Route,
    cache: &Cache,
    directives: &Directives,
) -> Option<(Identity, Arc<Origin>)> {
    let asked = Asked {
        endpoint: Endpoint::Embeddings,
        view: &frame.view,
        read: frame,
        route,
    };
    let known = identify(session, ctx, &asked, cache, directives, None).ok()?;
    let origin = origin(ctx, &asked, directives, &known.scope);
    Some((known.identity, origin))
}

/// Shares the call of a request with those alike that are in flight. Its answer is stored by somebody else.
pub(super) fn share(
    cache: Arc<Cache>,
    identity: Identity,
    origin: Arc<Origin>,
    endpoint: Endpoint,
    view: &RequestView,
    now: Instant,
) -> Option<Box<Fill>> {
    if cache.config().single_flight == SingleFlight::Off {
        return None;
    }
    let wanted = view.into();
    let fill = Fill::new(cache, identity, origin, None, endpoint, wanted, now);
    let mut fill = fill.only_shared();
    fill.board();
    Some(Box::new(fill))
}

/// The shorter of two lives, of which either may be left to others.
pub(super) fn shorter(a: Option<Duration>, b: Option<Duration>) -> Option<Duration> {
    a.into_iter().chain(b).min()
}

fn origin(ctx: &Ctx, asked: &Asked<'_>, directives: &Directives, scope: &str) -> Arc<Origin> {
    let namespace = directives.namespace.as_deref().unwrap_or_default();
    Origin::of(belongs(ctx, asked, scope), namespace, &directives.tags)
}

/// What a request belongs to, whose answer may be given to `scope`.
fn belongs<'a>(ctx: &'a Ctx, asked: &'a Asked<'_>, scope: &'a str) -> Belongs<'a> {
    Belongs {
        scope,
        tenant: ctx.client.as_ref().map(|client| client.tenant.as_str()),
        route: &asked.route.name,
        model: asked.view.model.as_deref().unwrap_or_default(),
    }
}

fn by_meaning(cache: &Cache, view: &RequestView) -> Eligible {
    let bounds = cache.config().semantic.as_ref().map_or(
        Bounds {
            min_words: 1,
            max_temperature: 0.0,
        },
        |semantic| Bounds {
            min_words: semantic.min_words,
            max_temperature: semantic.max_temperature,
        },
    );
    let question = view.last_user_text();
    let facts = Facts {
        question: question.as_deref(),
        temperature: view.temperature,
        n: Some(view.n),
        tool_turns: view.has_tool_turns,
        media: view.has_images,
        logprobs: view.logprobs,
    };
    eligible(&facts, bounds)
}

pub(super) fn status(ctx: &mut Ctx, status: &'static str) {
    ctx.record.cache_status = Some(status);
    ctx.own.set("x-cache-status", status);
    if matches!(status, "HIT" | "SEMANTIC_HIT" | "STALE") {
        cost::tell_free(ctx);
    }
}
