//! `routes`: what goes where, and what is done on the way.

mod action;
mod answer;
mod header;
mod matches;
mod rewrite;
mod shadow;
mod target;

use std::collections::HashSet;

pub(super) use matches::glob;
pub(super) use target::url_path;

use super::range::ranges;
use super::section::{SOME_BYTES, SOME_TIME, Section};
use super::{known, limit, names};
use crate::config::model::{Action, Match, Mirror, Rewrite, Route, TimeoutOverrides};
use crate::config::raw::{Leaf, RawConfig, RawMirror, RawRoute, RawTimeouts};

pub(super) fn routes(mut s: Section<'_>, raw: &RawConfig) -> Vec<Route> {
    let pools = names(raw.pools.as_ref());
    let Some(list) = &raw.routes else {
        return match pools.as_slice() {
            [pool] => vec![route_to(pool)],
            [] => Vec::new(),
            pools => {
                s.missing(
                    "routes",
                    &format!(
                        "there are several pools ({}): say what goes where",
                        pools.join(", ")
                    ),
                );
                Vec::new()
            }
        };
    };
    let caches = names(raw.caches.as_ref());
    let mut s = s.key("routes");
    if list.is_empty() {
        s.refuse_all(
            "has no route, so every request is a 404",
            "leave it out to send all to the only pool",
        );
    }
    let mut seen = HashSet::new();
    let mut routes: Vec<(usize, Route)> = Vec::with_capacity(list.len());
    for (n, item) in list.iter().enumerate() {
        let mut s = s.index(n);
        let Some(item) = item else { continue };
        let route = route(&mut s, n, item, &pools, &caches);
        if !seen.insert(route.name.clone()) {
            s.refuse(
                "name",
                item.name.as_ref(),
                format!("another route is called `{}`", route.name),
                "",
            );
        }
        routes.push((n, route));
    }
    shadow::warn(&mut s, &routes);
    routes.into_iter().map(|(_, route)| route).collect()
}

fn route_to(pool: &str) -> Route {
    Route {
        name: "route-1".to_owned(),
        matches: Match::default(),
        allow: Vec::new(),
        deny: Vec::new(),
        action: Action::Pool(pool.to_owned()),
        rewrite: Rewrite::default(),
        cache: None,
        cache_ttl: None,
        unavailable: None,
        limits: Vec::new(),
        timeouts: TimeoutOverrides::default(),
        max_body: None,
        mirror: None,
    }
}

fn route(s: &mut Section<'_>, n: usize, raw: &RawRoute, pools: &[&str], caches: &[&str]) -> Route {
    let name = s
        .name("name", raw.name.as_ref())
        .unwrap_or_else(|| format!("route-{}", n + 1));
    let action = action::action(s, raw, pools);
    if action.pool().is_none() {
        action::only_with_a_pool(s, raw);
    }
    let mirror = raw.mirror.as_ref();
    let hour = std::time::Duration::from_secs(3600);
    let cache_ttl = s.duration("cache_ttl", raw.cache_ttl.as_ref(), SOME_TIME, hour);
    if raw.cache_ttl.is_some() && raw.cache.is_none() {
        s.refuse(
            "cache_ttl",
            raw.cache_ttl.as_ref(),
            "means nothing without a cache",
            "it needs `cache`",
        );
    }
    let max_body = s.size("max_body", raw.max_body.as_ref(), SOME_BYTES, 32 << 20);
    Route {
        name,
        matches: matches::matches(s.key("match"), raw.matches.as_ref()),
        allow: ranges(s, "allow", raw.allow.as_ref()),
        deny: ranges(s, "deny", raw.deny.as_ref()),
        rewrite: rewrite::rewrite(s.key("rewrite"), raw.rewrite.as_ref()),
        cache: s.read("cache", raw.cache.as_ref(), |text| {
            known(text, caches, "cache")
        }),
        cache_ttl: raw.cache_ttl.as_ref().map(|_| cache_ttl),
        unavailable: raw
            .unavailable
            .as_ref()
            .and_then(|raw| answer::unavailable(s.key("unavailable"), raw)),
        limits: limit::limits(s.here(), raw.limits.as_ref()),
        timeouts: raw
            .timeouts
            .as_ref()
            .map_or_else(TimeoutOverrides::default, |raw| {
                timeouts(s.key("timeouts"), raw)
            }),
        max_body: raw.max_body.as_ref().map(|_| max_body),
        mirror: mirror.and_then(|raw| self::mirror(s.key("mirror"), raw, pools)),
        action,
    }
}

fn timeouts(mut s: Section<'_>, raw: &RawTimeouts) -> TimeoutOverrides {
    let mut time = |key, leaf: Option<&Leaf>| {
        let time = s.duration(key, leaf, SOME_TIME, std::time::Duration::from_secs(1));
        leaf.map(|_| time)
    };
    TimeoutOverrides {
        connect: time("connect", raw.connect.as_ref()),
        first_byte: time("first_byte", raw.first_byte.as_ref()),
        between_chunks: time("between_chunks", raw.between_chunks.as_ref()),
        total: time("total", raw.total.as_ref()),
    }
}

fn mirror(mut s: Section<'_>, raw: &RawMirror, pools: &[&str]) -> Option<Mirror> {
    if raw.pool.is_none() {
        s.missing("pool", "the name of the pool that gets the copies");
    }
    let pool = s.read("pool", raw.pool.as_ref(), |text| known(text, pools, "pool"));
    let share = s.float(
        "share",
        raw.share.as_ref(),
        |share| share > 0.0 && share <= 1.0,
        "must be above 0 and at most 1",
        1.0,
    );
    pool.map(|pool| Mirror { pool, share })
}
