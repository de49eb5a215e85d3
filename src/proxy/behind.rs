//! Answers asked for behind a client's back: to learn whether one served by meaning was right, or to replace an old one.
//!
//! The client has its answer; this exchange is nobody's. It goes out only where the pool has room that no one waits for, is
//! not tried again, and its answer becomes an entry of its own.

use std::sync::Arc;
use std::time::Instant;

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

/// What was answered from the cache, and how to ask it again.
pub(super) struct Answered<'a> {
    pub(super) route: &'a Route,
    pub(super) demand: Demand,
    pub(super) endpoint: Endpoint,
    pub(super) body: Bytes,
    pub(super) learn: Learn,
    pub(super) fill: Box<Fill>,
}

/// Why it is asked.
#[derive(Clone, Copy)]
pub(super) enum Behind {
    /// Whether an answer that was, or would have been, served by meaning is right.
    Check,
    /// For a fresh answer in place of a stale one.
    Refresh,
}

impl Behind {
    fn ended(self, route: &str, result: &'static str) {
        match self {
            Self::Check => events::cache_explored(route, result),
            Self::Refresh => events::refreshed(result),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Check => "check",
            Self::Refresh => "refresh",
        }
    }
}

impl Proxy {
    /// Asks upstream what was answered from the cache.
    pub(super) fn ask_behind(
        &self,
        session: &Session,
        ctx: &mut Ctx,
        why: Behind,
        answered: Answered<'_>,
    ) {
        let Answered {
            route,
            demand,
            endpoint,
            body,
            learn,
            mut fill,
        } = answered;
        let pool = learn.pool.conf.name.clone();
        fill.judged_by(|| self.bench(ctx));
        let Some((permit, pool, lease)) = place(ctx, route, &pool, &demand, Some(&body)) else {
            return why.ended(&route.name, "skipped");
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
                    tee.complete(Instant::now());
                    "answered"
                }
                Err(failure) => {
                    log::info!("{} of pool {}: {failure}", why.name(), pool.conf.name);
                    "failed"
                }
            };
            why.ended(&route, result);
        });
    }
}
