//! `GET /v1/models`: the union of what the pools serve.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http::Method;
use tokio::task::JoinSet;

use super::ctx::Ctx;
use super::edge::find_route;
use super::stop::Stop;
use super::{Proxy, intake, respond};
use crate::admit::Need;
use crate::balance::{Demand, Lease, Pick};
use crate::config::model::Timeouts;
use crate::exchange::{Client, Way};
use crate::front::Session;
use crate::llm::error::ApiError;
use crate::llm::models;
use crate::metrics::events::AbortStage;
use crate::wire::RequestHead;

/// A pool that takes longer is left out of the list.
const LIST_LIMIT: Duration = Duration::from_secs(5);
/// Largest list that is read, in bytes.
const MOST_LIST: usize = 4 * 1024 * 1024;

impl Proxy {
    /// Whether this request asks for the list of models and there is more than one list to merge.
    pub(super) fn merges_models(&self, session: &Session, ctx: &Ctx) -> bool {
        let head = session.head();
        head.method == http::Method::GET
            && ctx.path(session) == "/v1/models"
            && ctx.snapshot.pools.len() > 1
    }

    pub(super) async fn models(&self, session: &mut Session, ctx: &mut Ctx) -> Result<(), Stop> {
        // The list is everybody's; where a route takes it, that one's limits count as well.
        let _ = find_route(session, ctx, None);
        let _held = super::admission::reserve(ctx, Need::default())?;
        // Whoever sends one with a GET means nothing by it, but it must not be taken for the next request.
        intake::read(session, ctx, ctx.snapshot.config.max_body).await?;
        let mut asked = JoinSet::new();
        for (order, conf) in ctx.snapshot.config.pools.iter().enumerate() {
            let Some(pool) = ctx.snapshot.pools.get(&conf.name) else {
                continue;
            };
            let demand = Demand {
                prompt_tokens: 0,
                output_tokens: 0,
                client_hash: 0,
            };
            let Pick::Lease(lease) = pool.balance.pick(&demand, &[], Instant::now()) else {
                continue;
            };
            let mut timeouts = ctx.timeouts(pool);
            timeouts.total = timeouts.total.min(LIST_LIMIT);
            let way = pool.reach.way(lease.peer().label(), lease.addr());
            let client = Arc::clone(&self.client);
            asked.spawn(async move { (order, list(&client, way, lease, timeouts).await) });
        }
        let began = Instant::now();
        let mut lists = Vec::new();
        loop {
            tokio::select! {
                biased;
                answered = asked.join_next() => match answered {
                    Some(Ok((order, Some(list)))) => lists.push((order, list)),
                    Some(_) => {}
                    None => break,
                },
                () = session.gone() => return Err(Stop::ClientGone(AbortStage::BeforeFirstByte)),
            }
        }
        ctx.waited_since(began);
        if lists.is_empty() {
            return Err(ApiError::no_peer("of any model list", Duration::from_secs(1)).into());
        }
        // In the order of the file, whoever answered first.
        lists.sort_unstable_by_key(|(order, _)| *order);
        let lists: Vec<&[u8]> = lists.iter().map(|(_, list)| list.as_ref()).collect();
        let merged = models::merge(&lists);
        respond::write(
            session,
            ctx,
            200,
            "application/json",
            Bytes::from(merged.body),
        )
        .await
        .map_err(|_| Stop::ClientGone(AbortStage::MidStream))
    }
}

async fn list(client: &Client, way: Way, lease: Lease, timeouts: Timeouts) -> Option<Bytes> {
    let mut head = RequestHead::new(Method::GET, "/v1/models").ok()?;
    head.headers
        .set("host", lease.peer().label().as_ref())
        .ok()?;
    let now = Instant::now();
    let mut exchange = client.open(way, timeouts, now, now).await.ok()?;
    let answer = exchange.ask(&head, Bytes::new()).await.ok()?;
    if !answer.status.is_success() {
        return None;
    }
    let mut body = BytesMut::new();
    while let Some(part) = exchange.chunk().await.ok()? {
        if body.len() + part.len() > MOST_LIST {
            return None;
        }
        body.extend_from_slice(&part);
    }
    exchange.release(client, Instant::now());
    Some(body.freeze())
}
