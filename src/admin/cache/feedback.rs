//! `POST /api/v1/cache/feedback`.

use serde_json::json;

use super::{Call, audit, meant, not_durable};
use crate::admin::answer::{Answer, Refusal};
use crate::admin::body;
use crate::cache::Feedback;
use crate::state::Snapshot;

/// Takes note that an answer was good, or takes a bad one out.
pub(super) async fn give(snapshot: &Snapshot, call: &Call<'_>) -> Result<Answer, Refusal> {
    let Feedback { cache, id, verdict } = body::parse(call.body)?;
    for cache in meant(snapshot, cache.as_deref())? {
        let taken = cache
            .judge(&id, verdict, |_| true)
            .await
            .map_err(|why| not_durable(&why))?;
        if taken {
            let (name, verdict) = (&cache.config().name, verdict.name());
            let line = audit(
                call,
                &format!("cache feedback in {name}: {id} is {verdict}"),
            );
            return Ok(Answer::ok(
                &json!({ "cache": name, "id": id, "verdict": verdict, "audit": line }),
            ));
        }
    }
    Err(Refusal::not_found(format!("no cache has an entry {id:?}")))
}
