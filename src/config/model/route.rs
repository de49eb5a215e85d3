//! `routes`: what a request must be to take one, and what becomes of it there.

use std::time::Duration;

use globset::GlobMatcher;
use http::{HeaderName, HeaderValue, Method, StatusCode};
use ipnet::IpNet;

use super::Limit;

/// What becomes of the requests that match.
#[derive(Debug, Clone)]
pub struct Route {
    /// Name for logs and metrics: the operator's, or `route-N` counted from 1 in file order.
    pub name: String,
    /// What a request must be.
    pub matches: Match,
    /// Client addresses that may use it; empty = all.
    pub allow: Vec<IpNet>,
    /// Client addresses that may not, whatever `allow` says.
    pub deny: Vec<IpNet>,
    /// Where requests end.
    pub action: Action,
    /// What is changed on the way to a peer and back.
    pub rewrite: Rewrite,
    /// Name of an existing cache; `None` = not cached.
    pub cache: Option<String>,
    /// Longest life of its answers in the cache; `None` = as the cache has it.
    pub cache_ttl: Option<Duration>,
    /// What clients of the model API get when no peer can answer; `None` = the error.
    pub unavailable: Option<Unavailable>,
    /// Limits of this route alone, besides those of the file.
    pub limits: Vec<Limit>,
    /// Time limits that override the pool's.
    pub timeouts: TimeoutOverrides,
    /// Largest request body, in bytes; `None` = `Config::max_body` on model API paths, no cap on others.
    pub max_body: Option<u64>,
    /// Where copies of requests go.
    pub mirror: Option<Mirror>,
}

/// Conditions on a request; all must hold. The default holds for every request.
#[derive(Debug, Clone, Default)]
pub struct Match {
    /// Any of these; empty = any host, also none.
    pub hosts: Vec<HostPattern>,
    /// Glob on the path.
    pub path: Option<GlobMatcher>,
    /// Any of these; empty = any method.
    pub methods: Vec<Method>,
    /// All of these.
    pub headers: Vec<HeaderMatch>,
    /// Glob on the model; `None` matches all, also requests without a model.
    pub model: Option<GlobMatcher>,
    /// Glob on the tenant; `None` matches all, also requests without one.
    pub tenant: Option<GlobMatcher>,
}

/// A host, in lower case, without port and trailing dot.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum HostPattern {
    /// This name or address.
    Exact(String),
    /// `*.suffix`: any name that ends in `.suffix`, one label or more above it.
    Under(String),
}

/// A condition on the values of one header.
#[derive(Debug, Clone)]
pub struct HeaderMatch {
    /// Which header.
    pub name: HeaderName,
    /// Glob on a value.
    pub value: GlobMatcher,
    /// `false`: some value must match. `true`: none may, so that `*` means the header must be absent.
    pub negated: bool,
}

/// Where requests end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// At a peer of this pool, which exists.
    Pool(String),
    /// Here, with this answer.
    Respond(Respond),
    /// Elsewhere.
    Redirect(Redirect),
}

impl Action {
    /// The pool, if requests go to one.
    pub fn pool(&self) -> Option<&str> {
        match self {
            Self::Pool(pool) => Some(pool),
            Self::Respond(_) | Self::Redirect(_) => None,
        }
    }
}

/// An answer that is always the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Respond {
    /// Its status, 200 to 599.
    pub status: StatusCode,
    /// Its headers, `content-type` included where it has a body, `content-length` never.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Its body; empty for a status that has none.
    pub body: String,
}

/// An answer that sends the client elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redirect {
    /// `http://` or `https://` URL or a path, in which `{host}` stands for the request's host.
    pub to: String,
    /// 301, 302, 303, 307 or 308.
    pub status: StatusCode,
    /// Whether the request's path and query are appended.
    pub keep_path: bool,
}

/// A model's answer that is always the same, in the format of whatever endpoint was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unavailable {
    /// What the model says.
    pub text: String,
    /// Its status, 200 to 599.
    pub status: StatusCode,
}

/// What is changed on the way to a peer and back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rewrite {
    /// Taken off the front of the path, where it stands there as whole segments. Begins with `/`, does not end with it.
    pub strip_prefix: Option<String>,
    /// Put in front of the path after that. Begins with `/`, does not end with it.
    pub add_prefix: Option<String>,
    /// Changes of the request's headers.
    pub request: HeaderEdits,
    /// Changes of the answer's headers.
    pub response: HeaderEdits,
}

/// Changes of headers, made in this order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HeaderEdits {
    /// Taken away, all values.
    pub remove: Vec<HeaderName>,
    /// Given this one value, whatever was there.
    pub set: Vec<(HeaderName, HeaderValue)>,
    /// Given this value besides those that are there.
    pub add: Vec<(HeaderName, HeaderValue)>,
}

/// Time limits of a route that override its pool's; `None` = as the pool has it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TimeoutOverrides {
    /// TCP connect.
    pub connect: Option<Duration>,
    /// From the request sent to the first byte of the response head.
    pub first_byte: Option<Duration>,
    /// Between two reads of the response.
    pub between_chunks: Option<Duration>,
    /// The whole exchange.
    pub total: Option<Duration>,
}

impl TimeoutOverrides {
    /// The pool's time limits with these in their place.
    pub fn over(&self, pool: super::Timeouts) -> super::Timeouts {
        super::Timeouts {
            connect: self.connect.unwrap_or(pool.connect),
            first_byte: self.first_byte.unwrap_or(pool.first_byte),
            between_chunks: self.between_chunks.unwrap_or(pool.between_chunks),
            total: self.total.unwrap_or(pool.total),
        }
    }
}

/// Where copies of requests go; their answers are thrown away.
#[derive(Debug, Clone, PartialEq)]
pub struct Mirror {
    /// Name of an existing pool.
    pub pool: String,
    /// Share of the requests that are copied, above 0, at most 1.
    pub share: f64,
}
