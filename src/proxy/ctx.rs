//! What is known of one request, from its first byte to its log line.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use pingora::prelude::Session;

use crate::admit;
use crate::balance::Lease;
use crate::config::model::{Route, Timeouts};
use crate::llm::{Dialect, Usage};
use crate::metrics::events::{AbortStage, InFlight};
use crate::state::Snapshot;

/// One request.
pub struct Ctx {
    /// The configuration it lives under, from beginning to end.
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) start: Instant,
    pub(super) arrived: SystemTime,
    pub(super) in_flight: InFlight,
    pub(super) request_id: String,
    pub(super) client_ip: Option<IpAddr>,
    /// Whose error envelope the client understands.
    pub(super) dialect: Dialect,
    pub(super) client: Option<Arc<admit::Client>>,
    pub(super) route: Option<Arc<Route>>,
    pub(super) upgrade: Option<Upgrade>,
    pub(super) record: Record,
    /// Headers of ours for the answer, whoever writes it.
    pub(super) headers: Vec<(&'static str, String)>,
}

/// An upgraded connection's peer.
pub(super) struct Upgrade {
    pub(super) lease: Lease,
    pub(super) timeouts: Timeouts,
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
            client_ip: None,
            dialect: Dialect::OpenAi,
            client: None,
            route: None,
            upgrade: None,
            record: Record::default(),
            headers: Vec::new(),
        }
    }

    /// Reads who asks for what off the request head.
    pub(super) fn identify(&mut self, session: &Session) {
        let head = session.req_header();
        self.dialect = Dialect::of_path(head.uri.path());
        self.client_ip = session
            .client_addr()
            .and_then(|address| address.as_inet())
            .map(|address| address.ip());
        self.request_id = match head
            .headers
            .get("x-request-id")
            .and_then(|id| id.to_str().ok())
        {
            Some(id) if !id.is_empty() && id.len() <= 128 => id.to_owned(),
            _ => format!("req_{:032x}", fastrand::u128(..)),
        };
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
