//! TLS to peers, over the plain streams that Pingora's connector opens.
//!
//! Pingora can do it too, but builds the settings of a pool with its own authorities anew for each connection, so that
//! no session is ever resumed, and leaves the certificate unchecked where the name is empty. Here they are built once,
//! when the configuration is read.

use std::net::SocketAddr;

use pingora::connectors::TransportConnector;
use pingora::protocols::l4::stream::Stream as Plain;
use pingora::protocols::tls::client::handshake;
use pingora::protocols::{ALPN, Ssl, Stream};
use pingora::time::timeout;
use tokio_rustls::TlsConnector;

use super::{Failure, http_peer};
use crate::config::model::Timeouts;
use crate::tls::Client;

/// Where a connection leads, as far as it decides which requests may share it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Destination {
    /// The peer.
    pub address: SocketAddr,
    /// Identity of the TLS settings; `None` = plain.
    pub tls: Option<[u8; 32]>,
}

/// How TLS is spoken to the peers of one name.
#[derive(Clone)]
pub struct PeerTls {
    connector: TlsConnector,
    name: String,
    identity: [u8; 32],
}

impl PeerTls {
    /// `name` is what the certificate has to be for: a DNS name, which is also sent as SNI, or an IP address.
    pub fn new(settings: &Client, name: &str) -> Self {
        let identity = blake3::Hasher::new()
            .update(&settings.identity)
            .update(name.as_bytes())
            .finalize();
        Self {
            connector: TlsConnector::from(settings.config.clone()),
            name: name.to_owned(),
            identity: *identity.as_bytes(),
        }
    }

    /// The same across reloads that change nothing of it.
    pub fn identity(&self) -> [u8; 32] {
        self.identity
    }
}

/// What a peer speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spoken {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2.
    Http2,
}

/// Opens a connection, TLS included, within `timeouts.connect`. Without TLS there is nothing in which a peer could say
/// what it speaks: it is taken for HTTP/2 where the operator says so with `http2`. With TLS the settings say what is offered.
///
/// # Errors
/// `Failure::Connect`: no connection, a certificate that is not believed, or not in time.
pub async fn connect(
    connector: &TransportConnector,
    address: SocketAddr,
    tls: Option<&PeerTls>,
    http2: bool,
    timeouts: &Timeouts,
) -> Result<(Stream, Spoken), Failure> {
    let connecting = async {
        let peer = http_peer(address, timeouts);
        // 8 KiB of state that no later part of an exchange needs.
        let stream = Box::pin(connector.new_stream(&peer))
            .await
            .map_err(|error| Failure::connecting(&error))?;
        match tls {
            None if http2 => Ok((stream, Spoken::Http2)),
            None => Ok((stream, Spoken::Http1)),
            Some(tls) => shake(tls, stream).await,
        }
    };
    timeout(timeouts.connect, connecting)
        .await
        .unwrap_or_else(|_| Err(Failure::Connect("not in time".to_owned())))
}

async fn shake(tls: &PeerTls, stream: Stream) -> Result<(Stream, Spoken), Failure> {
    let plain = stream
        .into_any()
        .downcast::<Plain>()
        .map_err(|_| Failure::Connect("not a plain connection".to_owned()))?;
    let stream = Box::pin(handshake(&tls.connector, &tls.name, *plain))
        .await
        .map_err(|error| Failure::connecting(&error))?;
    let spoken = match stream.selected_alpn_proto() {
        Some(ALPN::H2) => Spoken::Http2,
        _ => Spoken::Http1,
    };
    Ok((Box::new(stream), spoken))
}

#[cfg(test)]
mod tests;
