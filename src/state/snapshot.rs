//! One configuration with all that lives under it.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::admit::{KeyTable, Limiter, Queue};
use crate::balance;
use crate::cache::Cache;
use crate::config::model::{self, Config};
use crate::exchange::Reach;
use crate::front::Rules;
use crate::metrics::access_log::AccessLog;
use crate::route::RouteTable;
use crate::util::hash::Map;
use crate::util::ranges::Ranges;

/// Everything a request needs, as of one configuration. A request loads it once and keeps it to its end.
pub struct Snapshot {
    /// Number of the configuration, 1 at start.
    pub generation: u64,
    /// The configuration itself.
    pub config: Config,
    /// Which pool a request goes to.
    pub routes: RouteTable,
    /// What routes have that outlives a configuration, by name. Only routes with limits of their own or a mirror are here.
    pub routes_live: Map<String, RouteLive>,
    /// Proxies that are believed about whom they speak for.
    pub trusted: Ranges,
    /// Who may send.
    pub keys: KeyTable,
    /// How much they may send.
    pub limiter: Arc<Limiter>,
    /// What holds for the clients of each listener.
    pub listeners: Map<SocketAddr, Arc<Rules>>,
    /// Pools by name.
    pub pools: Map<String, Arc<Pool>>,
    /// Caches by name.
    pub caches: Map<String, Arc<Cache>>,
    /// Where lines about requests go.
    pub access_log: AccessLog,
}

/// What a route has that outlives a configuration.
pub struct RouteLive {
    /// How much may be sent to it.
    pub limiter: Arc<Limiter>,
    /// Room for copies of its requests, in bytes of their bodies.
    pub copies: Arc<Semaphore>,
    /// Room for questions to a judge about its answers.
    pub judged: Arc<Semaphore>,
}

/// A pool with its waiting room.
pub struct Pool {
    /// As configured.
    pub conf: model::Pool,
    /// Peers, their load and health, and how one is chosen.
    pub balance: balance::Pool,
    /// How the peers are spoken to.
    pub reach: Reach,
    /// Where requests wait while every peer is full.
    pub queue: Arc<Queue>,
}
