//! The file as operators write it: a mirror without judgement.
//!
//! Every key is optional and every scalar a `Leaf`: what is required, what a value means and what its default is,
//! `validate` says. Only the shape is checked here: unknown keys, a list where a mapping belongs.

mod cache;
mod edge;
mod parts;
mod route;

pub(super) use cache::{
    RawCache, RawEmbedder, RawExact, RawJudge, RawReranker, RawSemantic, RawSingleFlight, RawStore,
    RawTtlRule,
};
pub(super) use edge::{RawAdmin, RawCertificate, RawClient, RawListen, RawListenTls, RawPeerTls};
pub(super) use parts::{Leaf, LeafOr, List, Named, OffOr, OneOrMore, shown};
pub(super) use route::{
    RawHeaderEdits, RawMatch, RawMirror, RawPathRewrite, RawRedirect, RawRespond, RawRewrite,
    RawRoute, RawUnavailable,
};
use serde::Deserialize;
#[cfg(test)]
use serde::Serialize;

#[derive(Debug, Default, Deserialize)]
#[cfg_attr(test, derive(Serialize))]
#[serde(deny_unknown_fields, expecting = "a mapping with `listen` and `pools`")]
pub(super) struct RawConfig {
    pub listen: Option<List<RawListen>>,
    pub client: Option<RawClient>,
    pub admin: Option<RawAdmin>,
    pub threads: Option<Leaf>,
    pub max_body: Option<Leaf>,
    pub shutdown_grace: Option<Leaf>,
    pub upgrade_socket: Option<Leaf>,
    pub access_log: Option<LeafOr<RawAccessLog>>,
    pub error_log: Option<LeafOr<RawErrorLog>>,
    pub pools: Option<Named<RawPool>>,
    pub routes: Option<List<RawRoute>>,
    pub caches: Option<Named<RawCache>>,
    pub keys: Option<List<RawKey>>,
    pub tiers: Option<Named<RawTier>>,
    pub limits: Option<List<RawLimit>>,
    pub prices: Option<List<RawPrice>>,
}

#[derive(Debug, Default, Deserialize)]
#[cfg_attr(test, derive(Serialize))]
#[serde(
    deny_unknown_fields,
    expecting = "stdout, off, a path or a mapping such as `{ to: stdout, format: json }`"
)]
pub(super) struct RawAccessLog {
    pub to: Option<Leaf>,
    pub format: Option<Leaf>,
}

#[derive(Debug, Default, Deserialize)]
#[cfg_attr(test, derive(Serialize))]
#[serde(
    deny_unknown_fields,
    expecting = "stderr, a path or a mapping such as `{ to: stderr, level: info }`"
)]
pub(super) struct RawErrorLog {
    pub to: Option<Leaf>,
    pub level: Option<Leaf>,
}

#[derive(Debug, Default, Deserialize)]
#[cfg_attr(test, derive(Serialize))]
#[serde(deny_unknown_fields, expecting = "a mapping with `peers`")]
pub(super) struct RawPool {
    pub engine: Option<Leaf>,
    pub balance: Option<Leaf>,
    pub tls: Option<OffOr<RawPeerTls>>,
    pub http2: Option<Leaf>,
    pub peers: Option<List<RawPeer>>,
    pub health: Option<OffOr<RawHealth>>,
    pub eject: Option<OffOr<RawEject>>,
    pub cooldown: Option<OffOr<RawCooldown>>,
    pub slow_start: Option<Leaf>,
    pub resolve_every: Option<Leaf>,
    pub timeouts: Option<RawTimeouts>,
    pub retry: Option<RawRetry>,
    pub queue: Option<RawQueue>,
}

#[derive(Debug, Default, Deserialize)]
#[cfg_attr(test, derive(Serialize))]
#[serde(
    deny_unknown_fields,
    expecting = "a mapping such as `address: 10.0.0.11:8000`"
)]
pub(super) struct RawPeer {
    pub address: Option<Leaf>,
    pub weight: Option<Leaf>,
    pub max_requests: Option<Leaf>,
    pub backup: Option<Leaf>,
}

