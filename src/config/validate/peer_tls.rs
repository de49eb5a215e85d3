//! `tls` of a pool: how its peers are spoken to.

use super::address::host_is_good;
use super::pem::{self, Pem};
use super::section::Section;
use crate::config::model::PeerTls;
use crate::config::raw::{OffOr, RawPeerTls};
use crate::config::units::Refusal;
use crate::tls::{Peers, client};

pub(super) fn peer_tls(mut s: Section<'_>, raw: Option<&OffOr<RawPeerTls>>) -> Option<PeerTls> {
    let Some(OffOr::On(raw)) = raw else {
        return None;
    };
    let ca = pem::file(&mut s, "ca", raw.ca.as_ref(), Pem::Certificates);
    if let Some(path) = &ca
        && let Err(problem) = client(Peers::Of(path), false)
    {
        let reason = format!("cannot be believed in: {}", problem.reason);
        s.refuse(
            "ca",
            raw.ca.as_ref(),
            reason,
            "a PEM file with the certificates of authorities",
        );
    }
    let sni = s.read("sni", raw.sni.as_ref(), |text| match host_is_good(text) {
        true => Ok(text.trim_end_matches('.').to_ascii_lowercase()),
        false => Err(Refusal::new(
            "is not a host name",
            "leave it out for the host of each peer's address",
        )),
    });
    let verify = s.switch("verify", raw.verify.as_ref(), true);
    if !verify {
        let text = "off: whoever stands in between can read and change everything";
        s.warn("verify", text);
    }
    Some(PeerTls { ca, sni, verify })
}
