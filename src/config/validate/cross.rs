//! What has to fit across sections, and what works but is probably not meant.

use std::collections::HashSet;

use super::address;
use super::exchange::longer;
use super::section::Section;
use crate::config::model::{Config, Limit, Route, Scope};
use crate::config::nearest::nearest;
use crate::config::raw::RawConfig;

pub(super) fn check(mut s: Section<'_>, raw: &RawConfig, config: &Config) {
    admin(&mut s, raw, config);
    loops(&mut s, config);
    openness(&mut s, config);
    unused(&mut s, config);
    tiers(&mut s, config);
    queues(&mut s, config);
    edge(&mut s, raw, config);
    routes(&mut s, config);
}

fn admin(s: &mut Section<'_>, raw: &RawConfig, config: &Config) {
    let Some(admin) = config.admin else { return };
    let mut s = s.key("admin");
    if let Some(other) = config
        .listen
        .iter()
        .find(|other| address::collide(other.address, admin))
    {
        let leaf = raw.admin.as_ref().and_then(|admin| admin.address.as_ref());
        s.refuse(
            "address",
            leaf,
            format!("collides with listen address {}", other.address),
            "use another port",
        );
    }
    if !admin.ip().is_loopback() {
        s.warn(
            "address",
            format!(
                "{admin} is not loopback: whoever reaches it can reload and inspect, without a key"
            ),
        );
    }
}

/// A request that comes in again would go round until it times out.
fn loops(s: &mut Section<'_>, config: &Config) {
    let mut pools = s.key("pools");
    for pool in &config.pools {
        let mut s = pools.key(&pool.name);
        for peer in &pool.peers {
            if config
                .listen
                .iter()
                .any(|own| address::reaches(&peer.host, peer.port, own.address))
            {
                let reason = format!(
                    "{}:{} is an address that Tollgate itself listens on",
                    peer.host, peer.port
                );
                s.refuse("peers", None, reason, "requests would go in circles");
            }
        }
    }
}

fn openness(s: &mut Section<'_>, config: &Config) {
    if config.keys.is_some() {
        return;
    }
    s.warn(
        "keys",
        "absent: no key is asked for, whoever can connect is served",
    );
    for cache in config
        .caches
        .iter()
        .filter(|cache| cache.scope != Scope::Global)
    {
        let scope = if cache.scope == Scope::Key {
            "key"
        } else {
            "tenant"
        };
        s.key("caches").key(&cache.name).warn(
            "scope",
            format!("{scope} without `keys`: all clients are one, and share answers"),
        );
    }
    each_limit(s, config, |s, limit| {
        if limit.tier.is_some() {
            s.warn(
                "tier",
                "without `keys` nobody has a tier, so this limits nobody",
            );
        }
    });
}

