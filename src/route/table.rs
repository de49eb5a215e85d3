//! The routes in file order; the first match wins.

use std::sync::Arc;

use super::pattern::Pattern;
use crate::config::model::{Config, Route};

/// The routes of one configuration.
#[derive(Debug, Clone)]
pub struct RouteTable {
    rows: Vec<Row>,
}

#[derive(Debug, Clone)]
struct Row {
    path: Pattern,
    model: Pattern,
    route: Arc<Route>,
}

impl RouteTable {
    /// The table of a configuration.
    pub fn new(config: &Config) -> Self {
        let row = |route: &Route| Row {
            path: Pattern::new(route.path.as_ref()),
            model: Pattern::new(route.model.as_ref()),
            route: Arc::new(route.clone()),
        };
        Self {
            rows: config.routes.iter().map(row).collect(),
        }
    }

    /// The first route that takes a request for `path` (without its query) and `model`; `None` where none does.
    ///
    /// A route that names a model never takes a request without one. Allocates nothing.
    pub fn find(&self, path: &str, model: Option<&str>) -> Option<&Arc<Route>> {
        let row = self
            .rows
            .iter()
            .find(|row| row.path.matches(Some(path)) && row.model.matches(model));
        row.map(|row| &row.route)
    }

    /// Every route, in file order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Route>> {
        self.rows.iter().map(|row| &row.route)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn table(routes: &str) -> RouteTable {
        let text = format!(
            "listen: [{{address: 127.0.0.1:1}}]\npools:\n  a: {{peers: [{{address: a:1}}]}}\n  b: {{peers: [{{address: b:1}}]}}\nroutes:\n{routes}"
        );
        RouteTable::new(&crate::config::parse(&text, Path::new("")).unwrap().config)
    }

    fn found<'t>(table: &'t RouteTable, path: &str, model: Option<&str>) -> Option<&'t str> {
        table.find(path, model).map(|route| route.name.as_str())
    }

    #[test]
    fn the_first_match_wins() {
        let table = table(
            "  - {name: qwen, match: {path: /v1/*, model: \"qwen*\"}, pool: a}\n  - {name: v1, match: {path: /v1/*}, pool: b}\n  - {name: exact, match: {path: /metrics}, pool: b}\n",
        );
        assert_eq!(
            found(&table, "/v1/chat/completions", Some("qwen3-8b")),
            Some("qwen")
        );
        assert_eq!(
            found(&table, "/v1/chat/completions", Some("llama")),
            Some("v1")
        );
        assert_eq!(found(&table, "/v1/chat/completions", None), Some("v1"));
        assert_eq!(found(&table, "/metrics", None), Some("exact"));
        assert_eq!(found(&table, "/metrics/x", None), None);
        assert_eq!(found(&table, "/v2/chat", Some("qwen3-8b")), None);
    }

    #[test]
    fn a_route_without_match_takes_all() {
        let table = table("  - {pool: b}\n  - {pool: a, match: {model: \"*\"}}\n");
        assert_eq!(found(&table, "/", None), Some("route-1"));
        assert_eq!(
            table
                .iter()
                .map(|route| route.pool.as_str())
                .collect::<Vec<_>>(),
            ["b", "a"]
        );
    }

    #[test]
    fn a_route_for_any_model_leaves_requests_without_one() {
        let table = table(
            "  - {name: models, match: {model: \"*\"}, pool: a}\n  - {name: rest, pool: b}\n",
        );
        assert_eq!(found(&table, "/v1/completions", Some("")), Some("models"));
        assert_eq!(found(&table, "/health", None), Some("rest"));
    }
}
