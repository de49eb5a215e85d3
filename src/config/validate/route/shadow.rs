//! Routes that nothing can reach, because an earlier one takes all that they match.

use globset::{Glob, GlobMatcher};

use crate::config::model::{HeaderMatch, HostPattern, Match, Route};
use crate::config::validate::section::Section;

pub(super) fn warn(s: &mut Section<'_>, routes: &[(usize, Route)]) {
    for (at, (n, later)) in routes.iter().enumerate() {
        let shadow = routes[..at]
            .iter()
            .find(|(_, earlier)| covers(&earlier.matches, &later.matches));
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
fn covers(a: &Match, b: &Match) -> bool {
    // A path is always there; a model is not, so `*` takes less than no pattern at all.
    let path = a.path.as_ref().is_none_or(|a| match &b.path {
        Some(b) => includes(a, b.glob()),
        None => only_stars(a.glob().glob()),
    });
    let hosts = a.hosts.is_empty()
        || (!b.hosts.is_empty()
            && b.hosts
                .iter()
                .all(|b| a.hosts.iter().any(|a| host_covers(a, b))));
    let methods = a.methods.is_empty()
        || (!b.methods.is_empty() && b.methods.iter().all(|method| a.methods.contains(method)));
    let headers = a
        .headers
        .iter()
        .all(|a| b.headers.iter().any(|b| header_covers(a, b)));
    path && hosts
        && methods
        && headers
        && optional(&a.model, &b.model)
        && optional(&a.tenant, &b.tenant)
}

fn optional(a: &Option<GlobMatcher>, b: &Option<GlobMatcher>) -> bool {
    a.as_ref()
        .is_none_or(|a| b.as_ref().is_some_and(|b| includes(a, b.glob())))
}

fn host_covers(a: &HostPattern, b: &HostPattern) -> bool {
    match (a, b) {
        (HostPattern::Under(suffix), HostPattern::Exact(name) | HostPattern::Under(name)) => {
            a == b
                || name
                    .strip_suffix(suffix.as_str())
                    .is_some_and(|above| above.ends_with('.'))
        }
        (HostPattern::Exact(_), _) => a == b,
    }
}

fn header_covers(a: &HeaderMatch, b: &HeaderMatch) -> bool {
    let same = a.name == b.name && a.negated == b.negated;
    same && match a.negated {
        false => includes(&a.value, b.value.glob()),
        true => includes(&b.value, a.value.glob()),
    }
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

    use super::super::matches::glob;
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
    fn hosts_and_headers_are_compared_as_they_match() {
        let under = |name: &str| HostPattern::Under(name.to_owned());
        let exact = |name: &str| HostPattern::Exact(name.to_owned());
        assert!(
            host_covers(&under("b.c"), &exact("a.b.c"))
                && host_covers(&under("b.c"), &under("a.b.c"))
        );
        assert!(
            !host_covers(&under("b.c"), &exact("b.c"))
                && !host_covers(&under("b.c"), &exact("ab.c"))
        );
        assert!(!host_covers(&exact("a.b.c"), &under("b.c")));
        let header = |value: &str, negated| HeaderMatch {
            name: http::HeaderName::from_static("x-a"),
            value: glob(value).unwrap(),
            negated,
        };
        assert!(header_covers(&header("*", false), &header("b", false)));
        assert!(header_covers(&header("b", true), &header("*", true)));
        assert!(!header_covers(&header("*", true), &header("b", true)));
        assert!(!header_covers(&header("*", false), &header("b", true)));
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
