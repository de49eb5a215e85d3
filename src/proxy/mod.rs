//! The corridor: Pingora's phases, each calling a room and passing on what it said.
//!
//! `request_filter` answers every request by itself, through an [`Exchange`](crate::exchange::Exchange) with a peer,
//! a cached answer or an error. Only upgrades (WebSocket) go on to Pingora's own proxy loop.
//!
//! `intake` reads the body or gets rid of it · `model_api` understands, limits, looks up and sends on · `pass` streams everything else
//! through · `dispatch` finds a peer (`wait`), asks it (`attempt`) and tries again elsewhere · `relay` carries the answer to the client ·
//! `report` tells the pool how its peers did · `tee` meters it and fills the cache · `respond` writes answers of our own · `finish` logs and counts.

mod attempt;
mod cached;
mod ctx;
mod dispatch;
mod finish;
mod intake;
mod model_api;
mod models;
mod pass;
mod relay;
mod report;
mod respond;
mod stop;
mod tee;
mod wait;

use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::modules::http::HttpModules;
use pingora::prelude::{HttpPeer, ProxyHttp, Session};
use pingora::proxy::FailToProxy;
use pingora::{Error, ErrorType, Result};

use self::ctx::Ctx;
use self::stop::Stop;
use crate::exchange::{Client, Failure, http_peer};
use crate::state::Live;

/// The proxy as Pingora runs it.
pub struct Proxy {
    live: Arc<Live>,
    client: Arc<Client>,
}

impl Proxy {
    /// A proxy that follows `live` and reaches peers through `client`.
    pub fn new(live: Arc<Live>, client: Arc<Client>) -> Self {
        Self { live, client }
    }
}

#[async_trait]
impl ProxyHttp for Proxy {
    type CTX = Ctx;

    fn new_ctx(&self) -> Ctx {
        Ctx::new(self.live.snapshot(), Instant::now())
    }

    /// Pingora's compression module is left out: answers pass as the peer made them.
    fn init_downstream_modules(&self, _modules: &mut HttpModules) {}

    async fn request_filter(&self, session: &mut Session, ctx: &mut Ctx) -> Result<bool> {
        ctx.identify(session);
        intake::settle_in(session);
        match self.handle(session, ctx).await {
            Ok(Handled::Answered) => Ok(true),
            Ok(Handled::Upgrade) => Ok(false),
            Err(Stop::Refused(error)) => {
                respond::error(session, ctx, &error).await?;
                Ok(true)
            }
            Err(Stop::ClientGone(stage)) => {
                ctx.client_left(stage);
                Err(Error::new_down(ErrorType::ConnectionClosed))
            }
            Err(Stop::CutOff) => Err(Error::new_up(ErrorType::ConnectionClosed)),
        }
    }

    async fn upstream_peer(&self, _session: &mut Session, ctx: &mut Ctx) -> Result<Box<HttpPeer>> {
        match &ctx.upgrade {
            Some(upgrade) => Ok(Box::new(http_peer(upgrade.lease.addr(), &upgrade.timeouts))),
            None => Error::e_explain(ErrorType::InternalError, "no peer was chosen"),
        }
    }

    async fn upstream_request_filter(
        &self,
        _session: &mut Session,
        head: &mut RequestHeader,
        ctx: &mut Ctx,
    ) -> Result<()> {
        attempt::introduce(head, ctx);
        Ok(())
    }

    async fn response_filter(
        &self,
        _session: &mut Session,
        head: &mut ResponseHeader,
        ctx: &mut Ctx,
    ) -> Result<()> {
        if let Some(upgrade) = &mut ctx.upgrade {
            report::report_status(&upgrade.pool, &mut upgrade.lease, head);
        }
        respond::own_headers(ctx, head)
    }

    fn fail_to_connect(
        &self,
        _session: &mut Session,
        _peer: &HttpPeer,
        ctx: &mut Ctx,
        error: Box<Error>,
    ) -> Box<Error> {
        if let Some(upgrade) = &mut ctx.upgrade {
            let failure = Failure::Connect(error.to_string());
            report::report_failure(&upgrade.pool, &mut upgrade.lease, &failure);
        }
        error
    }

    async fn fail_to_proxy(
        &self,
        session: &mut Session,
        error: &Error,
        ctx: &mut Ctx,
    ) -> FailToProxy {
        let error_code = respond::after_failure(session, ctx, error).await;
        FailToProxy {
            error_code,
            can_reuse_downstream: false,
        }
    }

    fn suppress_error_log(&self, _session: &Session, _ctx: &Ctx, _error: &Error) -> bool {
        true
    }

    async fn logging(&self, session: &mut Session, _error: Option<&Error>, ctx: &mut Ctx) {
        finish::log(session, ctx);
    }
}

/// How `request_filter` ends when nothing went wrong.
enum Handled {
    /// The answer is with the client.
    Answered,
    /// Pingora's loop carries the upgraded connection.
    Upgrade,
}
