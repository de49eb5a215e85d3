//! Entries of a cache, one by one.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::StatusCode;
use serde_json::{Value, json};

use super::{Call, audit, not_durable, query};
use crate::admin::answer::{Answer, Refusal};
use crate::cache::{Cache, Entry, Selector};

/// Entries that a list shows, unless it is asked for fewer.
const SHOWN: usize = 100;

/// What is known of an entry, without what was asked and answered.
pub(super) fn brief(entry: &Entry, now: Instant) -> Value {
    let Entry { answer, origin, .. } = entry;
    let seconds = |time: Duration| time.as_secs();
    json!({
        "id": entry.id(),
        "scope": origin.scope,
        "tenant": origin.tenant,
        "route": origin.route,
        "model": origin.model,
        "answered_by": *answer.model,
        "namespace": origin.namespace,
        "tags": origin.tags.iter().cloned().collect::<std::collections::BTreeMap<_, _>>(),
        "endpoint": answer.endpoint,
        "streamed": answer.streamed,
        "bytes": entry.weight_bytes(),
        "body_bytes": answer.body.len(),
        "input_tokens": answer.input_tokens,
        "output_tokens": answer.output_tokens,
        "by_meaning": entry.question.is_some(),
        "age_s": seconds(entry.age(now)),
        "ttl_s": seconds(entry.ttl),
        "remaining_s": seconds(entry.remaining(now)),
    })
}

/// `GET /api/v1/cache/NAME/entries/ID`. Prompts and answers are shown only to who asks for them and has shown a token: they
/// are not the operator's own words.
pub(super) fn show(cache: &Cache, id: &str, call: &Call<'_>) -> Result<Answer, Refusal> {
    let asked = query::parse(call.query, &["content"], "")?;
    let content = match asked.get("content").map(|values| values[0].as_str()) {
        None | Some("false") => false,
        Some("true" | "") => true,
        Some(_) => return Err(Refusal::at("content", "must be true or false")),
    };
    if content && !call.trusted {
        return Err(Refusal::new(
            StatusCode::FORBIDDEN,
            "content is shown only where admin.token_file is set",
        ));
    }
    let entry = cache.get_by_id(id).ok_or_else(|| none(cache, id))?;
    let mut shown = brief(&entry, Instant::now());
    if content {
        audit(call, &format!("content of cache entry {id} shown"));
        shown["question"] = json!(entry.question);
        shown["content_type"] = json!(*entry.answer.content_type);
        shown["body"] = json!(String::from_utf8_lossy(&entry.answer.body));
    }
    Ok(Answer::ok(&shown))
}

/// `GET /api/v1/cache/NAME/entries`.
pub(super) async fn list(cache: Arc<Cache>, asked: &str) -> Result<Answer, Refusal> {
    const KNOWN: [&str; 7] = [
        "scope",
        "tenant",
        "route",
        "model",
        "namespace",
        "tag",
        "limit",
    ];
    let asked = query::parse(asked, &KNOWN, "tag")?;
    let one = |name: &str| asked.get(name).map(|values| values[0].clone());
    let limit = match one("limit") {
        None => SHOWN,
        Some(limit) => limit
            .parse()
            .ok()
            .filter(|limit| (1..=SHOWN).contains(limit))
            .ok_or_else(|| Refusal::at("limit", format!("must be from 1 to {SHOWN}")))?,
    };
    let tags = asked.get("tag").into_iter().flatten().map(|tag| {
        let (name, value) = tag.split_once('=').unwrap_or((tag, ""));
        (name.to_owned(), value.to_owned())
    });
    let what = Selector {
        scope: one("scope"),
        tenant: one("tenant"),
        route: one("route"),
        model: one("model"),
        namespace: one("namespace"),
        tags: tags.collect(),
        ..Selector::default()
    };
    let found = cache.count(what).await;
    let now = Instant::now();
    let some: Vec<_> = found
        .some
        .iter()
        .take(limit)
        .map(|entry| brief(entry, now))
        .collect();
    Ok(Answer::ok(
        &json!({ "entries": found.entries, "bytes": found.bytes, "shown": some }),
    ))
}

/// `DELETE /api/v1/cache/NAME/entries/ID`.
pub(super) async fn delete(
    cache: Arc<Cache>,
    id: &str,
    call: &Call<'_>,
) -> Result<Answer, Refusal> {
    cache.get_by_id(id).ok_or_else(|| none(&cache, id))?;
    let what = Selector {
        id: Some(id.to_owned()),
        ..Selector::default()
    };
    let name = cache.config().name.clone();
    let gone = cache
        .purge(what, Instant::now())
        .await
        .map_err(|why| not_durable(&why))?;
    let line = audit(call, &format!("cache entry {id} of {name} deleted"));
    Ok(Answer::ok(
        &json!({ "deleted": gone.entries > 0, "bytes": gone.bytes, "audit": line }),
    ))
}

fn none(cache: &Cache, id: &str) -> Refusal {
    Refusal::not_found(format!(
        "cache {:?} has no entry {id:?}",
        cache.config().name
    ))
}
