//! `listen`, `client` and `pools.*.tls` as written.

use serde::Deserialize;
#[cfg(test)]
use serde::Serialize;

use super::{Leaf, List};

#[derive(Debug, Default, Deserialize)]
#[cfg_attr(test, derive(Serialize))]
#[serde(
    deny_unknown_fields,
    expecting = "a mapping such as `address: 127.0.0.1:8080`"
)]
pub(in crate::config) struct RawListen {
    pub address: Option<Leaf>,
    pub tls: Option<RawListenTls>,
    pub http2: Option<Leaf>,
    pub proxy_protocol: Option<Leaf>,
}

#[derive(Debug, Default, Deserialize)]
#[cfg_attr(test, derive(Serialize))]
#[serde(deny_unknown_fields, expecting = "a mapping with `certificates`")]
pub(in crate::config) struct RawListenTls {
    pub certificates: Option<List<RawCertificate>>,
    pub min_version: Option<Leaf>,
}

#[derive(Debug, Default, Deserialize)]
#[cfg_attr(test, derive(Serialize))]
#[serde(
    deny_unknown_fields,
    expecting = "a mapping such as `{ cert: a.pem, key: a.key }`"
)]
pub(in crate::config) struct RawCertificate {
    pub cert: Option<Leaf>,
    pub key: Option<Leaf>,
}

#[derive(Debug, Default, Deserialize)]
#[cfg_attr(test, derive(Serialize))]
#[serde(
    deny_unknown_fields,
    expecting = "a mapping such as `address: 127.0.0.1:9090`"
)]
pub(in crate::config) struct RawAdmin {
    pub address: Option<Leaf>,
    pub token_file: Option<Leaf>,
}

#[derive(Debug, Default, Deserialize)]
#[cfg_attr(test, derive(Serialize))]
#[serde(
    deny_unknown_fields,
    expecting = "a mapping such as `{ header_timeout: 10s }`"
)]
pub(in crate::config) struct RawClient {
    pub trusted_proxies: Option<List<Leaf>>,
    pub max_header_bytes: Option<Leaf>,
    pub header_timeout: Option<Leaf>,
    pub body_timeout: Option<Leaf>,
    pub idle_timeout: Option<Leaf>,
    pub write_timeout: Option<Leaf>,
    pub min_rate: Option<Leaf>,
    pub max_connections: Option<Leaf>,
    pub max_connections_per_address: Option<Leaf>,
}

#[derive(Debug, Default, Deserialize)]
#[cfg_attr(test, derive(Serialize))]
#[serde(
    deny_unknown_fields,
    expecting = "`off`, `on` or a mapping such as `{ ca: ca.pem }`"
)]
pub(in crate::config) struct RawPeerTls {
    pub ca: Option<Leaf>,
    pub sni: Option<Leaf>,
    pub verify: Option<Leaf>,
}
