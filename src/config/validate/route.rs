//! `routes`: what goes where, and which of them nothing can reach.

use std::collections::HashSet;

use globset::{Glob, GlobBuilder, GlobMatcher};

use super::section::Section;
use super::{known, names};
use crate::config::model::Route;
use crate::config::raw::{RawConfig, RawMatch, RawRoute};
use crate::config::units::Refusal;

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
        let route = route(&mut s, n, item, &pools, &names(raw.caches.as_ref()));
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
    warn_of_shadowed(&mut s, &routes);
    routes.into_iter().map(|(_, route)| route).collect()
}

fn route_to(pool: &str) -> Route {
    Route {
        name: "route-1".to_owned(),
        path: None,
        model: None,
        pool: pool.to_owned(),
        cache: None,
    }
}

fn route(s: &mut Section<'_>, n: usize, raw: &RawRoute, pools: &[&str], caches: &[&str]) -> Route {
    let name = s
        .name("name", raw.name.as_ref())
        .unwrap_or_else(|| format!("route-{}", n + 1));
    if raw.pool.is_none() {
        s.missing("pool", "the name of a pool");
    }
    let pool = s.read("pool", raw.pool.as_ref(), |text| known(text, pools, "pool"));
    let cache = s.read("cache", raw.cache.as_ref(), |text| {
        known(text, caches, "cache")
    });
    let none = RawMatch::default();
    let raw = raw.matches.as_ref().unwrap_or(&none);
    let mut s = s.key("match");
    let path = s.read("path", raw.path.as_ref(), |text| {
        match text.starts_with(['/', '*', '{', '[', '?']) {
            true => glob(text),
            false => Err(Refusal::new(
                "must begin with / or a wildcard",
                format!("write /{text}"),
            )),
        }
    });
    let model = s.read("model", raw.model.as_ref(), glob);
    Route {
        name,
        path,
        model,
        pool: pool.unwrap_or_default(),
        cache,
    }
}

/// `*` crosses `/`: `/v1/*` is everything under it.
fn glob(text: &str) -> Result<GlobMatcher, Refusal> {
    if text.is_empty() {
        return Err(Refusal::new(
            "is empty",
            "write \"*\" or leave it out to match all",
        ));
    }
    let built = GlobBuilder::new(text)
        .literal_separator(false)
        .backslash_escape(true)
        .build();
    built.map(|glob| glob.compile_matcher()).map_err(|error| {
        Refusal::new(
            format!("is not a pattern: {}", error.kind()),
            "* any text, ? one character, [ab] one of, {a,b} either",
        )
    })
}

/// A path to ask for.
pub(super) fn url_path(text: &str) -> Result<String, Refusal> {
    let clean = text.bytes().all(|b| b.is_ascii_graphic() && b != b'#');
    match text.starts_with('/') {
        true if clean => Ok(text.to_owned()),
        true => Err(Refusal::new(
            "has characters that a URL path cannot have",
            "write them as %XX",
        )),
        false => Err(Refusal::new("must begin with /", "such as /health")),
    }
}

fn warn_of_shadowed(s: &mut Section<'_>, routes: &[(usize, Route)]) {
    for (at, (n, later)) in routes.iter().enumerate() {
        let shadow = routes[..at]
            .iter()
            .find(|(_, earlier)| covers(earlier, later));
        if let Some((m, _)) = shadow {
            let at = s.at.index(*n);
            s.report.warn(
                &at,
                format!("is never reached: routes[{m}] takes all that it matches"),
            );
        }
    }
}

/// Whether all that `b` matches is surely matched by `a`. May say no where the answer is yes.
fn covers(a: &Route, b: &Route) -> bool {
    // A path is always there; a model is not, so `*` takes less than no pattern at all.
    let path = a.path.as_ref().is_none_or(|a| match &b.path {
        Some(b) => includes(a, b.glob()),
        None => only_stars(a.glob().glob()),
    });
    let model = a
        .model
        .as_ref()
        .is_none_or(|a| b.model.as_ref().is_some_and(|b| includes(a, b.glob())));
    path && model
}

fn includes(a: &GlobMatcher, b: &Glob) -> bool {
    let (text, other) = (a.glob().glob(), b.glob());
    let special = |c: char| "*?[]{}\\!".contains(c);
    if text == other || (!other.contains(special) && a.is_match(other)) {
        return true;
    }
    let head = &other[..other.find(special).unwrap_or(other.len())];
    text.strip_suffix('*')
        .is_some_and(|prefix| !prefix.contains(special) && head.starts_with(prefix))
}

fn only_stars(text: &str) -> bool {
    text.bytes().all(|b| b == b'*')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn covered(a: &str, b: &str) -> bool {
        includes(&glob(a).unwrap(), glob(b).unwrap().glob())
    }

    #[test]
    fn a_wider_pattern_covers_a_narrower_one() {
        assert!(
            covered("/v1/*", "/v1/chat/*")
                && covered("*", "/v1/{a,b}")
                && covered("/v?/x", "/v1/x")
        );
        assert!(
            !covered("/v1/chat/*", "/v1/*") && !covered("/v1/*", "/v[12]/*") && !covered("a", "b")
        );
    }

    #[test]
    fn a_star_crosses_slashes() {
        let path = glob("/v1/*").unwrap();
        assert!(
            path.is_match("/v1/chat/completions")
                && path.is_match("/v1/")
                && !path.is_match("/v2/chat")
        );
    }

    #[test]
    fn a_bad_pattern_is_refused_not_guessed() {
        assert!(glob("a[").is_err() && glob("{a").is_err() && glob("").is_err());
    }

    proptest! {
        #[test]
        fn what_is_called_covered_is_covered(a in "[/ab*?]{1,5}", b in "[/ab*?]{1,5}", text in "[/ab]{0,8}") {
            let inner = glob(&b).unwrap();
            if covered(&a, &b) && inner.is_match(&text) {
                prop_assert!(glob(&a).unwrap().is_match(&text), "{a} {b} {text}");
            }
        }
    }
}
