//! What is known of one request, from its first byte to its log line.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use crate::admit;
use crate::front::Session;
use crate::llm::{Dialect, Usage};
use crate::metrics::events::{AbortStage, InFlight};
use crate::route::Route;
use crate::state::Snapshot;

/// One request.
pub(super) struct Ctx {
    /// The configuration it lives under, from beginning to end.
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) start: Instant,
    pub(super) arrived: SystemTime,
    pub(super) in_flight: InFlight,
    pub(super) request_id: String,
    /// The path with its escapes resolved, where it has any: what the peer will take it for.
    unescaped: Option<String>,
    pub(super) client_ip: Option<IpAddr>,
    /// Whose error envelope the client understands.
    pub(super) dialect: Dialect,
    pub(super) client: Option<Arc<admit::Client>>,
    pub(super) route: Option<Arc<Route>>,
    pub(super) record: Record,
    /// Headers of ours for the answer, whoever writes it.
    pub(super) headers: Vec<(&'static str, String)>,
}

/// What the log line and the counters need.
#[derive(Debug, Default)]
pub(super) struct Record {
    pub(super) model: Option<String>,
    pub(super) response_model: Option<String>,
    pub(super) stream: bool,
    pub(super) error_type: &'static str,
    pub(super) upstream: Option<String>,
    pub(super) attempts: u32,
    pub(super) usage: Option<Usage>,
    pub(super) finish_reason: Option<String>,
    pub(super) cache_status: Option<&'static str>,
    pub(super) cache_id: Option<String>,
    pub(super) cache_similarity: Option<f32>,
    pub(super) limit_bound: Option<&'static str>,
    pub(super) first_byte: Option<Duration>,
    /// An answer of a model is coming: its first byte is worth a statistic.
    pub(super) metered: bool,
    /// When the first and the last token passed.
    pub(super) tokens: Option<(Instant, Instant)>,
    /// Time that is not ours: reading the client's body, the queue, the peer.
    pub(super) waited: Duration,
    pub(super) queued: Option<Duration>,
    /// Our own time until the request left for a peer or its answer for the client.
    pub(super) overhead: Option<Duration>,
    pub(super) overhead_kind: &'static str,
    pub(super) aborted: Option<AbortStage>,
}

impl Ctx {
    pub(super) fn new(snapshot: Arc<Snapshot>, start: Instant) -> Self {
        Self {
            snapshot,
            start,
            arrived: SystemTime::now(),
            in_flight: InFlight::begin(),
            request_id: String::new(),
            unescaped: None,
            client_ip: None,
            dialect: Dialect::OpenAi,
            client: None,
            route: None,
            record: Record::default(),
            headers: Vec::new(),
        }
    }

    /// Reads who asks for what off the request head.
    pub(super) fn identify(&mut self, session: &Session) {
        let head = session.head();
        self.unescaped = unescaped(head.uri.path());
        self.dialect = Dialect::of_path(self.path(session));
        self.client_ip = session.client().map(|address| address.ip());
        self.request_id = match head
            .headers
            .get("x-request-id")
            .and_then(|id| id.to_str().ok())
        {
            Some(id) if !id.is_empty() && id.len() <= 128 => id.to_owned(),
            _ => format!("req_{:032x}", fastrand::u128(..)),
        };
    }

    /// The path that decides what a request is. Peers resolve escapes, so a request must not be able to hide behind them.
    pub(super) fn path<'a>(&'a self, session: &'a Session) -> &'a str {
        match &self.unescaped {
            Some(path) => path,
            None => session.head().uri.path(),
        }
    }

    pub(super) fn client_left(&mut self, stage: AbortStage) {
        self.record.aborted = Some(stage);
        self.record.error_type = "caller_gone";
    }

    /// Adds a header of ours to the answer.
    pub(super) fn header(&mut self, name: &'static str, value: impl Into<String>) {
        self.headers.push((name, value.into()));
    }

    /// Counts the time since `since` as not ours.
    pub(super) fn waited_since(&mut self, since: Instant) -> Duration {
        let waited = since.elapsed();
        self.record.waited += waited;
        waited
    }

    /// Our part is done: whatever takes time from here on is the peer's or the client's.
    pub(super) fn overhead_ends(&mut self, kind: &'static str) {
        if self.record.overhead.is_none() {
            self.record.overhead = Some(self.start.elapsed().saturating_sub(self.record.waited));
            self.record.overhead_kind = kind;
        }
    }

    pub(super) fn route_name(&self) -> &str {
        self.route.as_ref().map_or("none", |route| &route.name)
    }
}

/// `path` with its escapes resolved once, if it has any and they make text.
fn unescaped(path: &str) -> Option<String> {
    if !path.contains('%') {
        return None;
    }
    let hex = |byte: Option<&u8>| char::from(*byte?).to_digit(16);
    let (bytes, mut at) = (path.as_bytes(), 0);
    let mut plain = Vec::with_capacity(bytes.len());
    while let Some(byte) = bytes.get(at) {
        match (byte, hex(bytes.get(at + 1)), hex(bytes.get(at + 2))) {
            (b'%', Some(high), Some(low)) => {
                plain.extend(u8::try_from(high * 16 + low));
                at += 3;
            }
            _ => {
                plain.push(*byte);
                at += 1;
            }
        }
    }
    String::from_utf8(plain).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_resolved_once_and_only_where_they_are_escapes() {
        assert_eq!(unescaped("/v1/x"), None);
        assert_eq!(unescaped("/%76%31/x%2Fy").as_deref(), Some("/v1/x/y"));
        assert_eq!(unescaped("/%2576").as_deref(), Some("/%76"));
        assert_eq!(unescaped("/%zz%4").as_deref(), Some("/%zz%4"));
        assert_eq!(unescaped("/%ff"), None);
    }
}
