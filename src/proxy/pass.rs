//! Everything that is not the model API: passed through untouched, bodies streamed in both directions.

use std::sync::Arc;

use super::admission::{client_hash, reserve};
use super::ctx::Ctx;
use super::dispatch::{Outgoing, Upload};
use super::edge::{self, Way, find_route};
use super::model_api::dispatch_headers;
use super::stop::Stop;
use super::tee::Tee;
use super::{Proxy, intake};
use crate::admit::Need;
use crate::balance::Demand;
use crate::front::Session;
use crate::state::Pool;

impl Proxy {
    pub(super) async fn pass(&self, session: &mut Session, ctx: &mut Ctx) -> Result<(), Stop> {
        let (route, pool) = match find_route(session, ctx, None)? {
            Way::Peer(route, pool) => (route, pool),
            Way::Here(route) => return edge::answer(session, ctx, &route).await,
        };
        intake::announced(session, ctx)?;
        let reservation = reserve(ctx, Need::default())?;
        let outgoing = unmetered(ctx, &pool);
        if session.body_done() {
            self.mirror(session, ctx, &route, &outgoing.demand, None);
        }
        let answer = self.dispatch(session, ctx, &outgoing).await?;
        dispatch_headers(ctx);
        self.relay(session, ctx, &pool, answer, &mut Tee::opaque(reservation))
            .await
    }
}

/// A request that counts as one; of its tokens nothing is known.
pub(super) fn unmetered(ctx: &Ctx, pool: &Arc<Pool>) -> Outgoing {
    Outgoing {
        demand: Demand {
            client_hash: client_hash(ctx),
            ..Demand::default()
        },
        upload: Upload::Streaming,
        crew: None,
        pool: Arc::clone(pool),
    }
}
