//! TLS from files: what servers and clients of it need, built whole or refused with the file and the reason.
//!
//! Nothing here opens a connection. A configuration that is read builds the settings anew, so a reload takes renewed
//! certificates over, and one with a bad file is refused before anything changes.

mod client;
mod files;
mod names;
mod server;
#[cfg(test)]
pub(crate) mod testing;

pub use client::{Client, Peers, client};
pub use files::Problem;
pub use server::{CertificateFiles, MinVersion, Server, server};

use std::sync::Arc;

use rustls::crypto::CryptoProvider;

/// The one Pingora uses, so that only one implementation is linked in.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}
