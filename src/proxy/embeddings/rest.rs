//! Asking a peer for the inputs that are not known.

use std::sync::Arc;

use bytes::Bytes;

use super::Partly;
use super::complete::Completed;
use crate::balance::Demand;
use crate::front::Session;
use crate::llm::Endpoint;
use crate::llm::request::RequestView;
use crate::proxy::Proxy;
use crate::proxy::admission::{Held, client_hash};
use crate::proxy::cached;
use crate::proxy::ctx::Ctx;
use crate::proxy::dispatch::{Answer, Outgoing, Upload};
use crate::proxy::model_api::{dispatch_headers, note, settle_unanswered};
use crate::proxy::stop::Stop;
use crate::proxy::tee::{Learn, Tee};
use crate::route::Route;
use crate::state::Pool;

/// Where a request goes.
#[derive(Clone, Copy)]
pub(in crate::proxy) struct Way<'a> {
    pub(in crate::proxy) route: &'a Route,
    pub(in crate::proxy) pool: &'a Arc<Pool>,
}

/// A request, or a part of one, for a peer.
struct Call {
    outgoing: Outgoing,
    learn: Learn,
}

impl Call {
    fn new(ctx: &Ctx, pool: &Arc<Pool>, body: Bytes) -> Self {
        let view = RequestView::parse(Endpoint::Embeddings, &body).ok();
        let (text_bytes, non_ascii_bytes) = match &view {
            Some(view) => (view.prompt_text_bytes, view.non_ascii_bytes),
            None => (body.len() as u64, 0),
        };
        let model = view.and_then(|view| view.model).unwrap_or_default();
        let estimator = pool.balance.estimator();
        let prompt_tokens = estimator.prompt_tokens(&model, text_bytes, non_ascii_bytes);
        Self {
            outgoing: Outgoing {
                demand: Demand {
                    prompt_tokens,
                    output_tokens: 0,
                    client_hash: client_hash(ctx),
                },
                upload: Upload::Whole(body),
                crew: None,
                pool: Arc::clone(pool),
            },
            learn: Learn {
                pool: Arc::clone(pool),
                model,
                text_bytes,
                non_ascii_bytes,
                text_only: true,
                prompt_tokens,
            },
        }
    }
}

impl Proxy {
    /// Asks a peer for the rest of `whole` and answers it completely. If the peer's answer is not to what it was asked, it
    /// is asked for all of it, and its answer passes as it is.
    pub(in crate::proxy) async fn embed_rest(
        &self,
        session: &mut Session,
        ctx: &mut Ctx,
        way: Way<'_>,
        reservation: Option<Held>,
        whole: Bytes,
        partly: Partly,
    ) -> Result<(), Stop> {
        let rest = Call::new(ctx, way.pool, partly.body.clone());
        self.mirror(session, ctx, way.route, &rest.outgoing.demand, Some(&whole));
        let (answer, mut tee) = self.call(session, ctx, rest, reservation).await?;
        let completed = self
            .complete(session, ctx, way.pool, answer, &mut tee, &partly)
            .await;
        if !matches!(completed, Ok(Completed::Misfit)) {
            ctx.tick();
            note(ctx, &tee, way.pool, completed.is_ok());
            return completed.map(|_| ());
        }
        log::warn!(
            "{}: pool {}: peer {}: embeddings for other inputs than asked for",
            ctx.request_id,
            way.pool.conf.name,
            ctx.record.upstream.as_deref().unwrap_or_default(),
        );
        cached::status(ctx, "BYPASS");
        let all = Call::new(ctx, way.pool, whole);
        let reservation = tee.take_reservation();
        let (answer, mut tee) = self.call(session, ctx, all, reservation).await?;
        let relayed = self.relay(session, ctx, way.pool, answer, &mut tee).await;
        note(ctx, &tee, way.pool, relayed.is_ok());
        relayed
    }

    /// Brings a request to a peer.
    async fn call(
        &self,
        session: &mut Session,
        ctx: &mut Ctx,
        call: Call,
        reservation: Option<Held>,
    ) -> Result<(Box<Answer>, Tee), Stop> {
        let answer = match self.dispatch(session, ctx, &call.outgoing).await {
            Ok(answer) => answer,
            Err(stop) => {
                settle_unanswered(ctx, reservation, &stop);
                return Err(stop);
            }
        };
        ctx.record.metered = true;
        dispatch_headers(ctx);
        let tee = Tee::metering(Endpoint::Embeddings, reservation, call.learn, None);
        Ok((answer, tee))
    }
}
