//! `caches`: who may get whose answers, for how long, and how alike a question must be.

use std::time::Duration;

use super::accept::check_name;
use super::section::{SOME_BYTES, SOME_TIME, Section};
use crate::config::model::{Cache, Embedder, Scope, Semantic};
use crate::config::raw::{Named, OffOr, RawCache, RawEmbedder, RawExact, RawSemantic};

const SCOPES: &[(&str, Scope)] = &[
    ("key", Scope::Key),
    ("tenant", Scope::Tenant),
    ("global", Scope::Global),
];

pub(super) fn caches(mut s: Section<'_>, raw: Option<&Named<RawCache>>) -> Vec<Cache> {
    let mut s = s.key("caches");
    let mut read = |(name, raw): &(String, Option<RawCache>)| {
        let mut s = s.key(name);
        if let Err(refusal) = check_name(name) {
            s.refuse_all(refusal.reason, &refusal.hint);
        }
        raw.as_ref().map(|raw| cache(s, name, raw))
    };
    raw.map(|raw| raw.0.iter().filter_map(&mut read).collect())
        .unwrap_or_default()
}

fn cache(mut s: Section<'_>, name: &str, raw: &RawCache) -> Cache {
    let (max_bytes, max_entry_bytes) = exact(
        s.key("exact"),
        raw.exact.as_ref().unwrap_or(&RawExact::default()),
    );
    Cache {
        name: name.to_owned(),
        scope: s.word("scope", raw.scope.as_ref(), SCOPES, Scope::Key),
        ttl: s.duration(
            "ttl",
            raw.ttl.as_ref(),
            SOME_TIME,
            Duration::from_secs(3600),
        ),
        max_bytes,
        max_entry_bytes,
        semantic: match &raw.semantic {
            Some(OffOr::On(raw)) => semantic(s.key("semantic"), raw),
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

fn semantic(mut s: Section<'_>, raw: &RawSemantic) -> Option<Semantic> {
    let unit = |number: f64| (0.0..=1.0).contains(&number);
    let threshold = s.float(
        "threshold",
        raw.threshold.as_ref(),
        unit,
        "must be between 0 and 1",
        0.95,
    );
    let warm = |number: f64| (0.0..=100.0).contains(&number);
    let max_entries = s.integer(
        "max_entries",
        raw.max_entries.as_ref(),
        1..=100_000_000,
        100_000,
    );
    let deadline = s.duration(
        "deadline",
        raw.deadline.as_ref(),
        SOME_TIME,
        Duration::from_millis(50),
    );
    let max_temperature = s.float(
        "max_temperature",
        raw.max_temperature.as_ref(),
        warm,
        "must be between 0 and 100",
        1.0,
    );
    if threshold < 0.7 && raw.threshold.is_some() {
        s.warn(
            "threshold",
            format!("{threshold} serves answers to questions that are hardly alike"),
        );
    }
    match &raw.embedder {
        Some(raw) => {
            let embedder = embedder(s.key("embedder"), raw)?;
            Some(Semantic {
                threshold: threshold as f32,
                max_entries,
                deadline,
                max_temperature,
                embedder,
            })
        }
        None => {
            s.missing(
                "embedder",
                "such as { model: all-MiniLM-L6-v2, path: models/all-MiniLM-L6-v2 }",
            );
            None
        }
    }
}

fn embedder(mut s: Section<'_>, raw: &RawEmbedder) -> Option<Embedder> {
    if raw.model.is_none() {
        s.missing("model", "such as all-MiniLM-L6-v2");
    }
    if raw.path.is_none() {
        s.missing("path", "the directory with model.onnx and tokenizer.json");
    }
    let model = s.name("model", raw.model.as_ref());
    let path = s.path("path", raw.path.as_ref());
    let library = s.path("library", raw.library.as_ref());
    let threads = s.integer("threads", raw.threads.as_ref(), 1..=256, 1);
    Some(Embedder {
        model: model?,
        path: path?,
        library,
        threads,
        pooling: None,
        prefix: None,
        cache_bytes: 64 << 20,
    })
}
