//! What is known of one request, from its first byte to its log line.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use http::{HeaderName, HeaderValue};

use super::stop::Stop;
use crate::admit;
use crate::config::model::Timeouts;
use crate::front::Session;
use crate::llm::error::ApiError;
use crate::llm::{Dialect, Usage};
use crate::metrics::events::{AbortStage, InFlight};
use crate::route::{Action, Route, normal_path};
use crate::state::{Pool, Snapshot};
use crate::util::client_address::client_address;
use crate::util::fields::Fields;
use crate::util::hex;

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// One request.
pub(super) struct Ctx {
    /// The configuration it lives under, from beginning to end.
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) start: Instant,
    /// The time as it was read last: what is done between two waits is done at one time.
    pub(super) now: Instant,
    pub(super) arrived: SystemTime,
    pub(super) in_flight: InFlight,
    pub(super) request_id: String,
    /// The path as a peer may take it, where the client wrote it in another way.
    normal_path: Option<String>,
    pub(super) client_ip: Option<IpAddr>,
    /// The connection comes from a proxy that is believed.
    pub(super) behind_proxy: bool,
    /// Ids of a trace that begins here, once there is one.
    pub(super) trace_ids: Option<(u128, u64)>,
    /// Whose error envelope the client understands.
    pub(super) dialect: Dialect,
    pub(super) client: Option<Arc<admit::Client>>,
    pub(super) route: Option<Arc<Route>>,
    pub(super) record: Record,
    /// Headers of ours for the answer, whoever writes it.
    pub(super) own: Fields,
}

/// What the log line and the counters need.
#[derive(Debug, Default)]
pub(super) struct Record {
    pub(super) model: Option<Arc<str>>,
    pub(super) response_model: Option<Arc<str>>,
    pub(super) stream: bool,
    pub(super) error_type: &'static str,
    pub(super) upstream: Option<Arc<str>>,
    pub(super) attempts: u32,
    pub(super) usage: Option<Usage>,
    /// Tokens that a cache saved, where they are not those of the whole answer.
    pub(super) saved: Option<Usage>,
    pub(super) finish_reason: Option<Arc<str>>,
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
            now: start,
            arrived: SystemTime::now(),
            in_flight: InFlight::begin(),
            request_id: String::new(),
            normal_path: None,
            client_ip: None,
            behind_proxy: false,
            trace_ids: None,
            dialect: Dialect::OpenAi,
            client: None,
            route: None,
            record: Record::default(),
            own: Fields::with_room(),
        }
    }

    /// Reads who asks for what off the request head.
    ///
    /// # Errors
    /// The path has no meaning.
    pub(super) fn identify(&mut self, session: &Session) -> Result<(), Stop> {
        let head = session.head();
        let trusted = &self.snapshot.trusted;
        let peer = session.client().map(|address| address.ip().to_canonical());
        self.behind_proxy = peer.is_some_and(|peer| trusted.contains(peer));
        self.client_ip = match peer {
            Some(peer) if self.behind_proxy => {
                let chain = head.headers.get_all("x-forwarded-for");
                let chain = chain.map(HeaderValue::as_bytes);
                Some(client_address(peer, trusted, chain))
            }
            peer => peer,
        };
        self.request_id = match head
            .headers
            .get(X_REQUEST_ID)
            .and_then(|id| id.to_str().ok())
        {
            Some(id) if !id.is_empty() && id.len() <= 128 => id.to_owned(),
            _ => {
                let mut id = String::with_capacity(36);
                id.push_str("req_");
                hex::push(fastrand::u128(..), 32, &mut id);
                id
            }
        };
        let path = normal_path(head.uri.path());
        let meaningless = path.is_none();
        if let Some(Cow::Owned(path)) = path {
            self.normal_path = Some(path);
        }
        self.dialect = Dialect::of_path(self.path(session));
        if meaningless {
            let why = "the path climbs above the root, or its escapes make no text";
            return Err(ApiError::bad_request(why, None).into());
        }
        Ok(())
    }

    /// The path that decides what a request is: another spelling of it must not lead around anything.
    pub(super) fn path<'a>(&'a self, session: &'a Session) -> &'a str {
        match &self.normal_path {
            Some(path) => path,
            None => session.head().uri.path(),
        }
    }

    pub(super) fn client_left(&mut self, stage: AbortStage) {
        self.record.aborted = Some(stage);
        self.record.error_type = "caller_gone";
    }

    /// Reads the time.
    pub(super) fn tick(&mut self) -> Instant {
        self.now = Instant::now();
        self.now
    }

    /// Counts the time since `since` as not ours.
    pub(super) fn waited_since(&mut self, since: Instant) -> Duration {
        let waited = self.tick().saturating_duration_since(since);
        self.record.waited += waited;
        waited
    }

    /// Our part is done: whatever takes time from here on is the peer's or the client's. Reads the time.
    pub(super) fn overhead_ends(&mut self, kind: &'static str) {
        let since = self.tick().saturating_duration_since(self.start);
        if self.record.overhead.is_none() {
            self.record.overhead = Some(since.saturating_sub(self.record.waited));
            self.record.overhead_kind = kind;
        }
    }

    /// The time limits at `pool`, the request's own, with those of its route in their place.
    pub(super) fn timeouts(&self, pool: &Pool) -> Timeouts {
        match self.route.as_ref().map(|route| &route.action) {
            Some(Action::Pool { name, timeouts }) if *name == pool.conf.name => *timeouts,
            _ => pool.conf.timeouts,
        }
    }

    pub(super) fn route_name(&self) -> &str {
        self.route.as_ref().map_or("none", |route| &route.name)
    }
}