#[derive(Debug, Default, Deserialize)]
#[cfg_attr(test, derive(Serialize))]
#[serde(
    deny_unknown_fields,
    expecting = "`off` or a mapping such as `{ path: /health, interval: 5s }`"
)]
pub(super) struct RawHealth {
    pub path: Option<Leaf>,
    pub interval: Option<Leaf>,
    pub timeout: Option<Leaf>,
    pub unhealthy_after: Option<Leaf>,
    pub healthy_after: Option<Leaf>,
}

#[derive(Debug, Default, Deserialize)]
#[cfg_attr(test, derive(Serialize))]
#[serde(
    deny_unknown_fields,
    expecting = "`off` or a mapping such as `{ after: 3, base: 10s }`"
)]
pub(super) struct RawEject {
    pub after: Option<Leaf>,
    pub base: Option<Leaf>,
    pub max: Option<Leaf>,
    pub max_ejected: Option<Leaf>,
}

#[derive(Debug, Default, Deserialize)]
#[cfg_attr(test, derive(Serialize))]
#[serde(
    deny_unknown_fields,
    expecting = "`off` or a mapping such as `{ max: 60s }`"
)]
pub(super) struct RawCooldown {
    pub default: Option<Leaf>,
    pub max: Option<Leaf>,
}

#[derive(Debug, Default, Deserialize)]
#[cfg_attr(test, derive(Serialize))]
#[serde(
    deny_unknown_fields,
    expecting = "a mapping such as `{ connect: 1s, total: 15m }`"
)]
pub(super) struct RawTimeouts {
    pub connect: Option<Leaf>,
    pub first_byte: Option<Leaf>,
    pub between_chunks: Option<Leaf>,
    pub total: Option<Leaf>,
}

#[derive(Debug, Default, Deserialize)]
#[cfg_attr(test, derive(Serialize))]
#[serde(deny_unknown_fields, expecting = "a mapping such as `{ attempts: 3 }`")]
pub(super) struct RawRetry {
    pub attempts: Option<Leaf>,
    pub statuses: Option<List<Leaf>>,
    pub base_backoff: Option<Leaf>,
    pub max_backoff: Option<Leaf>,
    pub budget: Option<Leaf>,
    pub budget_min_per_second: Option<Leaf>,
}

#[derive(Debug, Default, Deserialize)]
#[cfg_attr(test, derive(Serialize))]
#[serde(
    deny_unknown_fields,
    expecting = "a mapping such as `{ max_requests: 1000, max_wait: 30s }`"
)]
pub(super) struct RawQueue {
    pub max_requests: Option<Leaf>,
    pub max_bytes: Option<Leaf>,
    pub max_wait: Option<Leaf>,
}

#[derive(Debug, Default, Deserialize)]
#[cfg_attr(test, derive(Serialize))]
#[serde(
    deny_unknown_fields,
    expecting = "a mapping with `name` and `sha256` or `key_file`"
)]
pub(super) struct RawKey {
    pub name: Option<Leaf>,
    pub sha256: Option<Leaf>,
    pub key_file: Option<Leaf>,
    pub tenant: Option<Leaf>,
    pub tier: Option<Leaf>,
}

#[derive(Debug, Default, Deserialize)]
#[cfg_attr(test, derive(Serialize))]
#[serde(
    deny_unknown_fields,
    expecting = "a mapping such as `{ priority: high }`"
)]
pub(super) struct RawTier {
    pub priority: Option<Leaf>,
}

#[derive(Debug, Default, Deserialize)]
#[cfg_attr(test, derive(Serialize))]
#[serde(
    deny_unknown_fields,
    expecting = "a mapping such as `{ per: key, requests: 100/min }`"
)]
pub(super) struct RawLimit {
    pub per: Option<Leaf>,
    pub tier: Option<Leaf>,
    pub requests: Option<Leaf>,
    pub tokens: Option<Leaf>,
    pub concurrency: Option<Leaf>,
}

#[derive(Debug, Default, Deserialize)]
#[cfg_attr(test, derive(Serialize))]
#[serde(
    deny_unknown_fields,
    expecting = "a mapping such as `{ model: \"qwen*\", input: 0.15, output: 0.60 }`"
)]
pub(super) struct RawPrice {
    pub model: Option<Leaf>,
    pub input: Option<Leaf>,
    pub output: Option<Leaf>,
}
