//! `client`: what clients may do and take.

use std::time::Duration;

use super::range::ranges;
use super::section::{SOME_TIME, Section};
use crate::config::model::ClientRules;
use crate::config::raw::RawClient;

/// Most connections: beyond it a process has no file descriptors left.
const MOST_CONNECTIONS: usize = 10_000_000;

pub(super) fn client(mut s: Section<'_>, raw: Option<&RawClient>) -> ClientRules {
    let none = RawClient::default();
    let raw = raw.unwrap_or(&none);
    let mut s = s.key("client");
    let mut time =
        |key, leaf, default| s.duration(key, leaf, SOME_TIME, Duration::from_secs(default));
    let header_timeout = time("header_timeout", raw.header_timeout.as_ref(), 10);
    let body_timeout = time("body_timeout", raw.body_timeout.as_ref(), 60);
    let idle_timeout = time("idle_timeout", raw.idle_timeout.as_ref(), 75);
    let write_timeout = time("write_timeout", raw.write_timeout.as_ref(), 60);
    let min_rate = s.size("min_rate", raw.min_rate.as_ref(), 0..=1 << 30, 256);
    let max_header_bytes = s.size(
        "max_header_bytes",
        raw.max_header_bytes.as_ref(),
        1 << 10..=1 << 20,
        32 << 10,
    );
    let mut count =
        |key, leaf, least, default| s.integer(key, leaf, least..=MOST_CONNECTIONS, default);
    let max_connections = count("max_connections", raw.max_connections.as_ref(), 1, 20_000);
    let per_address = count(
        "max_connections_per_address",
        raw.max_connections_per_address.as_ref(),
        0,
        1000,
    );
    let trusted_proxies = ranges(&mut s, "trusted_proxies", raw.trusted_proxies.as_ref());
    if trusted_proxies.iter().any(|range| range.prefix_len() == 0) {
        let text = "trusts everybody, so whoever connects can say which address it has";
        s.warn("trusted_proxies", text);
    }
    ClientRules {
        trusted_proxies,
        // At most 1 MiB.
        max_header_bytes: usize::try_from(max_header_bytes).unwrap_or(1 << 20),
        header_timeout,
        body_timeout,
        idle_timeout,
        write_timeout,
        min_rate: (min_rate > 0).then_some(min_rate),
        max_connections,
        max_connections_per_address: (per_address > 0).then_some(per_address),
    }
}
