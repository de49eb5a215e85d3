//! What a cache did for a request, as it is counted at the request's end.

use std::time::Instant;

use crate::metrics::events;
use crate::proxy::cost::{cost, priced};
use crate::proxy::ctx::Ctx;

/// Counts what became of a request that a cache was asked for.
pub(in crate::proxy) fn tell(ctx: &Ctx, now: Instant) {
    let (Some(status), Some(route)) = (ctx.record.cache_status, &ctx.route) else {
        return;
    };
    let Some(name) = &route.cache else { return };
    let Some(cache) = ctx.snapshot.caches.get(name) else {
        return;
    };
    let tenant = ctx.client.as_ref().map(|client| client.tenant.as_str());
    events::cache_request(name, &route.name, tenant, kind(status));
    let hit = match status {
        "HIT" | "SEMANTIC_HIT" | "COALESCED" | "STALE" => true,
        "MISS" | "PARTIAL" => false,
        // It was not asked whether there was one.
        _ => return,
    };
    if let Some(low) = cache.note_lookup(hit, now) {
        log::warn!(
            "cache {name}: {:.1} % of the last {} lookups were hits, less than the {:.0} % of min_hit_ratio",
            100.0 * low.ratio,
            low.lookups,
            100.0 * cache.config().min_hit_ratio
        );
    }
    let whole = ctx.record.usage.filter(|_| hit);
    if let Some(usage) = ctx.record.saved.or(whole) {
        events::cache_saved(usage.total_tokens());
        if priced(ctx) {
            let record = &ctx.record;
            let models = [record.model.as_deref(), record.response_model.as_deref()];
            match cost(ctx, models, usage) {
                Some(usd) => events::cost_saved(usd),
                None => events::unpriced(),
            }
        }
    }
}

/// The word for metrics.
fn kind(status: &str) -> &'static str {
    match status {
        "HIT" => "exact",
        "SEMANTIC_HIT" => "semantic",
        "COALESCED" => "coalesced",
        "STALE" => "stale",
        "PARTIAL" => "partial",
        "MISS" => "miss",
        "REFRESH" => "refresh",
        "BYPASS" => "bypass",
        _ => "other",
    }
}
