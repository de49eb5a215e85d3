//! Sums over series, for who asks in other words than Prometheus does.

use std::collections::BTreeMap;

use prometheus::core::Collector;

use super::names;

/// Requests of one cache, by where their answers came from.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Requests {
    /// Of all routes and tenants.
    pub all: BTreeMap<String, u64>,
    /// Of each route.
    pub by_route: BTreeMap<String, BTreeMap<String, u64>>,
    /// Of each tenant.
    pub by_tenant: BTreeMap<String, BTreeMap<String, u64>>,
}

/// Requests of the cache of this name since the start of the process.
#[must_use]
pub fn cache_requests(cache: &str) -> Requests {
    let mut requests = Requests::default();
    for family in names::CACHE_REQUESTS.collect() {
        for series in family.get_metric() {
            let label = |name: &str| {
                let labels = series.get_label().iter();
                let mut labels = labels.filter(|label| label.name() == name);
                labels.next().map_or("", |label| label.value()).to_owned()
            };
            if label("cache") != cache {
                continue;
            }
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a counter of whole requests"
            )]
            let count = series.get_counter().value() as u64;
            let routes = requests.by_route.entry(label("route")).or_default();
            let tenants = requests.by_tenant.entry(label("tenant")).or_default();
            for sums in [&mut requests.all, routes, tenants] {
                *sums.entry(label("kind")).or_default() += count;
            }
        }
    }
    requests
}

#[cfg(test)]
mod tests {
    use super::super::events;
    use super::*;

    #[test]
    fn sums_are_by_kind_route_and_tenant() {
        for (route, tenant, kind) in [
            ("r1", Some("t1"), "exact"),
            ("r1", None, "miss"),
            ("r2", Some("t1"), "exact"),
        ] {
            events::cache_request("summed", route, tenant, kind);
        }
        events::cache_request("another", "r1", None, "exact");
        let sums = cache_requests("summed");
        assert_eq!((sums.all["exact"], sums.all["miss"]), (2, 1));
        assert_eq!(sums.by_route["r1"].len(), 2);
        assert_eq!(sums.by_tenant["t1"]["exact"], 2);
        assert_eq!(cache_requests("none"), Requests::default());
    }
}
