//! The corridor: takes each request through the rooms.
//!
//! `admission` asks who it is and what their limits leave · `edge` finds the route and gives answers that it has itself ·
//! `model_api` understands, looks up and sends on (`intake` takes the body in, `read` reads it) · `pass` streams everything else through ·
//! `upgrade` joins connections that leave HTTP · `dispatch` finds a peer (`wait`), asks it (`attempt`; `introduce` says for
//! whom) and tries again elsewhere · `mirror` sends copies, `behind` asks what the cache answered (`judge`: a model whether it was right) · `relay` carries the
//! answer to the client (`flight`: to all who share it; `instead`: an older one or the operator's) · `report` tells the
//! pool how its peers did · `tee` meters it and fills the cache (`cost`: what it cost) · `respond` writes answers of our own · `finish` logs and
//! counts.

mod admission;
mod attempt;
mod behind;
mod cached;
mod cost;
mod ctx;
mod dispatch;
mod edge;
mod embeddings;
mod finish;
mod flight;
mod instead;
mod intake;
mod introduce;
mod judge;
mod mirror;
mod model_api;
mod models;
mod pass;
mod read;
mod relay;
mod report;
mod respond;
mod stop;
mod tee;
mod upgrade;
mod wait;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use self::ctx::Ctx;
use self::judge::Bench;
use self::read::Familiar;
use self::stop::Stop;
use crate::exchange::Client;
use crate::front::{Handler, Rules, Session};
use crate::metrics::events::AbortStage;
use crate::state::Live;

/// Answers the requests of clients.
pub struct Proxy {
    live: Arc<Live>,
    client: Arc<Client>,
    familiar: Familiar,
}

impl Proxy {
    /// A proxy that follows `live` and reaches peers through `client`.
    pub fn new(live: Arc<Live>, client: Arc<Client>) -> Self {
        Self {
            live,
            client,
            familiar: Familiar::default(),
        }
    }

    /// What it takes to ask a judge about an answer to this request.
    fn bench(&self, ctx: &Ctx) -> Bench {
        Bench {
            client: Arc::clone(&self.client),
            snapshot: Arc::clone(&ctx.snapshot),
        }
    }
}

impl Handler for Proxy {
    fn rules(&self, listener: SocketAddr) -> Option<Arc<Rules>> {
        self.live.snapshot().listeners.get(&listener).cloned()
    }

    async fn handle(&self, session: &mut Session) {
        let mut ctx = Ctx::new(self.live.snapshot(), Instant::now());
        let mut stopped = match ctx.identify(session) {
            Ok(()) => self.answer(session, &mut ctx).await,
            Err(stop) => Err(stop),
        };
        if let Err(Stop::Refused(error)) = &stopped {
            stopped = respond::error(session, &mut ctx, error).await;
        }
        if let Err(Stop::ClientGone(stage)) = stopped {
            ctx.client_left(stage);
        } else if !session.ended() && ctx.record.error_type.is_empty() {
            ctx.client_left(AbortStage::MidStream);
        }
        finish::log(session, &mut ctx);
    }
}
