//! What has to fit across sections, and what works but is probably not meant.

mod edge;
mod route;

use std::collections::HashSet;
use std::path::Path;

use super::address;
use super::section::Section;
use crate::config::model::{Admin, Config, Limit, Scope};
use crate::config::nearest::nearest;
use crate::config::raw::{OffOr, RawConfig};

pub(super) fn check(mut s: Section<'_>, raw: &RawConfig, config: &Config) {
    admin(&mut s, raw, config);
    loops(&mut s, config);
    openness(&mut s, config);
    unused(&mut s, config);
    tiers(&mut s, config);
    queues(&mut s, config);
    stores(&mut s, raw, config);
    edge::check(&mut s, raw, config);
    route::check(&mut s, config);
}

fn admin(s: &mut Section<'_>, raw: &RawConfig, config: &Config) {
    let Some(Admin { address, token }) = &config.admin else {
        return;
    };
    let (admin, mut s) = (*address, s.key("admin"));
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
    if !admin.ip().is_loopback() && token.is_none() {
        s.warn(
            "address",
            format!(
                "{admin} is not loopback: whoever reaches it can reload, inspect and purge, without a key; set `token_file`"
            ),
        );
    }
}

/// Two caches cannot keep their answers in one file.
fn stores(s: &mut Section<'_>, raw: &RawConfig, config: &Config) {
    let mut caches = s.key("caches");
    let mut seen: Vec<(&Path, &str)> = Vec::new();
    for cache in &config.caches {
        let Some(store) = &cache.store else { continue };
        let first = seen.iter().find(|(path, _)| *path == store.path);
        if let Some((_, other)) = first {
            let mut raws = raw.caches.iter().flat_map(|caches| &caches.0);
            let leaf = raws
                .find(|(name, _)| *name == cache.name)
                .and_then(|(_, raw)| match &raw.as_ref()?.store {
                    Some(OffOr::On(store)) => store.path.as_ref(),
                    _ => None,
                });
            caches.key(&cache.name).key("store").refuse(
                "path",
                leaf,
                format!("is where `{other}` keeps its answers"),
                "each cache needs a file of its own",
            );
        }
        seen.push((&store.path, &cache.name));
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
