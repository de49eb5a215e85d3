//! What a listener with TLS needs.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use rustls::server::{NoServerSessionStorage, ProducesTickets};
use rustls::sign::CertifiedKey;
use rustls::{Error, ServerConfig, SupportedProtocolVersion, version};

use super::files::{self, Problem};
use super::names::{ByName, Facts};
use super::provider;

/// A certificate chain and its private key, both in PEM.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CertificateFiles {
    /// The certificate, followed by the intermediate ones.
    pub cert: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

/// The oldest protocol that is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum MinVersion {
    /// TLS 1.2.
    Tls12,
    /// TLS 1.3.
    Tls13,
}

/// The settings of a listener.
#[derive(Debug, Clone)]
pub struct Server {
    /// For each handshake.
    pub config: Arc<ServerConfig>,
    /// What works and is probably not meant.
    pub warnings: Vec<Problem>,
}

/// Reads the files of a listener. Names are those inside the certificates; the first certificate also answers for names
/// that none has. `http2` offers HTTP/2 beside HTTP/1.1. `now` tells which certificates have expired.
///
/// # Errors
/// Every file that cannot be used.
pub fn server(
    certificates: &[CertificateFiles],
    min_version: MinVersion,
    http2: bool,
    now: SystemTime,
) -> Result<Server, Vec<Problem>> {
    let (mut problems, mut warnings) = (Vec::new(), Vec::new());
    let mut names: Option<ByName> = None;
    for files in certificates {
        match load(files) {
            Ok((key, facts)) => {
                if let Some(why) = facts.stale(now) {
                    warnings.push(Problem::new(&files.cert, why));
                }
                names
                    .get_or_insert_with(|| ByName::new(Arc::clone(&key)))
                    .add(&facts.names, &key);
            }
            Err(problem) => problems.push(problem),
        }
    }
    let (Some(names), true) = (names, problems.is_empty()) else {
        return Err(problems);
    };
    let versions: &[&SupportedProtocolVersion] = match min_version {
        MinVersion::Tls12 => &[&version::TLS13, &version::TLS12],
        MinVersion::Tls13 => &[&version::TLS13],
    };
    let unusable = |error: Error| {
        let files = certificates.first().map(|files| files.cert.as_path());
        vec![Problem::new(
            files.unwrap_or("".as_ref()),
            error.to_string(),
        )]
    };
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(versions)
        .map_err(unusable)?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(names));
    config.alpn_protocols = match http2 {
        true => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
        false => vec![b"http/1.1".to_vec()],
    };
    config.ticketer = tickets().map_err(unusable)?;
    // Sessions live in tickets: what a reload throws away, no client needs.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    Ok(Server {
        config: Arc::new(config),
        warnings,
    })
}

fn load(files: &CertificateFiles) -> Result<(Arc<CertifiedKey>, Facts), Problem> {
    let chain = files::certificates(&files.cert)?;
    let key = files::key(&files.key)?;
    let facts = chain.first().map_or_else(
        || Err("is empty".to_owned()),
        |leaf| Facts::of(leaf.as_ref()),
    );
    let facts = facts.map_err(|why| Problem::new(&files.cert, format!("is not X.509: {why}")))?;
    let key = CertifiedKey::from_der(chain, key, &provider()).map_err(|error| match error {
        Error::InconsistentKeys(_) => {
            let reason = format!("is not the key of {}", files.cert.display());
            Problem::new(&files.key, reason)
        }
        error => Problem::new(&files.key, error.to_string()),
    })?;
    Ok((Arc::new(key), facts))
}

/// One set of ticket keys for the whole process, changed by itself every few hours: a reload must not make every client
/// do a full handshake.
fn tickets() -> Result<Arc<dyn ProducesTickets>, Error> {
    static TICKETS: OnceLock<Arc<dyn ProducesTickets>> = OnceLock::new();
    if let Some(tickets) = TICKETS.get() {
        return Ok(Arc::clone(tickets));
    }
    let fresh = rustls::crypto::ring::Ticketer::new()?;
    Ok(Arc::clone(TICKETS.get_or_init(|| fresh)))
}

#[cfg(test)]
mod tests;
