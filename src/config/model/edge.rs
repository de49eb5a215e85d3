//! `listen` and `client`: how clients connect, and what they may do and take.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use ipnet::IpNet;

use crate::tls::{self, CertificateFiles, MinVersion};

/// The admin listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admin {
    /// Address and port.
    pub address: SocketAddr,
    /// What the admin API asks for; `None` = nothing.
    pub token: Option<AdminToken>,
}

/// The secret of the admin API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdminToken {
    /// Where it stands, in plain.
    pub file: PathBuf,
    /// SHA-256 of its bytes.
    pub sha256: [u8; 32],
}

/// One client listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listen {
    /// Address and port.
    pub address: SocketAddr,
    /// TLS; `None` = plain.
    pub tls: Option<ListenTls>,
    /// HTTP/2: by ALPN with TLS, by prior knowledge (h2c) without.
    pub http2: bool,
    /// Whether every connection must begin with a PROXY protocol header, version 1 or 2.
    pub proxy_protocol: bool,
}

/// TLS towards clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenTls {
    /// At least one. Chosen by SNI among the names inside each; the first where none fits. The files were readable PEM when
    /// the configuration was read.
    pub certificates: Vec<CertificateFiles>,
    /// Oldest version that is spoken.
    pub min_version: MinVersion,
}

impl ListenTls {
    /// The settings for handshakes, from the files as they are now. `http2` offers HTTP/2 beside HTTP/1.1.
    ///
    /// # Errors
    /// Every file that cannot be used.
    pub fn read(&self, http2: bool, now: SystemTime) -> Result<tls::Server, Vec<tls::Problem>> {
        tls::server(&self.certificates, self.min_version, http2, now)
    }
}

/// What clients may do and take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientRules {
    /// Whose `X-Forwarded-For` and PROXY header is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Largest request head, in bytes.
    pub max_header_bytes: usize,
    /// From the first byte of a request head to its last.
    pub header_timeout: Duration,
    /// Between two reads of a request body.
    pub body_timeout: Duration,
    /// Between two requests of a connection.
    pub idle_timeout: Duration,
    /// How long a client may take nothing of an answer that is there.
    pub write_timeout: Duration,
    /// Bytes per second that a request body must come at on average after its first 10 s; `None` = any.
    pub min_rate: Option<u64>,
    /// Most client connections at once.
    pub max_connections: usize,
    /// Most connections at once of one client address; `None` = no cap.
    pub max_connections_per_address: Option<usize>,
}

/// TLS towards the peers of a pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerTls {
    /// PEM file with the authorities that are believed; `None` = the system's.
    pub ca: Option<PathBuf>,
    /// Name that is asked for and verified; `None` = the host of the peer's address.
    pub sni: Option<String>,
    /// Whether the certificate is verified.
    pub verify: bool,
}
