//! Carries an answer to the client, each part as it comes.

use std::future::pending;
use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use tokio::task::yield_now;

use super::Proxy;
use super::attempt::forward;
use super::cost::{self, priced};
use super::ctx::Ctx;
use super::dispatch::Answer;
use super::flight::{self, Followed, Wait};
use super::intake::within_cap;
use super::report::{failed, failure_error, report_failure, report_success};
use super::stop::Stop;
use super::tee::Tee;
use crate::balance::Lease;
use crate::cache::flight::{Crew, Follow};
use crate::exchange::{Failure, strip_hop_by_hop};
use crate::front::Session;
use crate::llm::ApiError;
use crate::metrics::events::{self, AbortStage};
use crate::route::Route;
use crate::state::Pool;
use crate::wire::ResponseHead;

impl Proxy {
    /// Writes the answer to the client while `tee` reads along. Returns when its last byte is written.
    pub(super) async fn relay(
        &self,
        session: &mut Session,
        ctx: &mut Ctx,
        pool: &Arc<Pool>,
        answer: Box<Answer>,
        tee: &mut Tee,
    ) -> Result<(), Stop> {
        let Answer {
            head,
            mut exchange,
            mut lease,
            uploading,
            ..
        } = *answer;
        let mut upload = match uploading {
            true => Sender::Heard,
            false => Sender::Done,
        };
        ctx.record.first_byte = Some(ctx.now.saturating_duration_since(ctx.start));
        let sse = is_event_stream(&head);
        let failed_status = failed(head.status.as_u16());
        tee.head(&head);
        let gone = |_| Stop::ClientGone(AbortStage::MidStream);
        let head = client_head(ctx, head);
        let has_length = head.headers.contains_key(CONTENT_LENGTH);
        let mut head = Some(Box::new(head));
        if sse || failed_status || !ctx.record.metered || !priced(ctx) {
            begin(session, ctx, &mut head);
        }
        let can_tell = sse && !has_length;
        let crew = tee.crew();
        let shared = |tee: &Tee| !tee.is_complete() && crew.as_ref().is_some_and(Crew::is_there);
        let follow = 'shared: {
            while !exchange.is_done() {
                if shared(tee) {
                    begin(session, ctx, &mut head);
                    break 'shared self.set_off(ctx, pool, exchange, lease, tee);
                }
                let part = tokio::select! {
                    biased;
                    part = exchange.chunk() => part,
                    // The head goes with the first part of the body where that is there, and ahead of it where it is not.
                    sent = session.body_or_gone() => {
                        let part = match sent {
                            Err(_) if shared(tee) => continue,
                            sent => sent.map_err(gone)?.unwrap_or_default(),
                        };
                        if within_cap(session, ctx).is_err() {
                            // The answer has begun: there is no other way left to say so.
                            ctx.record.error_type = "caller_too_large";
                            return Err(Stop::CutOff);
                        }
                        if upload == Sender::Heard && forward(session, &mut exchange, part).await.is_err() {
                            // The peer may answer in full without wanting the rest.
                            upload = Sender::Ignored;
                        }
                        if session.body_done() {
                            upload = Sender::Done;
                        }
                        continue;
                    }
                };
                match part {
                    Ok(Some(part)) => {
                        let now = ctx.tick();
                        tee.part(&part, lease.as_mut(), now);
                        let last = exchange.is_done();
                        if last || tee.saw_the_end() {
                            // Before the client can know that this was all: its next request finds the answer stored and its
                            // limits settled.
                            tee.complete(now);
                        }
                        if head.is_some() {
                            cost::tell(ctx, tee);
                            begin(session, ctx, &mut head);
                        }
                        if sse {
                            // Events that came together leave in a row, so that the other side wakes once for them.
                            yield_now().await;
                        }
                        let trailers = last.then(|| exchange.take_trailers()).flatten();
                        let written = {
                            let mut write = pin!(session.write(part, last && trailers.is_none()));
                            let came = async {
                                match crew.as_ref().filter(|_| !tee.is_complete()) {
                                    Some(crew) => crew.came().await,
                                    None => pending().await,
                                }
                            };
                            tokio::select! {
                                biased;
                                written = &mut write => written,
                                // Whoever comes must not wait for a client that is slow to read.
                                () = came => {
                                    let follow = self.set_off(ctx, pool, exchange, lease, tee);
                                    write.await.map_err(gone)?;
                                    break 'shared follow;
                                }
                            }
                        };
                        match written {
                            Err(_) if shared(tee) => continue,
                            written => written.map_err(gone)?,
                        }
                        if trailers.is_some() {
                            session.end(trailers).await.map_err(gone)?;
                        }
                    }
                    Ok(None) => break,
                    Err(failure) => {
                        begin(session, ctx, &mut head);
                        return broke(session, ctx, pool, lease.as_mut(), &failure, tee, can_tell)
                            .await;
                    }
                }
            }
            // The last part may have taken its time to be written, and the end to come.
            let now = ctx.tick();
            tee.complete(now);
            if head.is_some() {
                cost::tell(ctx, tee);
                begin(session, ctx, &mut head);
            }
            session.end(exchange.take_trailers()).await.map_err(gone)?;
            let now = ctx.tick();
            if let (Some(lease), false) = (&mut lease, failed_status) {
                report_success(pool, lease, now);
            }
            drop(lease);
            exchange.release(&self.client, now);
            return Ok(());
        };
        let followed = follow_on(session, ctx, follow, can_tell).await;
        ctx.tick();
        followed
    }
}

