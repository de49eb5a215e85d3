//! What a cache did for a request, as it is counted at the request's end.

use std::time::Instant;

use crate::config::model::Price;
use crate::llm::Usage;
use crate::metrics::events;
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
        let prices = &ctx.snapshot.config.prices;
        if !prices.is_empty() {
            let models = [&ctx.record.model, &ctx.record.response_model];
            match models
                .into_iter()
                .flatten()
                .find_map(|model| cost(prices, model, usage))
            {
                Some(usd) => events::cost_saved(usd),
                None => events::unpriced(),
            }
        }
    }
}

/// What tokens of a model cost, in USD; `None` where the file names no price.
fn cost(prices: &[Price], model: &str, usage: Usage) -> Option<f64> {
    let price = prices.iter().find(|price| price.model.is_match(model))?;
    let usd = |tokens: u64, price: f64| tokens as f64 * price / 1e6;
    Some(usd(usage.input_tokens, price.input) + usd(usage.output_tokens, price.output))
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
