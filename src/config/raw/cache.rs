//! `caches` as written.

use serde::Deserialize;
#[cfg(test)]
use serde::Serialize;

use super::{Leaf, List, OffOr};

#[derive(Debug, Default, Deserialize)]
#[cfg_attr(test, derive(Serialize))]
#[serde(deny_unknown_fields, expecting = "a mapping such as `{ ttl: 1h }`")]
pub(in crate::config) struct RawCache {
    pub scope: Option<Leaf>,
    pub ttl: Option<Leaf>,
    pub ttl_rules: Option<List<RawTtlRule>>,
    pub stale_while_revalidate: Option<Leaf>,
    pub stale_if_error: Option<Leaf>,
    pub single_flight: Option<OffOr<RawSingleFlight>>,
    pub exact: Option<RawExact>,
    pub store: Option<OffOr<RawStore>>,
    pub min_hit_ratio: Option<Leaf>,
    pub semantic: Option<OffOr<RawSemantic>>,
}

#[derive(Debug, Default, Deserialize)]
#[cfg_attr(test, derive(Serialize))]
#[serde(
    deny_unknown_fields,
    expecting = "a mapping such as `{ match: volatile, ttl: 1m }`"
)]
pub(in crate::config) struct RawTtlRule {
    #[serde(rename = "match")]
    pub matches: Option<Leaf>,
    pub pattern: Option<Leaf>,
    pub ttl: Option<Leaf>,
}

#[derive(Debug, Default, Deserialize)]
#[cfg_attr(test, derive(Serialize))]
#[serde(
    deny_unknown_fields,
    expecting = "`on`, `off` or a mapping such as `{ max_wait: 30s }`"
)]
pub(in crate::config) struct RawSingleFlight {
    pub max_wait: Option<Leaf>,
}

#[derive(Debug, Default, Deserialize)]
#[cfg_attr(test, derive(Serialize))]
#[serde(
    deny_unknown_fields,
    expecting = "a mapping such as `{ max_bytes: 512MiB }`"
)]
pub(in crate::config) struct RawExact {
    pub max_bytes: Option<Leaf>,
    pub max_entry: Option<Leaf>,
}

#[derive(Debug, Default, Deserialize)]
#[cfg_attr(test, derive(Serialize))]
#[serde(deny_unknown_fields, expecting = "`off` or a mapping with `path`")]
pub(in crate::config) struct RawStore {
    pub path: Option<Leaf>,
    pub max_bytes: Option<Leaf>,
}

#[derive(Debug, Default, Deserialize)]
#[cfg_attr(test, derive(Serialize))]
#[serde(deny_unknown_fields, expecting = "`off` or a mapping with `embedder`")]
pub(in crate::config) struct RawSemantic {
    pub mode: Option<Leaf>,
    pub threshold: Option<Leaf>,
    pub max_error_rate: Option<Leaf>,
    pub explore: Option<Leaf>,
    pub guard: Option<Leaf>,
    pub min_words: Option<Leaf>,
    pub max_entries: Option<Leaf>,
    pub deadline: Option<Leaf>,
    pub max_temperature: Option<Leaf>,
    pub embedder: Option<RawEmbedder>,
    pub reranker: Option<RawReranker>,
    pub judge: Option<RawJudge>,
}

#[derive(Debug, Default, Deserialize)]
#[cfg_attr(test, derive(Serialize))]
#[serde(deny_unknown_fields, expecting = "a mapping with `model` and `path`")]
pub(in crate::config) struct RawEmbedder {
    pub model: Option<Leaf>,
    pub path: Option<Leaf>,
    pub library: Option<Leaf>,
    pub threads: Option<Leaf>,
    pub pooling: Option<Leaf>,
    pub prefix: Option<Leaf>,
    pub cache: Option<Leaf>,
}

#[derive(Debug, Default, Deserialize)]
#[cfg_attr(test, derive(Serialize))]
#[serde(deny_unknown_fields, expecting = "a mapping with `path`")]
pub(in crate::config) struct RawReranker {
    pub path: Option<Leaf>,
    pub above: Option<Leaf>,
    pub below: Option<Leaf>,
    pub accept: Option<Leaf>,
}

#[derive(Debug, Default, Deserialize)]
#[cfg_attr(test, derive(Serialize))]
#[serde(deny_unknown_fields, expecting = "a mapping with `pool` and `model`")]
pub(in crate::config) struct RawJudge {
    pub pool: Option<Leaf>,
    pub model: Option<Leaf>,
}
