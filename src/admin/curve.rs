//! `GET /api/v1/cache/{name}/curve`: precision against hit ratio, as far as it is known.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::cache::Cache;
use crate::cache::verify::{Report, cut::Region};

/// What a cache has learnt of serving by meaning.
pub(super) fn of(cache: &Cache) -> Value {
    let scopes: Vec<Value> = cache.calibration().iter().map(scope).collect();
    json!({ "scopes": scopes })
}

fn scope(report: &Report) -> Value {
    json!({
        "scope": report.ground,
        "class": report.class,
        "route": report.route,
        "serving": report.open,
        "labels": report.labels,
        "alarms": report.alarms,
        "serve": report.serve.as_ref().map(point),
        "area": report.area(),
        "curve": report.curve.iter().map(point).collect::<Vec<_>>(),
    })
}

fn point(region: &Region) -> Value {
    json!({
        "hit_ratio": region.share,
        "precision": 1.0 - region.error,
        "precision_bound": 1.0 - region.bound,
        "labels": region.labels,
    })
}

/// The worst estimated precision of each route's scopes that have a region to serve.
pub(super) fn precision(cache: &Cache) -> BTreeMap<String, f64> {
    let mut routes = BTreeMap::new();
    for report in cache.calibration() {
        if let (Some(region), None) = (report.serve, &report.class) {
            let worst = routes.entry(report.route).or_insert(1.0_f64);
            *worst = worst.min(1.0 - region.error);
        }
    }
    routes
}
