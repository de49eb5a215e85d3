//! Whether each route fits the pools and keys there are.

use crate::config::model::{Config, Route};
use crate::config::validate::exchange::longer;
use crate::config::validate::section::Section;

pub(super) fn check(s: &mut Section<'_>, config: &Config) {
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
