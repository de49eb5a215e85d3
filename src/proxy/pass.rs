//! Everything that is not the model API: passed through untouched, bodies streamed in both directions.

use std::sync::Arc;

use pingora::http::RequestHeader;
use pingora::prelude::Session;

use super::ctx::{Ctx, Upgrade};
use super::dispatch::{Outgoing, Upload};
use super::model_api::{client_hash, dispatch_headers, find_route, reserve};
use super::report::no_peer;
use super::stop::Stop;
use super::tee::Tee;
use super::{Handled, Proxy};
use crate::admit::Need;
use crate::balance::Demand;
use crate::state::Pool;

impl Proxy {
    pub(super) async fn pass(&self, session: &mut Session, ctx: &mut Ctx) -> Result<(), Stop> {
        let (_, pool) = find_route(session, ctx, None)?;
        let reservation = reserve(ctx, Need::default())?;
        let outgoing = unmetered(ctx, &pool);
        let answer = self.dispatch(session, ctx, &outgoing).await?;
        dispatch_headers(ctx);
        self.relay(session, ctx, &pool, answer, &mut Tee::opaque(reservation))
            .await
    }

    /// Leases a peer for an upgraded connection, which Pingora's loop then carries.
    pub(super) async fn upgrade(
        &self,
        session: &mut Session,
        ctx: &mut Ctx,
    ) -> Result<Handled, Stop> {
        let (_, pool) = find_route(session, ctx, None)?;
        let reservation = reserve(ctx, Need::default())?;
        let outgoing = unmetered(ctx, &pool);
        match self.lease(session, ctx, &outgoing, &[]).await? {
            Some(lease) => {
                ctx.record.attempts = 1;
                ctx.record.upstream = Some(lease.addr().to_string());
                ctx.upgrade = Some(Upgrade {
                    lease,
                    timeouts: pool.conf.timeouts,
                    pool,
                    _reservation: reservation,
                });
                Ok(Handled::Upgrade)
            }
            None => Err(no_peer(&pool).into()),
        }
    }
}

/// A request that counts as one; of its tokens nothing is known.
fn unmetered(ctx: &Ctx, pool: &Arc<Pool>) -> Outgoing {
    Outgoing {
        demand: Demand {
            client_hash: client_hash(ctx),
            ..Demand::default()
        },
        upload: Upload::Streaming,
        pool: Arc::clone(pool),
    }
}

/// The one upgrade that is passed on. Others are for the client to do without: an ordinary request that wears the
/// header (`h2c`, which some clients always offer) must not lead around limits, metering and cache.
pub(super) fn is_websocket(head: &RequestHeader) -> bool {
    head.method == http::Method::GET
        && head.version == http::Version::HTTP_11
        && head
            .headers
            .get(http::header::UPGRADE)
            .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"))
}
