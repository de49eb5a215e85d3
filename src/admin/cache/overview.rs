//! What the caches hold and how they do.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::admin::answer::Answer;
use crate::cache::store::State;
use crate::cache::{Cache, EmbedState};
use crate::metrics::totals;
use crate::state::Snapshot;

/// `GET /api/v1/cache`.
pub(super) fn all(snapshot: &Snapshot) -> Answer {
    let caches: BTreeMap<&str, Value> = snapshot
        .caches
        .iter()
        .map(|(name, cache)| (name.as_str(), of(cache)))
        .collect();
    Answer::ok(&json!({ "caches": caches }))
}

/// `GET /api/v1/cache/NAME`.
pub(in crate::admin) fn of(cache: &Cache) -> Value {
    let (stats, config) = (cache.stats(), cache.config());
    let requests = totals::cache_requests(&config.name);
    let mut view = json!({
        "scope": format!("{:?}", config.scope).to_lowercase(),
        "ttl_s": config.ttl.as_secs(),
        "entries": stats.entries,
        "bytes": stats.bytes,
        "max_bytes": stats.max_bytes,
        "hit_ratio": cache.hits().ratio(),
        "min_hit_ratio": config.min_hit_ratio,
        "lookups": cache.hits().counts().0,
        "requests": requests.all,
        "by_route": requests.by_route,
        "by_tenant": requests.by_tenant,
        "epochs": cache.epochs().list().into_iter().map(|(whose, epoch)| json!({ "whose": whose, "epoch": epoch })).collect::<Vec<_>>(),
    });
    if let Some(store) = &stats.store {
        view["store"] = json!({
            "state": store.state.name(),
            "error": match &store.state {
                State::Failed(why) => Some(why),
                _ => None,
            },
            "bytes": store.bytes,
            "max_bytes": store.max_bytes,
            "filled": store.filled,
            "waiting_bytes": store.waiting_bytes,
            "written": store.written,
            "lost": store.lost,
            "damaged": store.damaged,
        });
    }
    if config.semantic.is_some() {
        let index = stats.index.unwrap_or_default();
        view["vectors"] = json!(index.vectors);
        view["vectors_waiting"] = json!(index.waiting);
        view["vectors_lost"] = json!(index.lost);
        view["embedder"] = json!(match stats.embedder {
            Some(EmbedState::Ready) => "ready".to_owned(),
            Some(EmbedState::Loading) => "loading".to_owned(),
            Some(EmbedState::Failed(why)) => format!("failed: {why}"),
            None => "missing".to_owned(),
        });
    }
    view
}
