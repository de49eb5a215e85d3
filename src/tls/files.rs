//! PEM files, read with errors an operator can act on.

use std::fmt;
use std::path::{Path, PathBuf};

use rustls::pki_types::pem::{Error as PemError, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// A file that cannot be used, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file.
    pub file: PathBuf,
    /// Why it cannot be used.
    pub reason: String,
}

impl Problem {
    pub(super) fn new(file: &Path, reason: impl Into<String>) -> Self {
        Self {
            file: file.to_owned(),
            reason: reason.into(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.file.display(), self.reason)
    }
}

impl std::error::Error for Problem {}

/// Every certificate of a file, in its order; never empty.
pub(super) fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, Problem> {
    let bytes = read(file)?;
    let found = CertificateDer::pem_slice_iter(&bytes)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| Problem::new(file, format!("is not PEM: {error}")))?;
    if found.is_empty() {
        return Err(Problem::new(
            file,
            "has no certificate in PEM (BEGIN CERTIFICATE)",
        ));
    }
    Ok(found)
}

/// The private key of a file.
pub(super) fn key(file: &Path) -> Result<PrivateKeyDer<'static>, Problem> {
    let bytes = read(file)?;
    PrivateKeyDer::from_pem_slice(&bytes).map_err(|error| {
        let reason = match error {
            PemError::NoItemsFound if is_encrypted(&bytes) => {
                "is encrypted: write the key without a passphrase".to_owned()
            }
            PemError::NoItemsFound => "has no private key in PEM (BEGIN PRIVATE KEY)".to_owned(),
            error => format!("is not PEM: {error}"),
        };
        Problem::new(file, reason)
    })
}

fn is_encrypted(pem: &[u8]) -> bool {
    const MARK: &[u8] = b"ENCRYPTED";
    pem.windows(MARK.len()).any(|window| window == MARK)
}

fn read(file: &Path) -> Result<Vec<u8>, Problem> {
    std::fs::read(file).map_err(|error| Problem::new(file, format!("cannot be read: {error}")))
}
