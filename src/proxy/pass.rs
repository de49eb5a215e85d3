//! Everything that is not the model API: passed through untouched, bodies streamed in both directions.

use std::sync::Arc;

use pingora::prelude::Session;

use super::Proxy;
use super::ctx::Ctx;
use super::dispatch::{Outgoing, Upload};
use super::model_api::{client_hash, dispatch_headers, find_route, reserve};
use super::stop::Stop;
use super::tee::Tee;
use crate::admit::Need;
use crate::balance::Demand;

impl Proxy {
    pub(super) async fn pass(&self, session: &mut Session, ctx: &mut Ctx) -> Result<(), Stop> {
        let (_, pool) = find_route(session, ctx, None)?;
        let reservation = reserve(ctx, Need::default())?;
        let outgoing = Outgoing {
            // Counted as a request; of its tokens nothing is known.
            demand: Demand {
                prompt_tokens: 0,
                output_tokens: 0,
                client_hash: client_hash(ctx),
            },
            upload: Upload::Streaming,
            pool: Arc::clone(&pool),
        };
        let answer = self.dispatch(session, ctx, &outgoing).await?;
        dispatch_headers(ctx);
        self.relay(session, ctx, &pool, answer, &mut Tee::opaque(reservation))
            .await
    }
}
