//! An answer on a task of its own: read from its peer at the peer's pace, given to whoever shares it.
//!
//! A request that leads a flight carries its answer itself until somebody follows. From then on its own client is one of
//! those who follow, so that it can be slow, or leave, at nobody's cost.

use std::sync::Arc;

use http::StatusCode;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use tokio::time::{Instant, sleep_until};

use super::Proxy;
use super::ctx::Ctx;
use super::relay::tell;
use super::report::{failure_error, report_failure, report_success};
use super::stop::Stop;
use super::tee::Tee;
use crate::balance::Lease;
use crate::cache::flight::{Begun, Crew, Follow, Landing, Lead, Step};
use crate::config::model::Timeouts;
use crate::exchange::{Client, Exchange};
use crate::front::Session;
use crate::llm::ApiError;
use crate::metrics::events::{self, AbortStage};
use crate::state::Pool;
use crate::wire::ResponseHead;

/// An answer that has begun, and all that its end is to be told to.
pub(super) struct Carried {
    pub(super) exchange: Exchange,
    pub(super) lease: Option<Lease>,
    pub(super) tee: Tee,
    pub(super) pool: Arc<Pool>,
    pub(super) timeouts: Timeouts,
    pub(super) request_id: String,
}

impl Carried {
    /// Reads the answer to its end on a task of its own, or until nobody of `crew` is left. `None`: whoever is there.
    pub(super) fn set_off(self, client: &Arc<Client>, crew: Option<Crew>) {
        let client = Arc::clone(client);
        tokio::spawn(self.carry(client, crew));
    }

    async fn carry(mut self, client: Arc<Client>, crew: Option<Crew>) {
        while !self.exchange.is_done() {
            let deserted = async {
                match crew.as_ref().filter(|_| !self.tee.is_complete()) {
                    Some(crew) => crew.left().await,
                    None => std::future::pending().await,
                }
            };
            let part = tokio::select! {
                biased;
                part = self.exchange.chunk() => part,
                () = deserted => {
                    log::info!("{}: everybody left before the end of the answer", self.request_id);
                    return;
                }
            };
            match part {
                Ok(Some(part)) => {
                    let now = std::time::Instant::now();
                    self.tee.part(&part, self.lease.as_mut(), now);
                    if self.exchange.is_done() || self.tee.saw_the_end() {
                        self.tee.complete(now);
                    }
                }
                Ok(None) => break,
                Err(failure) => {
                    let name = &self.pool.conf.name;
                    log::warn!("{}: pool {name}: {failure}", self.request_id);
                    events::answer_broke(name, failure.name());
                    if let Some(lease) = &mut self.lease {
                        report_failure(&self.pool, lease, &failure);
                    }
                    self.tee.broke(&failure_error(&failure, &self.timeouts));
                    return;
                }
            }
        }
        let now = std::time::Instant::now();
        self.tee.complete(now);
        // Only an answer that does not speak against its peer is shared.
        if let Some(lease) = &mut self.lease {
            report_success(&self.pool, lease, now);
        }
        drop(self.lease);
        self.exchange.release(&client, now);
    }
}

/// How following ended.
pub(super) enum Followed {
    /// The client has all of it.
    Landed(Arc<Landing>),
    /// The answer broke off, and the client was told.
    Broken,
    /// Nothing came, and this request is to ask for all.
    Lead(Lead),
    /// Nothing came, and it is to ask for itself.
    Alone,
    /// Nothing came in time.
    Late,
}

/// Where an answer stands for one who follows it.
#[derive(Clone, Copy)]
pub(super) enum Wait {
    /// Nothing came yet. The head must come by then.
    Until(Instant),
    /// Its head is with the client, to whom a break can be told in words or not.
    Begun { can_tell: bool },
}

/// Gives the client what `follow` brings.
///
/// # Errors
/// The client left, or the answer broke off in its middle.
pub(super) async fn follow(
    session: &mut Session,
    ctx: &mut Ctx,
    mut follow: Follow,
    mut wait: Wait,
) -> Result<Followed, Stop> {
    let gone = |begun| match begun {
        true => Stop::ClientGone(AbortStage::MidStream),
        false => Stop::ClientGone(AbortStage::BeforeFirstByte),
    };
    let came = std::time::Instant::now();
    loop {
        let late = async {
            match wait {
                Wait::Until(deadline) => sleep_until(deadline).await,
                Wait::Begun { .. } => std::future::pending().await,
            }
        };
        let step = tokio::select! {
            biased;
            step = follow.next() => step,
            // Whoever asked for the model has sent its body.
            // With all of the answer it may leave before the end of it is said.
            left = session.body_or_gone(), if !session.all_written() => match left {
                Ok(_) => continue,
                Err(_) => return Err(gone(matches!(wait, Wait::Begun { .. }))),
            },
            () = late => return Ok(Followed::Late),
        };
        match step {
            Step::Begun(begun) => {
                let sse = begun.content_type.starts_with("text/event-stream");
                wait = Wait::Begun {
                    can_tell: sse && begun.length.is_none(),
                };
                ctx.waited_since(came);
                ctx.record.first_byte = Some(ctx.start.elapsed());
                begin(session, ctx, &begun);
            }
            Step::Part(part, landing) => {
                session
                    .write(part, landing.is_some())
                    .await
                    .map_err(|_| gone(true))?;
                if let Some(landing) = landing {
                    return Ok(Followed::Landed(landing));
                }
            }
            Step::Landed(landing) => {
                session.end(None).await.map_err(|_| gone(true))?;
                return Ok(Followed::Landed(landing));
            }
            Step::Broken(why) => {
                let (closing, error) = match why.as_deref() {
                    Some(why) => (why.closing, why.error.clone()),
                    None => (
                        &b"\n\n"[..],
                        ApiError::upstream_broke("its answer broke off"),
                    ),
                };
                let can_tell = matches!(wait, Wait::Begun { can_tell: true });
                tell(session, ctx, &error, closing, can_tell).await?;
                return Ok(Followed::Broken);
            }
            Step::Behind => {
                ctx.record.error_type = "caller_too_slow";
                return Err(Stop::CutOff);
            }
            Step::Lead(lead) => {
                ctx.waited_since(came);
                return Ok(Followed::Lead(lead));
            }
            Step::Alone => {
                ctx.waited_since(came);
                return Ok(Followed::Alone);
            }
        }
    }
}

/// Begins an answer that another request asked for.
fn begin(session: &mut Session, ctx: &mut Ctx, begun: &Begun) {
    let mut head = ResponseHead::new(StatusCode::OK);
    let _ = head.headers.set(CONTENT_TYPE, &*begun.content_type);
    if let Some(length) = begun.length {
        head.headers.insert(CONTENT_LENGTH, length.into());
    }
    super::respond::begin(session, ctx, head);
}

impl Proxy {
    /// Sends an answer that is shared on its own way. Its client follows it from there.
    pub(super) fn set_off(
        &self,
        ctx: &Ctx,
        pool: &Arc<Pool>,
        exchange: Exchange,
        lease: Option<Lease>,
        tee: &mut Tee,
    ) -> Option<Follow> {
        let (follow, crew) = (tee.follow_on(), tee.crew());
        let carried = Carried {
            exchange,
            lease,
            tee: std::mem::replace(tee, Tee::opaque(None)),
            pool: Arc::clone(pool),
            timeouts: ctx.timeouts(pool),
            request_id: ctx.request_id.clone(),
        };
        carried.set_off(&self.client, crew);
        follow
    }
}
