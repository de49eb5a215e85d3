//! A peer's answer to some of the inputs, completed with the answers to the others.

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderName;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, ETAG};

use super::fill::MOST_ANSWER;
use super::{MOST_INLINE, Partly, Place};
use crate::front::Session;
use crate::llm::Usage;
use crate::llm::embeddings::Vectors;
use crate::metrics::events::{self, AbortStage};
use crate::proxy::Proxy;
use crate::proxy::ctx::Ctx;
use crate::proxy::dispatch::Answer;
use crate::proxy::relay::client_head;
use crate::proxy::report::{failure_error, report_failure, report_success};
use crate::proxy::respond;
use crate::proxy::stop::Stop;
use crate::proxy::tee::Tee;
use crate::state::Pool;
use crate::util::collected::Collected;
use crate::wire::ResponseHead;

/// Fields about the very bytes of a body.
const OF_BYTES: [HeaderName; 5] = [
    CONTENT_LENGTH,
    ETAG,
    HeaderName::from_static("digest"),
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("content-md5"),
];

/// What came of completing an answer.
pub(super) enum Completed {
    /// The client has it.
    Yes,
    /// The peer's answer was not to what it was asked. The client has nothing yet.
    Misfit,
}

impl Proxy {
    /// Reads a peer's answer to some inputs, completes it and gives it to the client. Anything but a 200 passes as it is.
    pub(super) async fn complete(
        &self,
        session: &mut Session,
        ctx: &mut Ctx,
        pool: &Arc<Pool>,
        answer: Box<Answer>,
        tee: &mut Tee,
        partly: &Partly,
    ) -> Result<Completed, Stop> {
        if answer.head.status.as_u16() != 200 {
            self.relay(session, ctx, pool, answer, tee).await?;
            return Ok(Completed::Yes);
        }
        let Answer {
            head,
            mut exchange,
            mut lease,
            ..
        } = *answer;
        ctx.record.first_byte = Some(ctx.start.elapsed());
        let json = head.headers.get(CONTENT_TYPE).is_some_and(|kind| {
            let kind = kind.as_bytes().to_ascii_lowercase();
            kind.starts_with(b"application/json")
        });
        let encoded = head.headers.contains_key(http::header::CONTENT_ENCODING);
        if !json || encoded {
            return Ok(Completed::Misfit);
        }
        tee.head(&head);
        let mut body = Collected::default();
        while !exchange.is_done() {
            let part = tokio::select! {
                biased;
                part = exchange.chunk() => part,
                () = session.gone() => return Err(Stop::ClientGone(AbortStage::BeforeFirstByte)),
            };
            match part {
                Ok(Some(part)) if body.len() + part.len() > MOST_ANSWER => {
                    return Ok(Completed::Misfit);
                }
                Ok(Some(part)) => {
                    tee.part(&part, lease.as_mut(), ctx.tick());
                    body.push(&part);
                }
                Ok(None) => break,
                Err(failure) => {
                    events::answer_broke(&pool.conf.name, failure.name());
                    if let Some(lease) = &mut lease {
                        report_failure(pool, lease, &failure);
                    }
                    return Err(failure_error(&failure, &ctx.timeouts(pool)).into());
                }
            }
        }
        let now = ctx.tick();
        if let Some(lease) = &mut lease {
            report_success(pool, lease, now);
        }
        drop(lease);
        exchange.release(&self.client, now);
        match partly.merged(body.into_bytes()).await {
            Some(whole) => {
                // Before the client can know that this was all.
                tee.complete(ctx.tick());
                ctx.record.saved = Some(Usage {
                    input_tokens: partly.saved,
                    ..Usage::default()
                });
                give(session, ctx, head, whole).await
            }
            None => Ok(Completed::Misfit),
        }
    }
}

impl Partly {
    /// The whole answer, given the peer's; `None` if that does not fit. What the peer gave is remembered.
    async fn merged(&self, answer: Bytes) -> Option<Bytes> {
        let asked = self.fill.keep().asked();
        let vectors = if answer.len() <= MOST_INLINE {
            Vectors::of(&answer, asked)
        } else {
            let apart = tokio::task::spawn_blocking(move || Vectors::of(&answer, asked));
            apart.await.ok().flatten()
        }?;
        if self.store {
            self.fill.keep().store(&vectors);
        }
        let item = |place: &'_ Place| match place {
            Place::Known(entry) => entry.answer.body.clone(),
            Place::Asked(at) => vectors.items().get(*at).cloned().unwrap_or_default(),
        };
        let items: Vec<Bytes> = self.places.iter().map(item).collect();
        Some(vectors.with(items.iter().map(|item| &**item)))
    }
}

async fn give(
    session: &mut Session,
    ctx: &mut Ctx,
    head: ResponseHead,
    body: Bytes,
) -> Result<Completed, Stop> {
    let mut head = client_head(ctx, head);
    for name in &OF_BYTES {
        head.headers.remove(name);
    }
    head.headers
        .set(CONTENT_LENGTH, body.len())
        .map_err(|_| Stop::CutOff)?;
    respond::begin(session, ctx, head);
    session
        .write(body, true)
        .await
        .map_err(|_| Stop::ClientGone(AbortStage::MidStream))?;
    Ok(Completed::Yes)
}
