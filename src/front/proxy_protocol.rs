//! The header with which a load balancer in front says for whom it connects: PROXY protocol, versions 1 and 2
//! (<https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt>).
//!
//! Only to be read from addresses that are believed: whoever sends it chooses the client address. It is read to its end
//! and nothing is guessed: a connection without it is refused, as the protocol demands, since what follows could not be
//! told from a forged one.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use pingora::protocols::Stream;
use pingora::protocols::l4::stream::Stream as Plain;
use ppp::{v1, v2};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::timeout;

/// Longest header of version 1 with its line end, in bytes, by the specification.
const LONGEST_V1: usize = 107;
/// Signature, version, family and length of version 2, in bytes.
const FIXED_V2: usize = 16;
/// Longest header of version 2 that is read, in bytes: addresses take up to 216, the rest is room for extensions, among
/// them a client certificate's name.
const LONGEST_V2: usize = 4096;

/// Whom a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// A client, and the address it connected to.
    Client {
        /// The client.
        source: SocketAddr,
        /// Where it connected.
        destination: SocketAddr,
    },
    /// The load balancer itself, such as a health check, or a client that it cannot name. The socket's own address
    /// stands.
    Itself,
}

/// A header and the bytes read behind it, which belong to what follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Whom the connection is for.
    pub origin: Origin,
    /// To be read before anything else.
    pub rest: Vec<u8>,
}

/// Why there is no header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// It was not complete in time.
    Slow,
    /// The connection ended or broke before.
    Gone(String),
    /// What came is not a PROXY header.
    Malformed(String),
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Slow => f.write_str("no PROXY header in time"),
            Self::Gone(why) => write!(f, "no PROXY header: {why}"),
            Self::Malformed(why) => write!(f, "not a PROXY header: {why}"),
        }
    }
}

impl std::error::Error for Refused {}

/// Takes the header off a connection that Pingora accepted, within `limit`. What was read behind it is put back.
///
/// # Errors
/// Why there is none; the connection is closed then.
pub async fn take(stream: Stream, limit: Duration) -> Result<(Stream, Origin), Refused> {
    // Only the concrete stream takes bytes back.
    let mut plain = stream
        .into_any()
        .downcast::<Plain>()
        .map_err(|_| Refused::Gone("not a plain connection".to_owned()))?;
    let header = read(&mut *plain, limit).await?;
    plain.rewind(&header.rest);
    Ok((plain, header.origin))
}

/// Reads the header of a new connection within `limit`.
///
/// # Errors
/// Why there is none; the connection is of no use then.
pub async fn read(
    stream: &mut (impl AsyncRead + Unpin),
    limit: Duration,
) -> Result<Header, Refused> {
    timeout(limit, read_header(stream))
        .await
        .unwrap_or(Err(Refused::Slow))
}

async fn read_header(stream: &mut (impl AsyncRead + Unpin)) -> Result<Header, Refused> {
    let mut read = Vec::with_capacity(256);
    loop {
        match parse(&read) {
            Parsed::Header { origin, length } => {
                let rest = read.split_off(length);
                return Ok(Header { origin, rest });
            }
            Parsed::Malformed(why) => return Err(Refused::Malformed(why)),
            Parsed::Incomplete => {}
        }
        match stream.read_buf(&mut read).await {
            Ok(0) => {
                let error = io::Error::from(io::ErrorKind::UnexpectedEof);
                return Err(Refused::Gone(error.to_string()));
            }
            Ok(_) => {}
            Err(error) => return Err(Refused::Gone(error.to_string())),
        }
    }
}

/// What the bytes read so far are.
#[derive(Debug, PartialEq, Eq)]
enum Parsed {
    Header { origin: Origin, length: usize },
    Incomplete,
    Malformed(String),
}

/// Finds where the header ends and has the crate read exactly that: how it takes partial input is its own affair.
fn parse(bytes: &[u8]) -> Parsed {
    if begins(bytes, v2::PROTOCOL_PREFIX) {
        parse_v2(bytes)
    } else if begins(bytes, b"PROXY ") {
        parse_v1(bytes)
    } else {
        Parsed::Malformed("it begins with something else".to_owned())
    }
}

/// Whether `bytes` can still become something that begins with `mark`.
fn begins(bytes: &[u8], mark: &[u8]) -> bool {
    let known = bytes.len().min(mark.len());
    bytes[..known] == mark[..known]
}

fn parse_v1(bytes: &[u8]) -> Parsed {
    let line = &bytes[..bytes.len().min(LONGEST_V1)];
    let Some(end) = line.iter().position(|byte| *byte == b'\n') else {
        return match bytes.len() < LONGEST_V1 {
            true => Parsed::Incomplete,
            false => Parsed::Malformed(format!("its line is longer than {LONGEST_V1} bytes")),
        };
    };
    let length = end + 1;
    match v1::Header::try_from(&bytes[..length]) {
        Ok(header) => Parsed::Header {
            origin: match header.addresses {
                v1::Addresses::Tcp4(ip) => client(
                    (ip.source_address, ip.source_port),
                    (ip.destination_address, ip.destination_port),
                ),
                v1::Addresses::Tcp6(ip) => client(
                    (ip.source_address, ip.source_port),
                    (ip.destination_address, ip.destination_port),
                ),
                v1::Addresses::Unknown => Origin::Itself,
            },
            length,
        },
        Err(error) => Parsed::Malformed(error.to_string()),
    }
}

fn parse_v2(bytes: &[u8]) -> Parsed {
    let Some([high, low]) = bytes
        .get(FIXED_V2 - 2..FIXED_V2)
        .and_then(|length| <[u8; 2]>::try_from(length).ok())
    else {
        return Parsed::Incomplete;
    };
    let length = FIXED_V2 + usize::from(u16::from_be_bytes([high, low]));
    if length > LONGEST_V2 {
        return Parsed::Malformed(format!("it is longer than {LONGEST_V2} bytes"));
    }
    if bytes.len() < length {
        return Parsed::Incomplete;
    }
    let header = match v2::Header::try_from(&bytes[..length]) {
        Ok(header) => header,
        Err(error) => return Parsed::Malformed(error.to_string()),
    };
    let origin = match (header.command, header.protocol, header.addresses) {
        (v2::Command::Proxy, v2::Protocol::Stream, v2::Addresses::IPv4(ip)) => client(
            (ip.source_address, ip.source_port),
            (ip.destination_address, ip.destination_port),
        ),
        (v2::Command::Proxy, v2::Protocol::Stream, v2::Addresses::IPv6(ip)) => client(
            (ip.source_address, ip.source_port),
            (ip.destination_address, ip.destination_port),
        ),
        // LOCAL's addresses are to be ignored, and other families have none that are of use here.
        _ => Origin::Itself,
    };
    Parsed::Header { origin, length }
}

/// IPv4 clients that come through an IPv6 listener are the clients they are.
fn client(source: (impl Into<IpAddr>, u16), destination: (impl Into<IpAddr>, u16)) -> Origin {
    Origin::Client {
        source: SocketAddr::new(source.0.into().to_canonical(), source.1),
        destination: SocketAddr::new(destination.0.into().to_canonical(), destination.1),
    }
}

#[cfg(test)]
mod tests;
