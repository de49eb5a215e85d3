//! `semantic`: which questions count as the same, and the models that say so.

use std::time::Duration;

use crate::config::model::{Decision, Embedder, Judge, Pooling, Reranker, Semantic, SemanticMode};
use crate::config::raw::{Named, RawEmbedder, RawJudge, RawPool, RawReranker, RawSemantic};
use crate::config::validate::section::{SOME_TIME, Section};
use crate::config::validate::{known, names};

const MODES: &[(&str, Option<SemanticMode>)] = &[
    ("serve", Some(SemanticMode::Serve)),
    ("shadow", Some(SemanticMode::Shadow)),
    ("off", None),
];

const POOLINGS: &[(&str, Option<Pooling>)] = &[
    ("auto", None),
    ("mean", Some(Pooling::Mean)),
    ("cls", Some(Pooling::Cls)),
    ("last_token", Some(Pooling::LastToken)),
];

/// Threshold below which questions are hardly alike.
const LOW: f64 = 0.7;

/// Share of the answers served by meaning that is checked upstream.
const EXPLORE: f64 = 0.05;

pub(super) fn semantic(
    mut s: Section<'_>,
    raw: &RawSemantic,
    pools: Option<&Named<RawPool>>,
) -> Option<Semantic> {
    let mode = s.word("mode", raw.mode.as_ref(), MODES, Some(SemanticMode::Serve));
    let decision = decision(&mut s, raw);
    let guard = s.switch("guard", raw.guard.as_ref(), true);
    let min_words = s.integer("min_words", raw.min_words.as_ref(), 1..=100, 3);
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
        |number| (0.0..=100.0).contains(&number),
        "must be between 0 and 100",
        1.0,
    );
    let reranker = raw
        .reranker
        .as_ref()
        .and_then(|raw| reranker(s.key("reranker"), raw));
    let judge = raw
        .judge
        .as_ref()
        .and_then(|raw| judge(s.key("judge"), raw, pools));
    let Some(raw) = &raw.embedder else {
        s.missing(
            "embedder",
            "such as { model: all-MiniLM-L6-v2, path: models/all-MiniLM-L6-v2 }",
        );
        return None;
    };
    let embedder = embedder(s.key("embedder"), raw)?;
    Some(Semantic {
        mode: mode?,
        decision,
        guard,
        min_words,
        max_entries,
        deadline,
        max_temperature,
        embedder,
        reranker,
        judge,
    })
}

fn unit(number: f64) -> bool {
    (0.0..=1.0).contains(&number)
}

fn decision(s: &mut Section<'_>, raw: &RawSemantic) -> Decision {
    let threshold = s.float(
        "threshold",
        raw.threshold.as_ref(),
        unit,
        "must be between 0 and 1",
        0.95,
    );
    let max_error_rate = s.float(
        "max_error_rate",
        raw.max_error_rate.as_ref(),
        |rate| rate > 0.0 && rate < 1.0,
        "must be above 0 and below 1",
        0.02,
    );
    let explore = s.float(
        "explore",
        raw.explore.as_ref(),
        unit,
        "must be between 0 and 1",
        EXPLORE,
    );
    if raw.max_error_rate.is_some() {
        if raw.threshold.is_some() {
            s.refuse(
                "threshold",
                raw.threshold.as_ref(),
                "stands beside `max_error_rate`",
                "with a promise the threshold is learnt: leave one of them out",
            );
        }
        if explore == 0.0 {
            s.warn(
                "explore",
                "0 checks nothing that is served, so a rise of the errors goes unseen",
            );
        }
        return Decision::Verified {
            max_error_rate,
            explore,
        };
    }
    if raw.explore.is_some() {
        s.refuse(
            "explore",
            raw.explore.as_ref(),
            "means nothing with a fixed threshold",
            "it needs `max_error_rate`",
        );
    }
    if threshold < LOW && raw.threshold.is_some() {
        s.warn(
            "threshold",
            format!("{threshold} serves answers to questions that are hardly alike"),
        );
    }
    Decision::Threshold(threshold as f32)
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
    let pooling = s.word("pooling", raw.pooling.as_ref(), POOLINGS, None);
    let prefix = s.verbatim("prefix", raw.prefix.as_ref());
    let cache_bytes = s.size("cache", raw.cache.as_ref(), 0..=1 << 40, 64 << 20);
    Some(Embedder {
        model: model?,
        path: path?,
        library,
        threads,
        pooling,
        prefix,
        cache_bytes,
    })
}

fn reranker(mut s: Section<'_>, raw: &RawReranker) -> Option<Reranker> {
    if raw.path.is_none() {
        s.missing("path", "the directory with model.onnx and tokenizer.json");
    }
    let path = s.path("path", raw.path.as_ref());
    let reason = "must be between 0 and 1";
    let above = s.float("above", raw.above.as_ref(), unit, reason, 0.80);
    let below = s.float("below", raw.below.as_ref(), unit, reason, 0.95);
    let accept = s.float("accept", raw.accept.as_ref(), unit, reason, 0.5);
    if above > below {
        s.refuse(
            "above",
            raw.above.as_ref(),
            format!("is more than `below`, which is {below}"),
            "the band of similarities goes from `above` to `below`",
        );
    }
    Some(Reranker {
        path: path?,
        band: (above as f32, below as f32),
        accept: accept as f32,
    })
}

fn judge(mut s: Section<'_>, raw: &RawJudge, pools: Option<&Named<RawPool>>) -> Option<Judge> {
    if raw.pool.is_none() {
        s.missing("pool", "the name of the pool that is asked");
    }
    if raw.model.is_none() {
        s.missing("model", "the model that is asked");
    }
    let pools = names(pools);
    let pool = s.read("pool", raw.pool.as_ref(), |text| {
        known(text, &pools, "pool")
    });
    let model = s.name("model", raw.model.as_ref());
    Some(Judge {
        pool: pool?,
        model: model?,
    })
}
