//! Requests of the model API: understood, limited, looked up, sent on, metered.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use super::admission::{Held, authenticate, client_hash, reserve};
use super::behind::{Answered, Behind};
use super::cached::{self, Looked, Shared, Wanted, give_stale};
use super::ctx::Ctx;
use super::dispatch::{Outgoing, Upload};
use super::edge::{self, Way, find_route};
use super::embeddings;
use super::instead::{self, Asked, nobody_answers};
use super::read::Read;
use super::report::failed;
use super::stop::Stop;
use super::tee::{Learn, Tee};
use super::upgrade::is_upgrade;
use super::{Proxy, intake};
use crate::admit::Need;
use crate::balance::Demand;
use crate::front::Session;
use crate::llm::Endpoint;
use crate::llm::error::ApiError;
use crate::metrics::events;
use crate::state::Pool;

impl Proxy {
    /// Answers one request.
    pub(super) async fn answer(&self, session: &mut Session, ctx: &mut Ctx) -> Result<(), Stop> {
        let known = authenticate(session, ctx);
        let head = session.head();
        let endpoint = Endpoint::of(&head.method, ctx.path(session));
        if ctx.snapshot.routes.decides_early()
            && let Some(route) = edge::early(session, ctx, endpoint.is_some(), known.is_err())?
        {
            return edge::answer(session, ctx, &route).await;
        }
        known?;
        let head = session.head();
        match endpoint {
            Some(endpoint) => self.model_api(session, ctx, endpoint).await,
            None if cached::is_feedback(session, ctx) => cached::feedback(session, ctx).await,
            None if is_upgrade(head) => self.upgrade(session, ctx).await,
            None if self.merges_models(session, ctx) => self.models(session, ctx).await,
            None => self.pass(session, ctx).await,
        }
    }

