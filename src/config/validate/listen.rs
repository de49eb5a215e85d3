//! `listen` and `admin`.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::SystemTime;

use super::address;
use super::key::hash_of_file;
use super::pem::{self, Pem};
use super::section::Section;
use crate::config::model::{Admin, AdminToken, Listen, ListenTls};
use crate::config::raw::{Leaf, List, RawAdmin, RawCertificate, RawListen, RawListenTls};
use crate::tls::{CertificateFiles, MinVersion};

const VERSIONS: &[(&str, MinVersion)] = &[("1.2", MinVersion::Tls12), ("1.3", MinVersion::Tls13)];

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
        let address = read(&mut s, raw.address.as_ref());
        let tls = raw.tls.as_ref().and_then(|raw| tls(s.key("tls"), raw));
        let http2 = s.switch("http2", raw.http2.as_ref(), true);
        let proxy_protocol = s.switch("proxy_protocol", raw.proxy_protocol.as_ref(), false);
        let Some(address) = address else {
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
        listen.push(Listen {
            address,
            tls,
            http2,
            proxy_protocol,
        });
    }
    listen
}

pub(super) fn admin(mut s: Section<'_>, raw: Option<&RawAdmin>) -> Option<Admin> {
    let (mut s, raw) = (s.key("admin"), raw?);
    let leaf = raw.token_file.as_ref();
    let token = s.path("token_file", leaf).and_then(|file| {
        let sha256 = s.read("token_file", leaf, |_| hash_of_file(&file))?;
        Some(AdminToken { file, sha256 })
    });
    let address = read(&mut s, raw.address.as_ref())?;
    Some(Admin { address, token })
}

fn read(s: &mut Section<'_>, address: Option<&Leaf>) -> Option<SocketAddr> {
    if address.is_none() {
        s.missing("address", "such as 127.0.0.1:8080");
    }
    s.read("address", address, address::listen)
}

fn tls(mut s: Section<'_>, raw: &RawListenTls) -> Option<ListenTls> {
    let min_version = s.word(
        "min_version",
        raw.min_version.as_ref(),
        VERSIONS,
        MinVersion::Tls12,
    );
    let list = raw.certificates.as_deref().unwrap_or_default();
    if list.is_empty() {
        s.missing("certificates", "such as `- { cert: a.pem, key: a.key }`");
        return None;
    }
    let mut s = s.key("certificates");
    let mut seen = HashMap::new();
    let mut certificates = Vec::with_capacity(list.len());
    for (n, raw) in list.iter().enumerate() {
        let Some(raw) = raw else { continue };
        let mut s = s.index(n);
        let Some(certificate) = certificate(&mut s, raw) else {
            continue;
        };
        match seen.insert(certificate.cert.clone(), n) {
            Some(first) => {
                let reason = format!("certificates[{first}] is the same file");
                s.refuse("cert", raw.cert.as_ref(), reason, "remove one");
            }
            None => certificates.push(certificate),
        }
    }
    let whole = certificates.len() == list.len();
    let tls = ListenTls {
        certificates,
        min_version,
    };
    // What is no PEM was refused by its key; the rest shows when the files are used as they will be.
    if whole {
        fit_together(&mut s, &tls, list);
    }
    Some(tls)
}

/// Whether handshakes can be made of the files.
fn fit_together(s: &mut Section<'_>, tls: &ListenTls, raw: &[Option<RawCertificate>]) {
    let (problems, warnings) = match tls.read(false, SystemTime::now()) {
        Ok(read) => (Vec::new(), read.warnings),
        Err(problems) => (problems, Vec::new()),
    };
    for (problem, fatal) in problems
        .iter()
        .map(|problem| (problem, true))
        .chain(warnings.iter().map(|warning| (warning, false)))
    {
        for (n, files) in tls.certificates.iter().enumerate() {
            let (key, leaf) = match &problem.file {
                file if *file == files.cert => ("cert", raw[n].as_ref().map(|raw| &raw.cert)),
                file if *file == files.key => ("key", raw[n].as_ref().map(|raw| &raw.key)),
                _ => continue,
            };
            let leaf = leaf.and_then(Option::as_ref);
            let mut s = s.index(n);
            match fatal {
                true => s.refuse(key, leaf, &problem.reason, "see docs/tls.md"),
                false => s.warn(key, problem.reason.clone()),
            }
        }
    }
}

fn certificate(s: &mut Section<'_>, raw: &RawCertificate) -> Option<CertificateFiles> {
    if raw.cert.is_none() {
        s.missing("cert", "the PEM file with the chain, leaf first");
    }
    if raw.key.is_none() {
        s.missing("key", "the PEM file with the private key");
    }
    let cert = pem::file(s, "cert", raw.cert.as_ref(), Pem::Certificates);
    let key = pem::file(s, "key", raw.key.as_ref(), Pem::PrivateKey);
    Some(CertificateFiles {
        cert: cert?,
        key: key?,
    })
}
