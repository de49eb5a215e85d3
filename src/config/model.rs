//! The configuration as the rest of Tollgate sees it: validated, defaults filled in, nothing left to parse.
//!
//! `raw.rs` mirrors the YAML, `validate.rs` turns it into this. An `Option` here is a choice the operator has
//! ("no cap"), never a value that somebody still has to default.

use std::path::PathBuf;
use std::time::Duration;

use globset::GlobMatcher;
use log::LevelFilter;

mod cache;
mod edge;
mod route;

pub use cache::{
    Cache, Decision, Embedder, Judge, Pattern, Pooling, Reranker, Scope, Semantic, SemanticMode,
    SingleFlight, Store, TtlRule, TtlWhen,
};
pub use edge::{Admin, AdminToken, ClientRules, Listen, ListenTls, PeerTls};
pub use route::{
    Action, HeaderEdits, HeaderMatch, HostPattern, Match, Mirror, Redirect, Respond, Rewrite,
    Route, TimeoutOverrides, Unavailable,
};

/// One validated configuration file.
#[derive(Debug, Clone)]
pub struct Config {
    /// Addresses clients connect to. Changing them needs a restart.
    pub listen: Vec<Listen>,
    /// What clients may do and take.
    pub client: ClientRules,
    /// The admin listener; `None` when the file has no `admin`. Changing its address needs a restart.
    pub admin: Option<Admin>,
    /// Worker threads of the proxy. Changing it needs a restart.
    pub threads: usize,
    /// Largest request body that is accepted on model API paths, in bytes.
    pub max_body: u64,
    /// How long running streams may go on after SIGTERM.
    pub shutdown_grace: Duration,
    /// Where a new binary takes over from the running one. Changing it needs a restart.
    pub upgrade_socket: UpgradeSocket,
    /// The access log.
    pub access_log: AccessLog,
    /// The error log.
    pub error_log: ErrorLog,
    /// Pools, in file order.
    pub pools: Vec<Pool>,
    /// Routes, in file order; the first match wins. A file without routes gets one that sends all to its only pool.
    pub routes: Vec<Route>,
    /// Caches, in file order.
    pub caches: Vec<Cache>,
    /// Keys; `None` means that no key is asked for.
    pub keys: Option<Vec<Key>>,
    /// Priority of each tier that the file names.
    pub tiers: Vec<Tier>,
    /// Limits, all of which must admit a request.
    pub limits: Vec<Limit>,
    /// What tokens cost; the first whose model matches counts.
    pub prices: Vec<Price>,
}

/// The Unix socket over which a new binary takes over from the running one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UpgradeSocket {
    /// In the runtime directory that systemd gives; none where it gives none.
    Auto,
    /// None.
    Off,
    /// Here.
    At(PathBuf),
}

/// One line per request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessLog {
    /// Where lines go.
    pub to: AccessLogTo,
    /// How they look.
    pub format: LogFormat,
}

/// Where access log lines go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccessLogTo {
    /// No access log.
    Off,
    /// Standard output.
    Stdout,
    /// Appended to a file.
    File(PathBuf),
}

/// How access log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// A JSON object a line.
    Json,
    /// nginx's `combined`.
    Combined,
}

/// What Tollgate has to say about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorLog {
    /// The file; `None` = standard error.
    pub file: Option<PathBuf>,
    /// The least that is said.
    pub level: LevelFilter,
}

/// A group of peers that serve the same models.
#[derive(Debug, Clone)]
pub struct Pool {
    /// Name in the file.
    pub name: String,
    /// What software the peers run.
    pub engine: Engine,
    /// How a peer is chosen.
    pub balance: Balance,
    /// TLS to the peers; `None` = plain.
    pub tls: Option<PeerTls>,
    /// HTTP/2 to the peers: by ALPN with TLS, by prior knowledge without.
    pub http2: bool,
    /// The peers.
    pub peers: Vec<Peer>,
    /// Active health checks; `None` switches them off.
    pub health: Option<Health>,
    /// Passive ejection of peers that fail real requests.
    pub eject: Eject,
    /// Pauses that peers ask for; `None` = they are not given.
    pub cooldown: Option<Cooldown>,
    /// How long a returning peer takes to get its full share.
    pub slow_start: Duration,
    /// How often DNS names of peers are resolved again.
    pub resolve_every: Duration,
    /// Time limits of an exchange with a peer.
    pub timeouts: Timeouts,
    /// When a request may be tried on another peer.
    pub retry: Retry,
    /// Where requests wait when every peer is at its `max_requests`.
    pub queue: Queue,
}

/// The software behind a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// vLLM.
    Vllm,
    /// SGLang.
    Sglang,
    /// llama.cpp's server.
    LlamaCpp,
    /// Hugging Face text-generation-inference.
    Tgi,
    /// A hosted OpenAI API.
    OpenAi,
    /// A hosted Anthropic API.
    Anthropic,
    /// Any HTTP server.
    Http,
}

