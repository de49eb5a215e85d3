//! PEM files that a configuration names: there, readable, and of the right kind. Whether they make sense together is for
//! whoever loads them.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::section::Section;
use crate::config::raw::Leaf;
use crate::config::units::Refusal;

/// Largest PEM file, in bytes: the bundle of all public authorities has a quarter of it.
const LARGEST: u64 = 1 << 20;

/// What a PEM file should hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pem {
    Certificates,
    PrivateKey,
}

/// The path under `key`, if it leads to such a file.
pub(super) fn file(
    s: &mut Section<'_>,
    key: &str,
    leaf: Option<&Leaf>,
    kind: Pem,
) -> Option<PathBuf> {
    let path = s.path(key, leaf)?;
    s.read(key, leaf, |_| check(&path, kind))?;
    Some(path)
}

fn check(path: &Path, kind: Pem) -> Result<(), Refusal> {
    let text = read(path).map_err(|error| Refusal::new(format!("cannot be read: {error}"), ""))?;
    if text.len() as u64 > LARGEST {
        return Err(Refusal::new("is too large for a PEM file", "at most 1 MiB"));
    }
    let text = String::from_utf8_lossy(&text);
    let mut labels = text.lines().filter_map(|line| {
        line.trim()
            .strip_prefix("-----BEGIN ")?
            .strip_suffix("-----")
    });
    let (found, what) = match kind {
        Pem::Certificates => (
            labels.any(|label| label == "CERTIFICATE"),
            ("has no certificate", "a PEM file with BEGIN CERTIFICATE"),
        ),
        Pem::PrivateKey => {
            let labels: Vec<&str> = labels.collect();
            if labels.contains(&"ENCRYPTED PRIVATE KEY") {
                let hint = "openssl pkey -in FILE -out FILE.plain";
                return Err(Refusal::new("is encrypted with a passphrase", hint));
            }
            (
                labels.iter().any(|label| label.ends_with("PRIVATE KEY")),
                ("has no private key", "a PEM file with BEGIN PRIVATE KEY"),
            )
        }
    };
    match found {
        true => Ok(()),
        false => Err(Refusal::new(what.0, what.1)),
    }
}

fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let file = File::open(path)?;
    if !file.metadata()?.is_file() {
        return Err(std::io::Error::other("not a regular file"));
    }
    let mut bytes = Vec::new();
    file.take(LARGEST + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(content: &[u8], kind: Pem) -> Option<String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file.pem");
        std::fs::write(&path, content).unwrap();
        check(&path, kind).err().map(|refusal| refusal.reason)
    }

    #[test]
    fn a_file_is_taken_for_what_it_holds() {
        let cert = b"text before\n-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n";
        let key = b"-----BEGIN EC PRIVATE KEY-----\r\nMA==\r\n-----END EC PRIVATE KEY-----\r\n";
        assert_eq!(reason(cert, Pem::Certificates), None);
        assert_eq!(reason(key, Pem::PrivateKey), None);
        assert!(
            reason(cert, Pem::PrivateKey)
                .unwrap()
                .contains("no private key")
        );
        assert!(
            reason(key, Pem::Certificates)
                .unwrap()
                .contains("no certificate")
        );
    }

    #[test]
    fn what_cannot_be_used_is_refused_with_the_reason() {
        let locked = b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nMA==\n";
        assert!(
            reason(locked, Pem::PrivateKey)
                .unwrap()
                .contains("passphrase")
        );
        assert!(
            reason(&[0x30, 0x82, 0xff], Pem::Certificates)
                .unwrap()
                .contains("no certificate")
        );
        assert!(
            reason(&vec![b'x'; 2 << 20], Pem::Certificates)
                .unwrap()
                .contains("too large")
        );
        let missing = check(Path::new("/nowhere/at/all.pem"), Pem::PrivateKey);
        assert!(missing.unwrap_err().reason.contains("No such file"));
        let folder = tempfile::tempdir().unwrap();
        let folder = check(folder.path(), Pem::PrivateKey);
        assert!(folder.unwrap_err().reason.contains("not a regular file"));
    }
}
