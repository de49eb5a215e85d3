//! What happens to a peer, and what that changes.

use std::time::Duration;

/// What an active probe found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Probe {
    /// A good answer in time.
    Passed,
    /// No answer, a late one or a bad one.
    Failed,
}

/// How a real request failed. Answers 4xx and clients that leave are no failures of the peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Failure {
    /// No connection.
    Connect,
    /// The connection broke or went silent after it was made.
    Reset,
    /// A 5xx answer.
    Status,
    /// No first byte in time.
    FirstByteTimeout,
}

impl Failure {
    /// The word used in status and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Reset => "reset",
            Self::Status => "status",
            Self::FirstByteTimeout => "first_byte_timeout",
        }
    }
}

/// What an event changed about a peer, for the log and the metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Change {
    /// Nothing that anybody needs to hear of.
    None,
    /// Probes took the peer out.
    ProbedDown,
    /// Probes brought the peer back.
    ProbedUp,
    /// Failed requests took the peer out for this long.
    Ejected(Duration),
    /// Enough failures for an ejection, but no other peer could have served, or `max_ejected` are out already.
    Spared,
    /// A trial request brought the peer back after an ejection.
    Returned,
    /// The peer asked for a pause and gets this much.
    CoolingDown(Duration),
}
