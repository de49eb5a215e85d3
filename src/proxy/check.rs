//! Answers served by meaning that are asked upstream all the same, to learn whether they were right.
//!
//! The client has its answer; this exchange is nobody's, goes out only where the pool has room that no one waits for, and
//! its answer becomes an entry of its own.

use std::sync::Arc;

use bytes::Bytes;

use super::Proxy;
use super::cached::Fill;
use super::ctx::Ctx;
use super::mirror::{ask, place};
use super::tee::{Learn, Tee};
use crate::balance::Demand;
use crate::front::Session;
use crate::llm::Endpoint;
use crate::metrics::events;
use crate::route::Route;

/// What was answered, and how to ask it again.
pub(super) struct Answered<'a> {
    pub(super) route: &'a Route,
    pub(super) demand: Demand,
    pub(super) endpoint: Endpoint,
    pub(super) body: Bytes,
    pub(super) learn: Learn,
    pub(super) fill: Box<Fill>,
}

impl Proxy {
    /// Asks upstream what was answered from the cache.
    pub(super) fn check(&self, session: &Session, ctx: &mut Ctx, answered: Answered<'_>) {
        let Answered {
            route,
            demand,
            endpoint,
            body,
            learn,
            fill,
        } = answered;
        let pool = learn.pool.conf.name.clone();
        let Some((permit, pool, lease)) = place(ctx, route, &pool, &demand, Some(&body)) else {
            return events::cache_explored(&route.name, "skipped");
        };
        let Ok(head) = self.peer_head(session, ctx, lease.peer().label(), Some(body.len())) else {
            return;
        };
        let (client, route) = (Arc::clone(&self.client), route.name.clone());
        tokio::spawn(async move {
            let _permit = permit;
            let mut tee = Tee::metering(endpoint, None, learn, Some(fill));
            let asked = ask(&client, &pool, lease, &head, body, Some(&mut tee)).await;
            let result = match asked {
                Ok(()) => {
                    tee.complete();
                    "answered"
                }
                Err(failure) => {
                    log::info!("check for pool {}: {failure}", pool.conf.name);
                    "failed"
                }
            };
            events::cache_explored(&route, result);
        });
    }
}
