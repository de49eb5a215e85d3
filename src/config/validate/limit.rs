//! `limits` and `tiers`.

use super::accept::check_name;
use super::section::Section;
use crate::config::model::{Dimension, Limit, Priority, Tier};
use crate::config::raw::{List, Named, RawLimit, RawTier};

const DIMENSIONS: &[(&str, Dimension)] = &[("key", Dimension::Key), ("tenant", Dimension::Tenant)];
const PRIORITIES: &[(&str, Priority)] = &[
    ("high", Priority::High),
    ("normal", Priority::Normal),
    ("low", Priority::Low),
];

pub(super) fn limits(mut s: Section<'_>, raw: Option<&List<RawLimit>>) -> Vec<Limit> {
    let mut s = s.key("limits");
    let mut limits = Vec::new();
    for (n, raw) in raw.into_iter().flatten().enumerate() {
        if let Some(raw) = raw {
            limits.push(limit(s.index(n), raw));
        }
    }
    limits
}

fn limit(mut s: Section<'_>, raw: &RawLimit) -> Limit {
    if raw.per.is_none() {
        s.missing("per", "key or tenant");
    }
    if raw.requests.is_none() && raw.tokens.is_none() && raw.concurrency.is_none() {
        s.refuse_all("limits nothing", "give requests, tokens or concurrency");
    }
    Limit {
        per: s.word("per", raw.per.as_ref(), DIMENSIONS, Dimension::Key),
        tier: s.name("tier", raw.tier.as_ref()),
        requests: s.rate("requests", raw.requests.as_ref()),
        tokens: s.rate("tokens", raw.tokens.as_ref()),
        concurrency: s.cap("concurrency", raw.concurrency.as_ref()),
    }
}

pub(super) fn tiers(mut s: Section<'_>, raw: Option<&Named<RawTier>>) -> Vec<Tier> {
    let mut s = s.key("tiers");
    let mut tiers = Vec::new();
    for (name, raw) in raw.map(|raw| raw.0.as_slice()).unwrap_or_default() {
        let mut s = s.key(name);
        if let Err(refusal) = check_name(name) {
            s.refuse_all(refusal.reason, &refusal.hint);
        }
        let Some(raw) = raw else { continue };
        if raw.priority.is_none() {
            s.missing("priority", "high, normal or low");
        }
        let priority = s.word(
            "priority",
            raw.priority.as_ref(),
            PRIORITIES,
            Priority::Normal,
        );
        tiers.push(Tier {
            name: name.clone(),
            priority,
        });
    }
    tiers
}
