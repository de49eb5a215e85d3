//! The routes in file order; the first match wins.

use std::sync::Arc;

use super::action::Route;
use super::host;
use super::matcher::Question;
use crate::config::model::Config;

/// The routes of one configuration.
#[derive(Debug, Clone)]
pub struct RouteTable {
    rows: Vec<Arc<Route>>,
    decides_early: bool,
}

impl RouteTable {
    /// The table of a configuration.
    pub fn new(config: &Config) -> Self {
        let rows = config.routes.iter();
        let rows: Vec<Arc<Route>> = rows
            .filter_map(|route| Route::new(route, config))
            .map(Arc::new)
            .collect();
        Self {
            decides_early: rows.iter().any(|route| route.decides_early()),
            rows,
        }
    }

    /// Whether any route has something to say before a request's body is read. Where none has, nobody needs to look.
    pub fn decides_early(&self) -> bool {
        self.decides_early
    }

    /// The first route that takes a request; `None` where none does.
    ///
    /// A route that names a model or tenant never takes a request without one. Allocates nothing.
    pub fn find(&self, question: &Question<'_>) -> Option<&Arc<Route>> {
        let host = question.host.map(host::bare);
        self.rows
            .iter()
            .find(|route| route.matcher.matches(question, host))
    }

    /// The route that takes a request whatever its model is; `None` where that has a say, or no route takes it.
    pub fn decided(&self, question: &Question<'_>) -> Option<&Arc<Route>> {
        let host = question.host.map(host::bare);
        self.rows
            .iter()
            .find(|route| route.matcher.matches_but_for_model(question, host))
            .filter(|route| route.matcher.takes_any_model())
    }

    /// Every route that may take a request whose model is not known yet, first to last.
    pub fn candidates<'t>(
        &'t self,
        question: &Question<'t>,
    ) -> impl Iterator<Item = &'t Arc<Route>> {
        let (question, host) = (*question, question.host.map(host::bare));
        let mut decided = false;
        self.rows
            .iter()
            .filter(move |route| route.matcher.matches_but_for_model(&question, host))
            .take_while(move |route| {
                let goes_on = !decided;
                decided |= route.matcher.takes_any_model();
                goes_on
            })
    }

    /// How large a body may be whose model is in it, in bytes: the most that any route allows it, `default` where it says
    /// nothing. The route that is then found may allow less.
    pub fn largest_body(&self, question: &Question<'_>, default: u64) -> u64 {
        let bodies = self
            .candidates(question)
            .map(|route| route.max_body.unwrap_or(default));
        bodies.max().unwrap_or(default)
    }

    /// Every route, in file order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Route>> {
        self.rows.iter()
    }
}

#[cfg(test)]
mod tests;
