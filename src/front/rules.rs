//! What clients may do and take.

use std::time::Duration;

/// What holds for every connection of a client.
#[derive(Debug, Clone)]
pub struct Rules {
    /// Largest request head, in bytes.
    pub max_header_bytes: usize,
    /// A request head must be complete within this time of its first byte.
    pub header_timeout: Duration,
    /// Longest wait for the next bytes of a body.
    pub body_timeout: Duration,
    /// Longest wait for the next request on a connection.
    pub idle_timeout: Duration,
    /// Longest time in which a client takes nothing of its answer.
    pub write_timeout: Duration,
    /// Bytes a second that a body must come at on average, once `body_grace` of waiting is over; 0 = any.
    pub min_rate: u64,
    /// Whether HTTP/2 is spoken.
    pub http2: bool,
    /// Most connections at once.
    pub max_connections: usize,
    /// Most connections of one address at once; 0 = any number.
    pub max_connections_per_address: usize,
}

/// Waiting for a body in which no rate is asked for yet.
pub(super) const BODY_GRACE: Duration = Duration::from_secs(10);

impl Default for Rules {
    fn default() -> Self {
        Self {
            max_header_bytes: 32 * 1024,
            header_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(60),
            idle_timeout: Duration::from_secs(75),
            write_timeout: Duration::from_secs(60),
            min_rate: 256,
            http2: true,
            max_connections: 20_000,
            max_connections_per_address: 1_000,
        }
    }
}
