//! Where a route ends, and what it must not say where that is no peer.

use super::answer;
use crate::config::model::Action;
use crate::config::raw::{Leaf, RawRoute};
use crate::config::validate::known;
use crate::config::validate::section::Section;

/// Exactly one of `pool`, `respond` and `redirect`.
pub(super) fn action(s: &mut Section<'_>, raw: &RawRoute, pools: &[&str]) -> Action {
    let pool = s.read("pool", raw.pool.as_ref(), |text| known(text, pools, "pool"));
    let respond = raw
        .respond
        .as_ref()
        .map(|raw| answer::respond(s.key("respond"), raw));
    let redirect = raw
        .redirect
        .as_ref()
        .map(|raw| answer::redirect(s.key("redirect"), raw));
    let given = [
        ("pool", raw.pool.is_some()),
        ("respond", raw.respond.is_some()),
        ("redirect", raw.redirect.is_some()),
    ];
    let given: Vec<&str> = given
        .into_iter()
        .filter_map(|(key, given)| given.then_some(key))
        .collect();
    match given.as_slice() {
        [] => s.missing("pool", "the name of a pool; or give respond or redirect"),
        [first, others @ ..] => {
            for other in others {
                let leaf: Option<&Leaf> = None;
                s.refuse(
                    other,
                    leaf,
                    format!("stands beside `{first}`"),
                    "give one of them",
                );
            }
        }
    }
    match (pool, respond, redirect) {
        (None, Some(respond), _) => Action::Respond(respond),
        (None, None, Some(Some(redirect))) => Action::Redirect(redirect),
        (pool, _, _) => Action::Pool(pool.unwrap_or_default()),
    }
}

/// What would be written in vain where no peer is asked.
pub(super) fn only_with_a_pool(s: &mut Section<'_>, raw: &RawRoute) {
    let rewrite = raw.rewrite.as_ref();
    let vain = [
        ("cache", raw.cache.is_some()),
        ("unavailable", raw.unavailable.is_some()),
        ("timeouts", raw.timeouts.is_some()),
        ("max_body", raw.max_body.is_some()),
        ("mirror", raw.mirror.is_some()),
    ];
    const REASON: &str = "means nothing where no peer is asked";
    for (key, _) in vain.into_iter().filter(|(_, given)| *given) {
        s.refuse(key, None, REASON, "it needs `pool`");
    }
    if let Some(rewrite) = rewrite {
        let mut s = s.key("rewrite");
        let vain = [
            ("path", rewrite.path.is_some()),
            ("request_headers", rewrite.request_headers.is_some()),
        ];
        for (key, _) in vain.into_iter().filter(|(_, given)| *given) {
            s.refuse(key, None, REASON, "it needs `pool`");
        }
    }
}
