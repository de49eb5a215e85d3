//! Carries an answer to the client, each part as it comes.

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING};
use pingora::http::ResponseHeader;
use pingora::prelude::Session;

use super::Proxy;
use super::ctx::Ctx;
use super::dispatch::Answer;
use super::report::{failed, failure_error, report_failure, report_success};
use super::stop::Stop;
use super::tee::Tee;
use crate::balance::Lease;
use crate::exchange::{Failure, strip_hop_by_hop};
use crate::metrics::events::{self, AbortStage};
use crate::state::Pool;

impl Proxy {
    /// Writes the answer to the client while `tee` reads along. Returns when its last byte is written.
    pub(super) async fn relay(
        &self,
        session: &mut Session,
        ctx: &mut Ctx,
        pool: &Pool,
        answer: Answer,
        tee: &mut Tee,
    ) -> Result<(), Stop> {
        let Answer {
            head,
            mut exchange,
            mut lease,
            uploading,
            ..
        } = answer;
        let mut upload = match uploading {
            true => Sender::Heard,
            false => Sender::Done,
        };
        session.set_write_timeout(Some(pool.conf.timeouts.between_chunks));
        ctx.record.first_byte = Some(ctx.start.elapsed());
        let sse = is_event_stream(&head);
        let failed_status = failed(head.status.as_u16());
        tee.head(&head);
        let gone = |_| Stop::ClientGone(AbortStage::MidStream);
        let mut head = client_head(session, ctx, head);
        super::respond::own_headers(ctx, &mut head).map_err(|_| Stop::CutOff)?;
        let has_length = head.headers.contains_key(CONTENT_LENGTH);
        let empty = exchange.is_done();
        super::respond::begin(session, head, empty)
            .await
            .map_err(gone)?;
        if !empty {
            loop {
                let part = tokio::select! {
                    biased;
                    part = exchange.chunk() => part,
                    sent = session.read_body_or_idle(upload == Sender::Done) => {
                        let Ok(part) = sent else { return Err(Stop::ClientGone(AbortStage::MidStream)) };
                        let over = part.is_none() || session.is_body_done();
                        if upload == Sender::Heard
                            && exchange.send_body(part.unwrap_or_default(), over).await.is_err()
                        {
                            // The peer may answer in full without wanting the rest.
                            upload = Sender::Ignored;
                        }
                        if over {
                            upload = Sender::Done;
                        }
                        continue;
                    }
                };
                match part {
                    Ok(Some(part)) => {
                        tee.part(&part, lease.as_mut());
                        if exchange.is_done() || tee.saw_the_end() {
                            // Before the client can know that this was all: its next request finds the answer stored
                            // and its limits settled.
                            tee.complete();
                        }
                        session
                            .write_response_body(Some(part), false)
                            .await
                            .map_err(gone)?;
                    }
                    Ok(None) => break,
                    Err(failure) => {
                        return broke(
                            session,
                            ctx,
                            pool,
                            lease.as_mut(),
                            &failure,
                            tee,
                            sse && !has_length,
                        )
                        .await;
                    }
                }
            }
            super::respond::end(session).await.map_err(gone)?;
        }
        tee.complete();
        if let (Some(lease), false) = (&mut lease, failed_status) {
            report_success(pool, lease);
        }
        drop(lease);
        exchange.release(&self.client).await;
        super::intake::linger(session, ctx).await;
        Ok(())
    }
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
    let error = failure_error(failure, &pool.conf.timeouts);
    ctx.record.error_type = super::respond::error_type(&error);
    if !can_tell {
        return Err(Stop::CutOff);
    }
    // Ends a half-written event, so that ours is not read as a part of it.
    let mut event = tee.closing().to_vec();
    event.extend_from_slice(&error.sse_event(ctx.dialect));
    let gone = |_| Stop::ClientGone(AbortStage::MidStream);
    session
        .write_response_body(Some(Bytes::from(event)), false)
        .await
        .map_err(gone)?;
    session.set_keepalive(None);
    super::respond::end(session).await.map_err(gone)
}

/// The peer's head made ready for the client: connection-level headers replaced by ours.
fn client_head(session: &Session, ctx: &Ctx, mut head: ResponseHeader) -> ResponseHeader {
    let chunked = head.headers.contains_key(TRANSFER_ENCODING);
    for name in strip_hop_by_hop(&head.headers) {
        head.remove_header(&name);
    }
    // The version is that of one connection as well.
    head.set_version(http::Version::HTTP_11);
    if !ctx.snapshot.config.limits.is_empty() {
        provider_limits(&mut head);
    }
    let request = session.req_header();
    let bodiless = request.method == http::Method::HEAD
        || head.status.is_informational()
        || matches!(head.status.as_u16(), 204 | 304);
    let unknown_length = chunked || !head.headers.contains_key(CONTENT_LENGTH);
    if !bodiless && unknown_length && request.version == http::Version::HTTP_11 {
        let _ = head.insert_header(TRANSFER_ENCODING, "chunked");
    }
    head
}

/// A peer's own limits keep their values under another name: ours are the ones that bind this client.
fn provider_limits(head: &mut ResponseHeader) {
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
        if let Some(value) = head.remove_header(&name) {
            let _ = head.insert_header(format!("llm_provider-{name}"), value);
        }
    }
}

fn is_event_stream(head: &ResponseHeader) -> bool {
    head.headers
        .get(CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"))
}
