//! The admin listener: `/metrics`, `/healthz`, `/readyz` and the admin API under `/api/v1`.

mod answer;
mod body;
mod cache;
mod curve;
mod gauges;
mod guard;
mod status;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use async_trait::async_trait;
use http::{Method, Response, StatusCode};
use parking_lot::Mutex;
use pingora::apps::http_app::ServeHttp;
use pingora::protocols::http::ServerSession;
use serde_json::json;

use self::answer::{Answer, Refusal};
use self::cache::Call;
use crate::metrics;
use crate::state::{Live, Refused};

/// Answers on the admin listener.
pub struct Admin {
    live: Arc<Live>,
    draining: Arc<AtomicBool>,
    /// Gauges are emptied and filled again: one scrape must not see another's empty ones.
    scraping: Mutex<()>,
}

impl Admin {
    /// Reports on `live`; not ready while `draining`.
    pub fn new(live: Arc<Live>, draining: Arc<AtomicBool>) -> Self {
        Self {
            live,
            draining,
            scraping: Mutex::new(()),
        }
    }

    async fn answer(&self, session: &mut ServerSession) -> Result<Answer, Refusal> {
        let head = session.req_header();
        let (method, path) = (head.method.clone(), head.uri.path().to_owned());
        if !path.starts_with("/api/") {
            return self.open(&method, &path);
        }
        let snapshot = self.live.snapshot();
        let conf = snapshot.config.admin.as_ref();
        guard::admit(&head.headers, conf)?;
        if !path.starts_with(cache::PATH) {
            return self.api(&method, &path).await;
        }
        let query = head.uri.query().unwrap_or_default().to_owned();
        let from = session
            .client_addr()
            .map_or_else(|| "somebody".to_owned(), ToString::to_string);
        let body = body::read(session).await?;
        let call = Call {
            method: &method,
            path: &path,
            query: &query,
            body: &body,
            trusted: conf.is_some_and(|conf| conf.token.is_some()),
            from: &from,
        };
        cache::answer(&self.live, &call).await
    }

    /// What asks for no token.
    fn open(&self, method: &Method, path: &str) -> Result<Answer, Refusal> {
        match (method, path) {
            (&Method::GET, "/healthz") => Ok(Answer::text(StatusCode::OK, "ok\n")),
            (&Method::GET, "/readyz") => Ok(self.ready()),
            (&Method::GET, "/metrics") => {
                let _one_at_a_time = self.scraping.lock();
                gauges::refresh(&self.live.snapshot(), Instant::now());
                Ok(match metrics::render() {
                    Ok(body) => Answer::of(
                        StatusCode::OK,
                        "text/plain; version=0.0.4; charset=utf-8",
                        body,
                    ),
                    Err(error) => {
                        Answer::text(StatusCode::INTERNAL_SERVER_ERROR, &format!("{error}\n"))
                    }
                })
            }
            (_, "/healthz" | "/readyz" | "/metrics") => Err(not_understood(method, path)),
            _ => Err(unknown()),
        }
    }

    async fn api(&self, method: &Method, path: &str) -> Result<Answer, Refusal> {
        match (method, path) {
            (&Method::GET, "/api/v1/status") => Ok(Answer::ok(&status::of(
                &self.live,
                self.draining.load(Ordering::Acquire),
                Instant::now(),
            ))),
            (&Method::POST, "/api/v1/reload") => self.reload().await,
            (_, "/api/v1/status" | "/api/v1/reload") => Err(not_understood(method, path)),
            _ => Err(unknown()),
        }
    }

    /// Ready while not draining and at least one peer takes requests.
    fn ready(&self) -> Answer {
        if self.draining.load(Ordering::Acquire) {
            return Answer::text(StatusCode::SERVICE_UNAVAILABLE, "draining\n");
        }
        let now = Instant::now();
        let snapshot = self.live.snapshot();
        let up = snapshot.pools.values().any(|pool| {
            pool.balance
                .views(now)
                .iter()
                .any(|peer| !peer.draining && peer.state.usable())
        });
        if up {
            Answer::text(StatusCode::OK, "ready\n")
        } else {
            Answer::text(StatusCode::SERVICE_UNAVAILABLE, "no peer takes requests\n")
        }
    }

    async fn reload(&self) -> Result<Answer, Refusal> {
        let live = Arc::clone(&self.live);
        let reloaded = tokio::task::spawn_blocking(move || live.reload("admin API")).await;
        match reloaded {
            Ok(Ok(done)) => Ok(Answer::ok(
                &json!({ "reloaded": true, "generation": done.generation, "needs_restart": done.needs_restart }),
            )),
            Ok(Err(Refused(errors))) => Ok(Answer::json(
                StatusCode::UNPROCESSABLE_ENTITY,
                &json!({ "reloaded": false, "errors": errors.lines().collect::<Vec<_>>() }),
            )),
            Err(error) => Err(Refusal::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                error.to_string(),
            )),
        }
    }
}

#[async_trait]
impl ServeHttp for Admin {
    async fn response(&self, session: &mut ServerSession) -> Response<Vec<u8>> {
        let answered = self.answer(session).await;
        answered.unwrap_or_else(Answer::from).into()
    }
}

fn not_understood(method: &Method, path: &str) -> Refusal {
    Refusal::new(
        StatusCode::METHOD_NOT_ALLOWED,
        format!("{method} is not understood on {path}"),
    )
}

fn unknown() -> Refusal {
    Refusal::not_found(
        "known paths: /healthz /readyz /metrics /api/v1/status /api/v1/reload /api/v1/cache",
    )
}