/// How a pool chooses among its peers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Balance {
    /// Least outstanding tokens over weight.
    LeastTokens,
    /// Least requests in flight over weight.
    LeastRequests,
    /// Smooth weighted round robin.
    RoundRobin,
    /// Weighted random.
    Random,
    /// The less loaded (in tokens) of two random peers.
    PowerOfTwo,
    /// The same client address goes to the same peer.
    IpHash,
}

/// One peer as configured.
#[derive(Debug, Clone, PartialEq)]
pub struct Peer {
    /// IP address or DNS name.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Share relative to the pool's other peers, > 0.
    pub weight: f64,
    /// Most requests in flight; `None` = no cap.
    pub max_requests: Option<u32>,
    /// Only used while no other peer can take a request.
    pub backup: bool,
}

/// Active health checks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// Path asked with GET; 2xx is healthy.
    pub path: String,
    /// Time between checks.
    pub interval: Duration,
    /// Time an answer may take.
    pub timeout: Duration,
    /// Failures in a row that take a peer out.
    pub unhealthy_after: u32,
    /// Successes in a row that bring it back.
    pub healthy_after: u32,
}

/// Passive ejection: real requests that fail take a peer out for a while.
#[derive(Debug, Clone, PartialEq)]
pub struct Eject {
    /// Failures in a row that eject a peer; 0 switches ejection off.
    pub after: u32,
    /// First ejection time; doubled at each ejection in a row, up to `max`.
    pub base: Duration,
    /// Longest ejection time.
    pub max: Duration,
    /// Largest share of the peers that is out at once, 0 to 1, rounded up. The last usable peer always stays.
    pub max_ejected: f64,
}

/// Pauses that peers ask for with a 429, or a 503 that says for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cooldown {
    /// Pause of a peer that names no time.
    pub default: Duration,
    /// Longest pause, whatever the peer asks for.
    pub max: Duration,
}

/// Time limits of an exchange with a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// TCP connect.
    pub connect: Duration,
    /// From the request sent to the first byte of the response head.
    pub first_byte: Duration,
    /// Between two reads of the response.
    pub between_chunks: Duration,
    /// The whole exchange, from the first attempt to the last byte.
    pub total: Duration,
}

/// When a request is tried again on another peer. Never after the first byte went to the client.
#[derive(Debug, Clone, PartialEq)]
pub struct Retry {
    /// Attempts in all, the first included; at least 1.
    pub attempts: u32,
    /// Response statuses that are tried elsewhere.
    pub statuses: Vec<u16>,
    /// Backoff before attempt n is uniformly random in `[0, min(max_backoff, base_backoff * 2^(n-2))]`.
    pub base_backoff: Duration,
    /// Longest backoff.
    pub max_backoff: Duration,
    /// How many retries there may be in all; `None` = any number.
    pub budget: Option<RetryBudget>,
}

/// Bound of a pool's retries over the last 10 s.
#[derive(Debug, Clone, PartialEq)]
pub struct RetryBudget {
    /// Retries as a share of the requests.
    pub share: f64,
    /// Retries per second that are allowed besides, whatever the traffic.
    pub min_per_second: f64,
}

/// Bounds of the waiting room of a pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queue {
    /// Most requests waiting; 0 = nobody waits.
    pub max_requests: usize,
    /// Most bytes of waiting request bodies.
    pub max_bytes: u64,
    /// Longest wait.
    pub max_wait: Duration,
}

/// A client key, known by its hash only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// Name for logs and limits.
    pub name: String,
    /// SHA-256 of the key's bytes.
    pub sha256: [u8; 32],
    /// Tenant it belongs to; its own name when the file gives none.
    pub tenant: String,
    /// Tier, one of `tiers` or any free word.
    pub tier: Option<String>,
}

/// What a tier means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tier {
    /// Name in the file.
    pub name: String,
    /// Class in the queue.
    pub priority: Priority,
}

/// Class in the queue: all of a higher class go before any of a lower one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// First.
    High,
    /// Default.
    Normal,
    /// Last.
    Low,
}

/// One limit: a dimension and what each of its members may do.
#[derive(Debug, Clone, PartialEq)]
pub struct Limit {
    /// Whose use is counted together.
    pub per: Dimension,
    /// Only members of this tier; `None` = everybody.
    pub tier: Option<String>,
    /// Requests per time.
    pub requests: Option<Rate>,
    /// Tokens (input + output) per time.
    pub tokens: Option<Rate>,
    /// Requests at once.
    pub concurrency: Option<u32>,
}

/// Whose use is counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dimension {
    /// Each key; without `keys`, each client address.
    Key,
    /// Each tenant; without `keys`, everybody together.
    Tenant,
}

/// What the tokens of some models cost, in USD per million.
#[derive(Debug, Clone)]
pub struct Price {
    /// Glob on the model.
    pub model: GlobMatcher,
    /// Of the prompt.
    pub input: f64,
    /// Of the answer.
    pub output: f64,
}

/// A bucket of `amount` that refills evenly over `period`: `amount` at once pass, the next is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Size of the bucket, at least 1.
    pub amount: u64,
    /// Time in which an empty bucket fills.
    pub period: Duration,
}