    async fn model_api(
        &self,
        session: &mut Session,
        ctx: &mut Ctx,
        endpoint: Endpoint,
    ) -> Result<(), Stop> {
        let body = intake::read(session, ctx, edge::largest_body(session, ctx)).await?;
        let familiar = self.familiar.get(endpoint, &body);
        let again = familiar.is_some();
        let read = match familiar {
            Some(read) => Some(read),
            None => parse(endpoint, &body).await.map(Arc::new),
        };
        if body.len() > MOST_READ_INLINE {
            ctx.tick();
        }
        let view = read.as_ref().map(|read| &read.view);
        let model = view.and_then(|view| view.model.as_deref());
        ctx.record.model = view.and_then(|view| view.model.clone());
        ctx.record.stream = view.is_some_and(|view| view.stream);
        let (route, pool) = match find_route(session, ctx, model)? {
            Way::Peer(route, pool) => (route, pool),
            Way::Here(route) => return edge::answer(session, ctx, &route).await,
        };
        if let Some(cap) = route.max_body.filter(|cap| body.len() as u64 > *cap) {
            return Err(ApiError::body_too_large(cap).into());
        }

        let text_bytes = view.map_or(body.len() as u64, |view| view.prompt_text_bytes);
        let non_ascii_bytes = view.map_or(0, |view| view.non_ascii_bytes);
        let model = ctx.record.model.clone().unwrap_or_default();
        let estimator = pool.balance.estimator();
        let prompt_tokens = estimator.prompt_tokens(&model, text_bytes, non_ascii_bytes);
        let output_tokens = match endpoint {
            Endpoint::Embeddings => 0,
            _ => {
                let most = view.and_then(|view| view.max_output_tokens);
                estimator.output_tokens(&model, prompt_tokens, most)
            }
        };

        let demand = Demand {
            prompt_tokens,
            output_tokens,
            client_hash: client_hash(ctx),
        };
        let mut reservation = reserve(
            ctx,
            Need {
                input: prompt_tokens,
                output: output_tokens,
            },
        )?;
        let mut fill = None;
        let (mut inputs, mut by_inputs) = (None, false);
        let text_only = view.is_some_and(|view| !view.has_images);
        if let (Some(read), Endpoint::Embeddings) = (&read, endpoint) {
            match embeddings::look_up(session, ctx, &read.view, &body, &route).await {
                Ok(embeddings::Looked::Partly(partly)) => {
                    let way = embeddings::Way {
                        route: &route,
                        pool: &pool,
                    };
                    let rest = self.embed_rest(session, ctx, way, reservation, body, *partly);
                    // In a box, for it would make the future of every request twice as large.
                    return Box::pin(rest).await;
                }
                Ok(embeddings::Looked::Whole) => {}
                Ok(embeddings::Looked::Miss(kept, shared)) => {
                    inputs = kept;
                    fill = shared;
                    by_inputs = true;
                }
                ended => {
                    // Nothing went to a peer.
                    if let Some(mut reservation) = reservation {
                        reservation.answered_here();
                    }
                    return ended.map(|_| ());
                }
            }
        }
        let learn = Learn {
            pool: Arc::clone(&pool),
            model,
            text_bytes,
            non_ascii_bytes,
            text_only,
            prompt_tokens,
        };
        if let (Some(read), false) = (&read, by_inputs) {
            match cached::look_up(session, ctx, endpoint, read, &route).await {
                Ok(Looked::Miss(filled)) => {
                    fill = filled;
                    if let Some(fill) = &mut fill {
                        fill.judged_by(|| self.bench(ctx));
                    }
                }
                Ok(Looked::Check(fill)) => {
                    if let Some(mut reservation) = reservation {
                        reservation.answered_here();
                    }
                    let answered = Answered {
                        route: &route,
                        demand,
                        endpoint,
                        body,
                        learn,
                        fill,
                    };
                    self.ask_behind(session, ctx, Behind::Check, answered);
                    return Ok(());
                }
                Ok(Looked::Stale(entry, fetching)) => {
                    if let Some(fill) = fetching {
                        let answered = Answered {
                            route: &route,
                            demand,
                            endpoint,
                            body: body.clone(),
                            learn: learn.clone(),
                            fill,
                        };
                        self.ask_behind(session, ctx, Behind::Refresh, answered);
                    }
                    let wanted = (&read.view).into();
                    let given = give_stale(session, ctx, endpoint, wanted, &entry);
                    let given = Box::pin(given).await;
                    if !matches!(given, Ok(false)) {
                        if let Some(mut reservation) = reservation {
                            reservation.answered_here();
                        }
                        return given.map(|_| ());
                    }
                }
                ended => {
                    if !again && ctx.record.cache_status == Some("HIT") {
                        self.familiar.keep(endpoint, &body);
                    }
                    // Nothing went to a peer.
                    if let Some(mut reservation) = reservation {
                        reservation.answered_here();
                    }
                    return ended.map(|_| ());
                }
            }
        }
        let wanted = view.map(Wanted::from);
        // Several times as large as the body, and the answer may take minutes.
        drop(read);
        if let Some(fill) = &mut fill
            && fill.follows()
        {
            // Few requests follow: the others must not carry the state.
            match Box::pin(fill.follow(session, ctx, reservation.as_mut())).await {
                Ok(Shared::Upstream) => {}
                ended => {
                    if let Some(mut reservation) = reservation {
                        reservation.answered_here();
                    }
                    return ended.map(|_| ());
                }
            }
        }

        let outgoing = Outgoing {
            demand,
            upload: Upload::Whole(body),
            crew: fill.as_ref().and_then(|fill| fill.crew()),
            pool: Arc::clone(&pool),
        };
        let whole = match &outgoing.upload {
            Upload::Whole(body) => Some(body),
            Upload::Streaming => None,
        };
        self.mirror(session, ctx, &route, &outgoing.demand, whole);
        let answer = match self.dispatch(session, ctx, &outgoing).await {
            Ok(answer) => {
                let spare = fill.as_mut().and_then(|fill| fill.spare.take());
                match (spare, wanted) {
                    (Some(spare), Some(wanted)) if failed(answer.head.status.as_u16()) => {
                        if let Some(mut reservation) = reservation {
                            reservation.settle(0, Instant::now());
                        }
                        drop((answer, fill));
                        let given = give_stale(session, ctx, endpoint, wanted, &spare);
                        return match Box::pin(given).await? {
                            true => Ok(()),
                            false => Err(ApiError::upstream_broke("no peer could answer").into()),
                        };
                    }
                    _ => answer,
                }
            }
            Err(stop) => {
                settle_unanswered(ctx, reservation, &stop);
                let spare = fill.and_then(|mut fill| fill.spare.take());
                let unavailable = route.unavailable.as_ref();
                if let (Stop::Refused(error), Some(wanted)) = (&stop, wanted)
                    && nobody_answers(error)
                    && (spare.is_some() || unavailable.is_some())
                {
                    let asked = Asked { endpoint, wanted };
                    let answer =
                        instead::answer(session, ctx, asked, spare.as_deref(), unavailable);
                    if Box::pin(answer).await? {
                        return Ok(());
                    }
                }
                return Err(stop);
            }
        };
        drop(outgoing);
        let mut tee = Tee::metering(endpoint, reservation, learn, fill);
        tee.keep_inputs(inputs);
        ctx.record.metered = true;
        dispatch_headers(ctx);
        let relayed = self.relay(session, ctx, &pool, answer, &mut tee).await;
        note(ctx, &tee, &pool, relayed.is_ok());
        relayed
    }
}

