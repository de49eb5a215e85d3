//! `POST /api/v1/cache/purge`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::StatusCode;
use serde_json::{Map, json};

use super::select::Which;
use super::{Call, audit, entries, meant, not_durable};
use crate::admin::answer::{Answer, Refusal};
use crate::admin::body;
use crate::cache::{Cache, Found, Selector};
use crate::state::Snapshot;

/// Time that embedding the text and looking around it may take.
const LIMIT: Duration = Duration::from_secs(30);

/// Takes out what the body means, or says what that would be.
pub(super) async fn purge(snapshot: &Snapshot, call: &Call<'_>) -> Result<Answer, Refusal> {
    let which: Which = body::parse(call.body)?;
    which.check()?;
    let dry_run = which.dry_run.unwrap_or(true);
    let caches = meant(snapshot, which.cache.as_deref())?;
    // All are asked before any is touched.
    let mut what = Vec::new();
    for cache in caches {
        let by_meaning = which.text.is_none() || cache.serves_by_meaning();
        match selector(&cache, &which).await {
            Ok(selector) => what.push((cache, selector)),
            // Of all caches, those that hold no meaning have nothing within any radius.
            Err(_) if !by_meaning && which.cache.is_none() => {}
            Err(why) => return Err(why),
        }
    }
    let (mut entries, mut bytes, mut each) = (0, 0, Map::new());
    for (cache, selector) in what {
        let found = match dry_run {
            true => Arc::clone(&cache).count(selector).await,
            false => Arc::clone(&cache)
                .purge(selector, Instant::now())
                .await
                .map_err(|why| not_durable(&why))?,
        };
        entries += found.entries;
        bytes += found.bytes;
        each.insert(cache.config().name.clone(), shown(&found));
    }
    let done = match dry_run {
        true => None,
        false => Some(audit(
            call,
            &format!(
                "cache purge of {}: {entries} entries, {bytes} bytes",
                which.words()
            ),
        )),
    };
    Ok(Answer::ok(&json!({
        "dry_run": dry_run,
        "entries": entries,
        "bytes": bytes,
        "caches": each,
        "audit": done,
    })))
}

fn shown(found: &Found) -> serde_json::Value {
    let now = Instant::now();
    let some: Vec<_> = found
        .some
        .iter()
        .map(|entry| entries::brief(entry, now))
        .collect();
    json!({ "entries": found.entries, "bytes": found.bytes, "some": some })
}

async fn selector(cache: &Cache, which: &Which) -> Result<Selector, Refusal> {
    let mut selector = which.selector();
    if let (Some(text), Some(radius)) = (&which.text, which.radius) {
        let near = cache.near(text, radius, Instant::now() + LIMIT).await;
        selector.near = Some(near.map_err(|why| {
            let name = &cache.config().name;
            Refusal::new(
                StatusCode::CONFLICT,
                format!("cache {name:?} cannot look by meaning now: {}", why.name()),
            )
        })?);
    }
    Ok(selector)
}