/// Begins the answer with its head, unless it has begun. One that can say what the answer cost waits for the first part: with a
/// short answer that is all of it.
fn begin(session: &mut Session, ctx: &mut Ctx, head: &mut Option<Box<ResponseHead>>) {
    if let Some(head) = head.take() {
        super::respond::begin(session, ctx, *head);
    }
}

/// Gives the client of a request that leads the rest of its answer.
async fn follow_on(
    session: &mut Session,
    ctx: &mut Ctx,
    follow: Option<Follow>,
    can_tell: bool,
) -> Result<(), Stop> {
    let Some(follow) = follow else {
        return Err(Stop::CutOff);
    };
    // Few answers are shared: the others must not carry the state.
    let followed = Box::pin(flight::follow(
        session,
        ctx,
        follow,
        Wait::Begun { can_tell },
    ))
    .await?;
    if let Followed::Landed(landing) = followed {
        ctx.record.usage = landing.usage;
        ctx.record.response_model.clone_from(&landing.model);
        ctx.record.finish_reason.clone_from(&landing.finish_reason);
        ctx.record.tokens = landing.tokens;
    }
    Ok(())
}

/// What becomes of a body that the client is sending.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sender {
    /// It goes to the peer.
    Heard,
    /// The peer takes no more of it.
    Ignored,
    /// There is no more of it.
    Done,
}

/// Tells the truth about an answer that broke off: an error event where the answer is a stream of events, a closed
/// connection everywhere else.
async fn broke(
    session: &mut Session,
    ctx: &mut Ctx,
    pool: &Pool,
    lease: Option<&mut Lease>,
    failure: &Failure,
    tee: &mut Tee,
    can_tell: bool,
) -> Result<(), Stop> {
    log::warn!(
        "{}: pool {}: peer {}: {failure}",
        ctx.request_id,
        pool.conf.name,
        ctx.record.upstream.as_deref().unwrap_or_default(),
    );
    events::answer_broke(&pool.conf.name, failure.name());
    if let Some(lease) = lease {
        report_failure(pool, lease, failure);
    }
    let error = failure_error(failure, &ctx.timeouts(pool));
    tee.broke(&error);
    tell(session, ctx, &error, tee.closing(), can_tell).await
}

/// Tells the client that its answer broke off, where that can be told. `closing` ends what was begun.
pub(super) async fn tell(
    session: &mut Session,
    ctx: &mut Ctx,
    error: &ApiError,
    closing: &[u8],
    can_tell: bool,
) -> Result<(), Stop> {
    ctx.record.error_type = super::respond::error_type(error);
    if !can_tell {
        return Err(Stop::CutOff);
    }
    // Ends a half-written event, so that ours is not read as a part of it.
    let mut event = closing.to_vec();
    event.extend_from_slice(&error.sse_event(ctx.dialect));
    session.close_after();
    session
        .write(Bytes::from(event), true)
        .await
        .map_err(|_| Stop::ClientGone(AbortStage::MidStream))
}

/// The peer's head made ready for the client: connection-level headers are left to the client's connection.
pub(super) fn client_head(ctx: &Ctx, mut head: ResponseHead) -> ResponseHead {
    strip_hop_by_hop(&mut head.headers);
    let own_limits = |route: &Arc<Route>| !route.limits.is_empty();
    if !ctx.snapshot.config.limits.is_empty() || ctx.route.as_ref().is_some_and(own_limits) {
        provider_limits(&mut head);
    }
    head
}

/// A peer's own limits keep their values under another name: ours are the ones that bind this client.
fn provider_limits(head: &mut ResponseHead) {
    let theirs: Vec<_> = head
        .headers
        .keys()
        .filter(|name| {
            name.as_str().starts_with("x-ratelimit-")
                || name.as_str().starts_with("anthropic-ratelimit-")
        })
        .cloned()
        .collect();
    for name in theirs {
        if let Some(value) = head.headers.remove(&name) {
            let _ = head.headers.set(format!("llm_provider-{name}"), value);
        }
    }
}

fn is_event_stream(head: &ResponseHead) -> bool {
    head.headers
        .get(CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"))
}
