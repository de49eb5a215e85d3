//! `routes` as written.

use serde::Deserialize;
#[cfg(test)]
use serde::Serialize;

use super::{Leaf, List, Named, OneOrMore, RawLimit, RawTimeouts};

#[derive(Debug, Default, Deserialize)]
#[cfg_attr(test, derive(Serialize))]
#[serde(
    deny_unknown_fields,
    expecting = "a mapping with `pool`, `respond` or `redirect`"
)]
pub(in crate::config) struct RawRoute {
    pub name: Option<Leaf>,
    #[serde(rename = "match")]
    pub matches: Option<RawMatch>,
    pub allow: Option<List<Leaf>>,
    pub deny: Option<List<Leaf>>,
    pub rewrite: Option<RawRewrite>,
    pub pool: Option<Leaf>,
    pub respond: Option<RawRespond>,
    pub redirect: Option<RawRedirect>,
    pub cache: Option<Leaf>,
    pub cache_ttl: Option<Leaf>,
    pub unavailable: Option<RawUnavailable>,
    pub limits: Option<List<RawLimit>>,
    pub timeouts: Option<RawTimeouts>,
    pub max_body: Option<Leaf>,
    pub mirror: Option<RawMirror>,
}

#[derive(Debug, Default, Deserialize)]
#[cfg_attr(test, derive(Serialize))]
#[serde(
    deny_unknown_fields,
    expecting = "a mapping such as `{ path: /v1/*, model: \"qwen*\" }`"
)]
pub(in crate::config) struct RawMatch {
    pub host: Option<OneOrMore>,
    pub path: Option<Leaf>,
    pub method: Option<OneOrMore>,
    pub headers: Option<Named<Leaf>>,
    pub model: Option<Leaf>,
    pub tenant: Option<Leaf>,
}

#[derive(Debug, Default, Deserialize)]
#[cfg_attr(test, derive(Serialize))]
#[serde(
    deny_unknown_fields,
    expecting = "a mapping with `path`, `request_headers` or `response_headers`"
)]
pub(in crate::config) struct RawRewrite {
    pub path: Option<RawPathRewrite>,
    pub request_headers: Option<RawHeaderEdits>,
    pub response_headers: Option<RawHeaderEdits>,
}

#[derive(Debug, Default, Deserialize)]
#[cfg_attr(test, derive(Serialize))]
#[serde(
    deny_unknown_fields,
    expecting = "a mapping such as `{ strip_prefix: /v1, add_prefix: /api }`"
)]
pub(in crate::config) struct RawPathRewrite {
    pub strip_prefix: Option<Leaf>,
    pub add_prefix: Option<Leaf>,
}

#[derive(Debug, Default, Deserialize)]
#[cfg_attr(test, derive(Serialize))]
#[serde(
    deny_unknown_fields,
    expecting = "a mapping such as `{ set: { x-a: b }, remove: [x-c] }`"
)]
pub(in crate::config) struct RawHeaderEdits {
    pub set: Option<Named<Leaf>>,
    pub add: Option<Named<Leaf>>,
    pub remove: Option<List<Leaf>>,
}

#[derive(Debug, Default, Deserialize)]
#[cfg_attr(test, derive(Serialize))]
#[serde(
    deny_unknown_fields,
    expecting = "a mapping such as `{ status: 200, body: ok }`"
)]
pub(in crate::config) struct RawRespond {
    pub status: Option<Leaf>,
    pub body: Option<Leaf>,
    pub headers: Option<Named<Leaf>>,
}

#[derive(Debug, Default, Deserialize)]
#[cfg_attr(test, derive(Serialize))]
#[serde(
    deny_unknown_fields,
    expecting = "a mapping such as `{ to: https://example.com }`"
)]
pub(in crate::config) struct RawRedirect {
    pub to: Option<Leaf>,
    pub status: Option<Leaf>,
    pub keep_path: Option<Leaf>,
}

#[derive(Debug, Default, Deserialize)]
#[cfg_attr(test, derive(Serialize))]
#[serde(
    deny_unknown_fields,
    expecting = "a mapping such as `{ pool: canary, share: 0.05 }`"
)]
pub(in crate::config) struct RawMirror {
    pub pool: Option<Leaf>,
    pub share: Option<Leaf>,
}

#[derive(Debug, Default, Deserialize)]
#[cfg_attr(test, derive(Serialize))]
#[serde(
    deny_unknown_fields,
    expecting = "a mapping such as `{ text: \"We will be back soon.\" }`"
)]
pub(in crate::config) struct RawUnavailable {
    pub text: Option<Leaf>,
    pub status: Option<Leaf>,
}
