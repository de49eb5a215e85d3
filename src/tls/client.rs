//! What connections to peers with TLS need.

use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

use super::files::{self, Problem};
use super::provider;

/// Which peers are believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peers<'a> {
    /// Those that the system's authorities vouch for.
    System,
    /// Those that an authority in this PEM file vouches for.
    Of(&'a Path),
    /// Any: what is sent to them is encrypted, but who reads it is not known.
    Any,
}

/// The settings of connections to peers.
#[derive(Debug, Clone)]
pub struct Client {
    /// For each handshake.
    pub config: Arc<ClientConfig>,
    /// The same for the same settings, to tell connections apart that must not be mixed.
    pub identity: [u8; 32],
}

/// Settings for peers as in `peers`. `http2` offers HTTP/2 beside HTTP/1.1.
///
/// # Errors
/// The file that cannot be used; with the system's authorities, that there are none.
pub fn client(peers: Peers<'_>, http2: bool) -> Result<Client, Problem> {
    let mut identity = blake3::Hasher::new();
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| Problem::new("TLS".as_ref(), error.to_string()))?;
    let builder = match peers {
        Peers::Any => {
            identity.update(b"any");
            builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(Anybody(provider())))
        }
        Peers::System | Peers::Of(_) => {
            let roots = authorities(peers)?;
            for root in &roots.roots {
                identity.update(&root.subject_public_key_info);
            }
            builder.with_root_certificates(roots)
        }
    };
    let mut config = builder.with_no_client_auth();
    config.alpn_protocols = match http2 {
        true => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
        false => vec![b"http/1.1".to_vec()],
    };
    identity.update(&[u8::from(http2)]);
    Ok(Client {
        config: Arc::new(config),
        identity: *identity.finalize().as_bytes(),
    })
}

fn authorities(peers: Peers<'_>) -> Result<RootCertStore, Problem> {
    let mut roots = RootCertStore::empty();
    match peers {
        Peers::Of(file) => {
            for certificate in files::certificates(file)? {
                roots
                    .add(certificate)
                    .map_err(|error| Problem::new(file, error.to_string()))?;
            }
        }
        Peers::System | Peers::Any => {
            let found = rustls_native_certs::load_native_certs();
            // A system's bundle may hold ones that are too old to be understood.
            roots.add_parsable_certificates(found.certs);
            if roots.is_empty() {
                let why: Vec<_> = found.errors.iter().map(ToString::to_string).collect();
                let why = format!("has no certificate authorities {}", why.join("; "));
                return Err(Problem::new("the system".as_ref(), why.trim_end()));
            }
        }
    }
    Ok(roots)
}

/// Believes any certificate, but still asks for a proof of its key.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _certificate: &CertificateDer<'_>,
        _chain: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
pub(super) mod tests;
