//! `peers` of a pool.

use std::collections::HashSet;

use super::address;
use super::section::Section;
use crate::config::model::Peer;
use crate::config::raw::{List, RawPeer};

pub(super) fn peers(s: &mut Section<'_>, raw: Option<&List<RawPeer>>) -> Vec<Peer> {
    let raw = raw.map(Vec::as_slice).unwrap_or_default();
    if raw.is_empty() {
        s.missing("peers", "at least one, such as `- address: 10.0.0.11:8000`");
    }
    let mut list = s.key("peers");
    let mut seen = HashSet::new();
    let mut peers = Vec::with_capacity(raw.len());
    for (n, raw) in raw.iter().enumerate() {
        let mut s = list.index(n);
        let Some(raw) = raw else { continue };
        let Some(peer) = peer(&mut s, raw) else {
            continue;
        };
        if !seen.insert((peer.host.clone(), peer.port)) {
            s.refuse(
                "address",
                raw.address.as_ref(),
                "is in this pool twice",
                "use weight for a larger share",
            );
        }
        peers.push(peer);
    }
    if !peers.is_empty() && peers.iter().all(|peer| peer.backup) {
        s.warn(
            "peers",
            "all are backups, so there is nothing that they back up",
        );
    }
    peers
}

fn peer(s: &mut Section<'_>, raw: &RawPeer) -> Option<Peer> {
    if raw.address.is_none() {
        s.missing("address", "such as 10.0.0.11:8000");
    }
    let address = s.read("address", raw.address.as_ref(), address::peer);
    let weight = s.float(
        "weight",
        raw.weight.as_ref(),
        |weight| weight > 0.0,
        "must be greater than 0",
        1.0,
    );
    let max_requests = s.cap("max_requests", raw.max_requests.as_ref());
    let backup = s.boolean("backup", raw.backup.as_ref(), false);
    address.map(|(host, port)| Peer {
        host,
        port,
        weight,
        max_requests,
        backup,
    })
}
