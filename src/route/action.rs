//! One route, with everything that can be worked out before a request comes.

use std::time::Duration;

use super::access::Access;
use super::matcher::Matcher;
use super::mirror::Mirror;
use super::redirect::Redirect;
use super::respond::Respond;
use super::rewrite::Rewrite;
use crate::config::model::{self, Config, Limit, Timeouts, Unavailable};

/// One route.
#[derive(Debug, Clone)]
pub struct Route {
    /// Name for logs and metrics.
    pub name: String,
    /// Who may use it.
    pub access: Access,
    /// Where requests end.
    pub action: Action,
    /// What is changed on the way to a peer and back.
    pub rewrite: Rewrite,
    /// Name of its cache.
    pub cache: Option<String>,
    /// Longest life of its answers there; `None` = as the cache has it.
    pub cache_ttl: Option<Duration>,
    /// What clients of the model API get when no peer can answer; `None` = the error.
    pub unavailable: Option<Unavailable>,
    /// Limits of its own.
    pub limits: Vec<Limit>,
    /// Largest request body, in bytes; `None` = `max_body` of the file on model API paths, no cap on others.
    pub max_body: Option<u64>,
    /// Where copies go.
    pub mirror: Option<Mirror>,
    pub(super) matcher: Matcher,
}

/// Where requests end.
#[derive(Debug, Clone)]
pub enum Action {
    /// At a peer of a pool.
    Pool {
        /// Its name.
        name: String,
        /// The pool's time limits, with the route's own in their place.
        timeouts: Timeouts,
    },
    /// Here, with an answer that is always the same.
    Respond(Respond),
    /// Elsewhere.
    Redirect(Redirect),
}

impl Route {
    /// `None` where it leads to a pool that the configuration does not have, which validation refuses.
    pub(super) fn new(conf: &model::Route, config: &Config) -> Option<Self> {
        let action = match &conf.action {
            model::Action::Pool(name) => {
                let pool = config.pools.iter().find(|pool| pool.name == *name)?;
                Action::Pool {
                    name: name.clone(),
                    timeouts: conf.timeouts.over(pool.timeouts),
                }
            }
            model::Action::Respond(respond) => Action::Respond(Respond::new(respond)),
            model::Action::Redirect(redirect) => Action::Redirect(Redirect::new(redirect)),
        };
        Some(Self {
            name: conf.name.clone(),
            access: Access::new(&conf.allow, &conf.deny),
            action,
            rewrite: Rewrite::new(&conf.rewrite),
            cache: conf.cache.clone(),
            cache_ttl: conf.cache_ttl,
            unavailable: conf.unavailable.clone(),
            limits: conf.limits.clone(),
            max_body: conf.max_body,
            mirror: conf.mirror.as_ref().map(Mirror::new),
            matcher: Matcher::new(&conf.matches),
        })
    }

    /// Whether it asks no peer.
    pub fn answers(&self) -> bool {
        !matches!(self.action, Action::Pool { .. })
    }

    /// Whether it can refuse or answer a request by its head.
    pub(super) fn decides_early(&self) -> bool {
        self.answers() || !self.access.is_open() || self.max_body.is_some()
    }

    /// Name of its pool; empty where it answers itself.
    pub fn pool(&self) -> &str {
        match &self.action {
            Action::Pool { name, .. } => name,
            Action::Respond(_) | Action::Redirect(_) => "",
        }
    }
}
