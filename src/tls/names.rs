//! Which certificate answers for which name.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

/// What a certificate says of itself.
#[derive(Debug)]
pub(super) struct Facts {
    /// DNS names, in lower case; `*.` stands for one label.
    pub(super) names: Vec<String>,
    not_before: SystemTime,
    not_after: SystemTime,
}

impl Facts {
    /// Of a certificate in DER.
    pub(super) fn of(der: &[u8]) -> Result<Self, String> {
        let (_, certificate) = X509Certificate::from_der(der).map_err(|error| error.to_string())?;
        let alternatives = certificate
            .subject_alternative_name()
            .map_err(|error| error.to_string())?;
        let names = alternatives
            .iter()
            .flat_map(|extension| &extension.value.general_names)
            .filter_map(|name| match name {
                GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
                _ => None,
            })
            .collect();
        let time = |seconds: i64| {
            UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or_default())
        };
        let validity = certificate.validity();
        Ok(Self {
            names,
            not_before: time(validity.not_before.timestamp()),
            not_after: time(validity.not_after.timestamp()),
        })
    }

    /// Why clients will refuse the certificate at `now`.
    pub(super) fn stale(&self, now: SystemTime) -> Option<String> {
        let since = |time: SystemTime| humantime::format_rfc3339_seconds(time);
        if now > self.not_after {
            Some(format!("expired at {}", since(self.not_after)))
        } else if now < self.not_before {
            Some(format!("is not valid before {}", since(self.not_before)))
        } else {
            None
        }
    }
}

/// Chooses by the name a client asks for; the first certificate answers for all other names and for none.
#[derive(Debug)]
pub(super) struct ByName {
    first: Arc<CertifiedKey>,
    /// Wildcards lie under their name without the `*`, such as `.example.com`.
    names: HashMap<String, Vec<Arc<CertifiedKey>>>,
}

impl ByName {
    pub(super) fn new(first: Arc<CertifiedKey>) -> Self {
        Self {
            first,
            names: HashMap::new(),
        }
    }

    /// Lets `key` answer for `names`, after those that already do.
    pub(super) fn add(&mut self, names: &[String], key: &Arc<CertifiedKey>) {
        for name in names {
            let name = name.strip_prefix('*').unwrap_or(name);
            let keys = self.names.entry(name.to_owned()).or_default();
            keys.push(Arc::clone(key));
        }
    }

    fn candidates(&self, name: &str) -> Option<&[Arc<CertifiedKey>]> {
        let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        let exact = self.names.get(&name);
        let found = exact.or_else(|| self.names.get(&name[name.find('.')?..]));
        found.map(Vec::as_slice)
    }
}

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let named = hello.server_name().and_then(|name| self.candidates(name));
        let candidates = named.unwrap_or(std::slice::from_ref(&self.first));
        // One name may have an RSA and an ECDSA certificate, and a client know only one kind.
        let fits =
            |key: &&Arc<CertifiedKey>| key.key.choose_scheme(hello.signature_schemes()).is_some();
        let chosen = candidates.iter().find(fits).or(candidates.first());
        chosen.map(Arc::clone)
    }
}
