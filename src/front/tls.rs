//! The TLS handshake with a client, on one of Pingora's plain streams.
//!
//! The settings are those of the configuration that is live when the connection begins: renewed certificates reach new
//! connections, and those that run keep what they have.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use pingora::listeners::tls::Acceptor;
use pingora::protocols::l4::stream::Stream as Plain;
use pingora::protocols::{ALPN, Ssl, Stream};
use pingora::time::timeout;
use rustls::ServerConfig;

/// What the client and the listener agreed to speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spoken {
    /// HTTP/1.1, also when the client did not say.
    Http1,
    /// HTTP/2.
    Http2,
}

/// A connection after the handshake.
#[derive(Debug)]
pub struct Accepted {
    /// For requests and answers.
    pub stream: Stream,
    /// The protocol inside.
    pub spoken: Spoken,
    /// The name that the client asked for.
    pub server_name: Option<String>,
}

/// Why there is no connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// The client took longer than it may.
    Slow,
    /// It did not speak TLS, or there was nothing both understand.
    Handshake(String),
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Slow => f.write_str("no TLS handshake in time"),
            Self::Handshake(why) => write!(f, "no TLS handshake: {why}"),
        }
    }
}

impl std::error::Error for Refused {}

/// Shakes hands within `limit`. `stream` is one that Pingora accepted, without TLS so far; what was put back into it
/// with `rewind` is read first.
///
/// # Errors
/// Why there is no connection; it is closed then.
pub async fn accept(
    stream: Stream,
    config: &Arc<ServerConfig>,
    limit: Duration,
) -> Result<Accepted, Refused> {
    // The handshake wants the concrete stream.
    let plain = stream
        .into_any()
        .downcast::<Plain>()
        .map_err(|_| Refused::Handshake("not a plain connection".to_owned()))?;
    let acceptor = Acceptor::from_server_config(Arc::clone(config));
    // Its state is large and short-lived: kept out of what every connection carries along.
    let shaken = Box::pin(acceptor.tls_handshake(*plain));
    let stream = timeout(limit, shaken)
        .await
        .map_err(|_| Refused::Slow)?
        .map_err(|error| Refused::Handshake(error.to_string()))?;
    let spoken = match stream.selected_alpn_proto() {
        Some(ALPN::H2) => Spoken::Http2,
        _ => Spoken::Http1,
    };
    let server_name = stream
        .get_ssl()
        .and_then(|session| session.server_name())
        .map(str::to_owned);
    Ok(Accepted {
        stream: Box::new(stream),
        spoken,
        server_name,
    })
}

#[cfg(test)]
mod tests;