/// A refusal costs its request, not its tokens, and so does a client that left before a peer could have read its prompt.
pub(super) fn settle_unanswered(ctx: &Ctx, reservation: Option<Held>, stop: &Stop) {
    let unread = matches!(stop, Stop::Refused(_)) || ctx.record.attempts == 0;
    if let (Some(mut reservation), true) = (reservation, unread) {
        reservation.settle(0, Instant::now());
    }
}

/// Notes what the tee has read.
pub(super) fn note(ctx: &mut Ctx, tee: &Tee, pool: &Pool, relayed: bool) {
    if !tee.is_away() {
        ctx.record.usage = tee.usage();
        ctx.record.response_model = tee.model().cloned();
        ctx.record.finish_reason = tee.finish_reason().cloned();
        ctx.record.tokens = tee.token_times();
    }
    if relayed && ctx.record.error_type.is_empty() {
        let usage = ctx.record.usage.unwrap_or_default();
        events::answered(
            &pool.conf.name,
            ctx.now.saturating_duration_since(ctx.start),
            usage.input_tokens,
            usage.output_tokens,
        );
    }
}

/// Bodies beyond this size, in bytes, are read on a thread of their own: 1 MiB of JSON takes milliseconds.
const MOST_READ_INLINE: usize = 256 * 1024;

/// A body that we do not understand is for the peer to refuse in its own words.
async fn parse(endpoint: Endpoint, body: &Bytes) -> Option<Read> {
    if body.len() <= MOST_READ_INLINE {
        return Read::of(endpoint, body);
    }
    let body = body.clone();
    let parsed = tokio::task::spawn_blocking(move || Read::of(endpoint, &body));
    parsed.await.ok().flatten()
}

/// Says how the answer came about.
pub(super) fn dispatch_headers(ctx: &mut Ctx) {
    let (own, record) = (&mut ctx.own, &ctx.record);
    if let Some(upstream) = &record.upstream {
        own.set("x-tollgate-upstream", upstream);
    }
    if record.attempts > 1 {
        own.number("x-tollgate-attempts", record.attempts.into());
    }
    if let Some(queued) = record.queued {
        own.print(
            "x-tollgate-queue-ms",
            format_args!("{}", queued.as_millis()),
        );
    }
}
