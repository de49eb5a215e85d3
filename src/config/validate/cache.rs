//! `caches`: who may get whose answers, for how long, and how alike a question must be.

mod semantic;

use std::time::Duration;

use regex::RegexBuilder;

use super::accept::check_name;
use super::section::{ANY_TIME, SOME_BYTES, SOME_TIME, Section};
use crate::config::model::{Cache, Pattern, Scope, SingleFlight, Store, TtlRule, TtlWhen};
use crate::config::raw::{
    OffOr, RawCache, RawConfig, RawExact, RawSingleFlight, RawStore, RawTtlRule,
};
use crate::config::units::Refusal;

const SCOPES: &[(&str, Scope)] = &[
    ("key", Scope::Key),
    ("tenant", Scope::Tenant),
    ("global", Scope::Global),
];

/// What a compiled pattern may take, in bytes: a pattern is run over every question.
const MOST_PATTERN: usize = 1 << 20;

pub(super) fn caches(mut s: Section<'_>, raw: &RawConfig) -> Vec<Cache> {
    let mut s = s.key("caches");
    let mut read = |(name, cache): &(String, Option<RawCache>)| {
        let mut s = s.key(name);
        if let Err(refusal) = check_name(name) {
            s.refuse_all(refusal.reason, &refusal.hint);
        }
        cache.as_ref().map(|cache| self::cache(s, name, cache, raw))
    };
    let caches = raw.caches.as_ref();
    caches
        .map(|caches| caches.0.iter().filter_map(&mut read).collect())
        .unwrap_or_default()
}

fn cache(mut s: Section<'_>, name: &str, raw: &RawCache, whole: &RawConfig) -> Cache {
    let (max_bytes, max_entry_bytes) = exact(
        s.key("exact"),
        raw.exact.as_ref().unwrap_or(&RawExact::default()),
    );
    let ttl_rules = raw.ttl_rules.iter().flatten().enumerate();
    Cache {
        name: name.to_owned(),
        scope: s.word("scope", raw.scope.as_ref(), SCOPES, Scope::Key),
        ttl: s.duration(
            "ttl",
            raw.ttl.as_ref(),
            SOME_TIME,
            Duration::from_secs(3600),
        ),
        ttl_rules: ttl_rules
            .filter_map(|(n, raw)| ttl_rule(s.key("ttl_rules").index(n), raw.as_ref()?))
            .collect(),
        stale_while_revalidate: s.duration(
            "stale_while_revalidate",
            raw.stale_while_revalidate.as_ref(),
            ANY_TIME,
            Duration::ZERO,
        ),
        stale_if_error: s.duration(
            "stale_if_error",
            raw.stale_if_error.as_ref(),
            ANY_TIME,
            Duration::ZERO,
        ),
        single_flight: single_flight(s.key("single_flight"), raw.single_flight.as_ref()),
        max_bytes,
        max_entry_bytes,
        store: match &raw.store {
            Some(OffOr::On(raw)) => store(s.key("store"), raw),
            Some(OffOr::Off) | None => None,
        },
        min_hit_ratio: s.float(
            "min_hit_ratio",
            raw.min_hit_ratio.as_ref(),
            |ratio| (0.0..=1.0).contains(&ratio),
            "must be between 0 and 1",
            0.15,
        ),
        semantic: match &raw.semantic {
            Some(OffOr::On(raw)) => {
                semantic::semantic(s.key("semantic"), raw, whole.pools.as_ref())
            }
            Some(OffOr::Off) | None => None,
        },
    }
}

fn exact(mut s: Section<'_>, raw: &RawExact) -> (u64, u64) {
    let max_bytes = s.size("max_bytes", raw.max_bytes.as_ref(), SOME_BYTES, 256 << 20);
    // A cache smaller than the default entry is no mistake: its entries are as large as it is.
    let max_entry = s.size(
        "max_entry",
        raw.max_entry.as_ref(),
        SOME_BYTES,
        (1 << 20).min(max_bytes),
    );
    if max_entry > max_bytes {
        s.refuse(
            "max_entry",
            raw.max_entry.as_ref(),
            "is larger than `max_bytes`",
            "one answer must fit the cache",
        );
    }
    (max_bytes, max_entry)
}

fn ttl_rule(mut s: Section<'_>, raw: &RawTtlRule) -> Option<TtlRule> {
    if raw.ttl.is_none() {
        s.missing("ttl", "such as 1m; 0s for not stored");
    }
    let ttl = s.duration("ttl", raw.ttl.as_ref(), ANY_TIME, Duration::ZERO);
    let word = s.word(
        "match",
        raw.matches.as_ref(),
        &[("volatile", Some(()))],
        None,
    );
    let pattern = s.read("pattern", raw.pattern.as_ref(), |text| {
        RegexBuilder::new(text)
            .size_limit(MOST_PATTERN)
            .build()
            .map_err(|error| Refusal::new(format!("is no regular expression: {error}"), ""))
    });
    let when = match (&raw.matches, &raw.pattern) {
        (Some(_), None) => word.map(|()| TtlWhen::Volatile),
        (None, Some(_)) => pattern.map(|pattern| TtlWhen::Pattern(Pattern(pattern))),
        (Some(_), Some(_)) | (None, None) => {
            s.refuse_all(
                "must have either `match` or `pattern`",
                "such as { match: volatile, ttl: 1m }",
            );
            None
        }
    };
    when.map(|when| TtlRule { when, ttl })
}

fn single_flight(mut s: Section<'_>, raw: Option<&OffOr<RawSingleFlight>>) -> SingleFlight {
    let on = RawSingleFlight::default();
    let raw = match raw {
        Some(OffOr::Off) => return SingleFlight::Off,
        Some(OffOr::On(raw)) => raw,
        None => &on,
    };
    SingleFlight::On {
        max_wait: s.duration(
            "max_wait",
            raw.max_wait.as_ref(),
            SOME_TIME,
            Duration::from_secs(30),
        ),
    }
}

fn store(mut s: Section<'_>, raw: &RawStore) -> Option<Store> {
    if raw.path.is_none() {
        s.missing("path", "such as /var/lib/tollgate/cache/answers.redb");
    }
    let path = s.path("path", raw.path.as_ref());
    let max_bytes = s.size("max_bytes", raw.max_bytes.as_ref(), SOME_BYTES, 4 << 30);
    Some(Store {
        path: path?,
        max_bytes,
    })
}
