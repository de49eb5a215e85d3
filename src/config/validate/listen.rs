//! `listen` and `admin`.

use std::net::SocketAddr;

use super::address;
use super::section::Section;
use crate::config::model::Listen;
use crate::config::raw::{List, RawListen};

pub(super) fn listen(mut s: Section<'_>, raw: Option<&List<RawListen>>) -> Vec<Listen> {
    let raw = raw.map(Vec::as_slice).unwrap_or_default();
    if raw.is_empty() {
        s.missing("listen", "such as `- address: 0.0.0.0:8080`");
    }
    let mut list = s.key("listen");
    let mut listen: Vec<Listen> = Vec::with_capacity(raw.len());
    for (n, raw) in raw.iter().enumerate() {
        let Some(raw) = raw else { continue };
        let mut s = list.index(n);
        let Some(address) = read(&mut s, raw) else {
            continue;
        };
        if let Some(other) = listen
            .iter()
            .find(|other| address::collide(other.address, address))
        {
            s.refuse(
                "address",
                raw.address.as_ref(),
                format!("collides with {}", other.address),
                "one of them is enough",
            );
        }
        listen.push(Listen { address });
    }
    listen
}

pub(super) fn admin(mut s: Section<'_>, raw: Option<&RawListen>) -> Option<SocketAddr> {
    raw.and_then(|raw| read(&mut s.key("admin"), raw))
}

fn read(s: &mut Section<'_>, raw: &RawListen) -> Option<SocketAddr> {
    if raw.address.is_none() {
        s.missing("address", "such as 127.0.0.1:8080");
    }
    s.read("address", raw.address.as_ref(), address::listen)
}
