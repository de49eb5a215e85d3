//! Feedback of applications on what they were given: the same call as on the admin listener, with their own key. They can
//! speak of answers of their own scope alone, and cannot find out whether there are others. Without keys nobody is known
//! well enough for it, and the path is like any other.

use bytes::Bytes;
use serde_json::json;

use super::identity::caller;
use crate::admit::Need;
use crate::cache::{Feedback, scope};
use crate::front::Session;
use crate::llm::error::ApiError;
use crate::proxy::admission::reserve;
use crate::proxy::ctx::Ctx;
use crate::proxy::stop::Stop;
use crate::proxy::{intake, respond};

const PATH: &str = "/api/v1/cache/feedback";

/// Largest body, in bytes.
const MOST: u64 = 4096;

/// Whether it is feedback of somebody who may give it.
pub(in crate::proxy) fn is_feedback(session: &Session, ctx: &Ctx) -> bool {
    ctx.client.is_some()
        && !ctx.snapshot.caches.is_empty()
        && session.head().method == http::Method::POST
        && ctx.path(session) == PATH
}

/// Takes it.
pub(in crate::proxy) async fn feedback(session: &mut Session, ctx: &mut Ctx) -> Result<(), Stop> {
    let held = reserve(ctx, Need::default())?;
    let body = intake::read(session, ctx, MOST).await?;
    if let Some(mut held) = held {
        held.answered_here();
    }
    let feedback: Feedback = serde_json::from_slice(&body)
        .map_err(|error| ApiError::bad_request(format!("the body: {error}"), None))?;
    let Feedback { cache, id, verdict } = feedback;
    let snapshot = std::sync::Arc::clone(&ctx.snapshot);
    for (name, kept) in &snapshot.caches {
        if cache.as_ref().is_some_and(|cache| cache != name) {
            continue;
        }
        let own = scope::partition(kept.config().scope, &caller(ctx, ""));
        let taken = kept.judge(&id, verdict, |origin| origin.scope == own);
        match taken.await {
            Ok(false) => {}
            Ok(true) => {
                let verdict = verdict.name();
                let key = ctx.client.as_ref().map_or("", |client| &client.name);
                log::info!("audit: key {key}: cache feedback in {name}: {id} is {verdict}");
                let said = json!({ "cache": name, "id": id, "verdict": verdict });
                let said = Bytes::from(said.to_string());
                return respond::write(session, ctx, 200, "application/json", said).await;
            }
            Err(why) => {
                return Err(ApiError::internal(format!(
                    "done in memory, but {why}: repeat the call"
                ))
                .into());
            }
        }
    }
    Err(ApiError::no_entry().into())
}
