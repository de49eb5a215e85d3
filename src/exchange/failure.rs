//! Why an exchange with a peer failed.

use std::fmt;

use pingora::{Error, ErrorType};

/// Why an exchange with a peer failed. Says enough to decide on a retry and on the status for the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// No connection: refused, unreachable, or not within `timeouts.connect`.
    Connect(String),
    /// The connection broke before the first byte of the answer.
    Reset(String),
    /// No first byte within `timeouts.first_byte`.
    FirstByteTimeout,
    /// The peer fell silent in the middle of the answer for `timeouts.between_chunks`.
    BetweenChunksTimeout,
    /// The whole exchange took longer than `timeouts.total`.
    TotalTimeout,
    /// The answer is not HTTP, or broke off in the middle.
    Broken(String),
    /// The request cannot be put to this peer, which has heard nothing of it and is not to blame.
    Unfit(String),
}

impl Failure {
    pub(super) fn connecting(error: &Error) -> Self {
        Self::Connect(describe(error))
    }

    /// A word for logs and metrics.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Connect(_) => "connect",
            Self::Reset(_) => "reset",
            Self::FirstByteTimeout => "first_byte_timeout",
            Self::BetweenChunksTimeout => "between_chunks_timeout",
            Self::TotalTimeout => "total_timeout",
            Self::Broken(_) => "broken",
            Self::Unfit(_) => "unfit",
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect(why) => write!(f, "cannot connect: {why}"),
            Self::Reset(why) => write!(f, "connection broke before the answer: {why}"),
            Self::FirstByteTimeout => f.write_str("no first byte in time"),
            Self::BetweenChunksTimeout => f.write_str("fell silent in the middle of the answer"),
            Self::TotalTimeout => f.write_str("the exchange took too long"),
            Self::Broken(why) => write!(f, "broken answer: {why}"),
            Self::Unfit(why) => f.write_str(why),
        }
    }
}

fn describe(error: &Error) -> String {
    match &error.context {
        Some(context) if *error.etype() == ErrorType::TLSHandshakeFailure => {
            handshake(context.as_str())
        }
        Some(context) => format!("{}: {}", error.etype().as_str(), context.as_str()),
        None => error.etype().as_str().to_owned(),
    }
}

/// Why a handshake failed: the cause alone, which Pingora names last.
fn handshake(context: &str) -> String {
    let cause = context
        .rsplit_once("cause: ")
        .map_or(context, |(_, why)| why);
    let cause = cause.rsplit_once(", SNI: ").map_or(cause, |(why, _)| why);
    // rustls's word for bytes that are no TLS.
    match cause.contains("InvalidContentType") {
        true => "what it answers to a TLS handshake is not TLS".to_owned(),
        false => format!("TLS: {cause}"),
    }
}