/// Goes through the limits of the file and of its routes.
fn each_limit(
    s: &mut Section<'_>,
    config: &Config,
    mut look: impl FnMut(&mut Section<'_>, &Limit),
) {
    for (n, limit) in config.limits.iter().enumerate() {
        look(&mut s.key("limits").index(n), limit);
    }
    for (m, route) in config.routes.iter().enumerate() {
        for (n, limit) in route.limits.iter().enumerate() {
            look(&mut s.key("routes").index(m).key("limits").index(n), limit);
        }
    }
}

fn unused(s: &mut Section<'_>, config: &Config) {
    let pools: HashSet<&str> = config
        .routes
        .iter()
        .flat_map(|route| {
            let mirror = route.mirror.as_ref().map(|mirror| mirror.pool.as_str());
            route.action.pool().into_iter().chain(mirror)
        })
        .collect();
    for pool in config
        .pools
        .iter()
        .filter(|pool| !pools.contains(pool.name.as_str()))
    {
        s.key("pools").warn(&pool.name, "no route leads to it");
    }
    let caches: HashSet<&str> = config
        .routes
        .iter()
        .filter_map(|route| route.cache.as_deref())
        .collect();
    for cache in config
        .caches
        .iter()
        .filter(|cache| !caches.contains(cache.name.as_str()))
    {
        s.key("caches").warn(
            &cache.name,
            "no route uses it: write `cache: NAME` in a route",
        );
    }
}

/// A tier may be any word, so a slip in one is only seen by its being alone.
fn tiers(s: &mut Section<'_>, config: &Config) {
    let Some(keys) = &config.keys else { return };
    let held: HashSet<&str> = keys.iter().filter_map(|key| key.tier.as_deref()).collect();
    let mut meant: Vec<&str> = config.tiers.iter().map(|tier| tier.name.as_str()).collect();
    meant.extend(
        config
            .limits
            .iter()
            .chain(config.routes.iter().flat_map(|route| &route.limits))
            .filter_map(|limit| limit.tier.as_deref()),
    );
    let mut list = s.key("keys");
    for (n, key) in keys.iter().enumerate() {
        let Some(tier) = key.tier.as_deref().filter(|tier| !meant.contains(tier)) else {
            continue;
        };
        let hint = nearest(tier, &meant)
            .map(|near| format!(" (did you mean `{near}`?)"))
            .unwrap_or_default();
        list.index(n).warn(
            "tier",
            format!("neither `tiers` nor `limits` names `{tier}`, so it means nothing{hint}"),
        );
    }
    each_limit(s, config, |s, limit| {
        if let Some(tier) = limit.tier.as_deref().filter(|tier| !held.contains(tier)) {
            let text = format!("no key has the tier `{tier}`, so this limits nobody");
            s.warn("tier", text);
        }
    });
}

fn queues(s: &mut Section<'_>, config: &Config) {
    let mut pools = s.key("pools");
    for pool in config
        .pools
        .iter()
        .filter(|pool| pool.queue.max_requests > 0)
    {
        if pool.queue.max_bytes < config.max_body {
            let text = "is smaller than `max_body`: the largest requests can never wait";
            pools.key(&pool.name).key("queue").warn("max_bytes", text);
        }
    }
}

fn edge(s: &mut Section<'_>, raw: &RawConfig, config: &Config) {
    for (n, raw) in raw.listen.iter().flatten().enumerate() {
        let Some(switch) = raw.as_ref().and_then(|raw| raw.proxy_protocol.as_ref()) else {
            continue;
        };
        let is_on = matches!(switch.text().as_deref(), Some("on" | "true"));
        if is_on && config.client.trusted_proxies.is_empty() {
            s.key("listen").index(n).refuse(
                "proxy_protocol",
                Some(switch),
                "nobody's PROXY header is believed",
                "write the proxies' addresses into client.trusted_proxies",
            );
        }
    }
    let client = &config.client;
    if client
        .max_connections_per_address
        .is_some_and(|cap| cap > client.max_connections)
    {
        let given = raw.client.as_ref();
        let given = given.and_then(|raw| raw.max_connections_per_address.as_ref());
        if given.is_some() {
            let text = "is above `max_connections`, so it never says anything";
            s.key("client").warn("max_connections_per_address", text);
        }
    }
}

fn routes(s: &mut Section<'_>, config: &Config) {
    let mut list = s.key("routes");
    for (n, route) in config.routes.iter().enumerate() {
        let mut s = list.index(n);
        tenant(&mut s.key("match"), route, config);
        let Some(pool) = route.action.pool() else {
            continue;
        };
        if route
            .mirror
            .as_ref()
            .is_some_and(|mirror| mirror.pool == pool)
        {
            s.key("mirror")
                .warn("pool", "is the route's own pool: its peers get both");
        }
        let Some(pool) = config.pools.iter().find(|known| known.name == pool) else {
            continue;
        };
        let own = &route.timeouts;
        let total = own.over(pool.timeouts).total;
        let parts = [
            ("connect", own.connect),
            ("first_byte", own.first_byte),
            ("between_chunks", own.between_chunks),
        ];
        for (key, time) in parts {
            if let Some(time) = time.filter(|time| *time > total) {
                s.key("timeouts").warn(key, longer(time, "total", total));
            }
        }
    }
}

fn tenant(s: &mut Section<'_>, route: &Route, config: &Config) {
    let Some(glob) = &route.matches.tenant else {
        return;
    };
    match &config.keys {
        None => s.warn(
            "tenant",
            "without `keys` nobody has a tenant, so it is never reached",
        ),
        Some(keys) if !keys.iter().any(|key| glob.is_match(&key.tenant)) => {
            let text = format!(
                "no key has a tenant like `{}`, so it is never reached",
                glob.glob()
            );
            s.warn("tenant", text);
        }
        Some(_) => {}
    }
}
