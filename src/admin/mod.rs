//! The admin listener: `/metrics`, `/healthz`, `/readyz` and the admin API under `/api/v1`.

mod curve;
mod gauges;
mod status;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use async_trait::async_trait;
use http::{Method, Response, StatusCode};
use parking_lot::Mutex;
use pingora::apps::http_app::ServeHttp;
use pingora::protocols::http::ServerSession;
use serde_json::{Value, json};

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

    async fn answer(&self, method: &Method, path: &str) -> (StatusCode, &'static str, Vec<u8>) {
        match (method, path) {
            (&Method::GET, "/healthz") => text(StatusCode::OK, "ok\n"),
            (&Method::GET, "/readyz") => self.ready(),
            (&Method::GET, "/metrics") => {
                let _one_at_a_time = self.scraping.lock();
                gauges::refresh(&self.live.snapshot(), Instant::now());
                match metrics::render() {
                    Ok(body) => (
                        StatusCode::OK,
                        "text/plain; version=0.0.4; charset=utf-8",
                        body,
                    ),
                    Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, &format!("{error}\n")),
                }
            }
            (&Method::GET, "/api/v1/status") => json(
                StatusCode::OK,
                &status::of(
                    &self.live,
                    self.draining.load(Ordering::Acquire),
                    Instant::now(),
                ),
            ),
            (&Method::POST, "/api/v1/reload") => self.reload().await,
            (&Method::GET, path) if curve_of(path).is_some() => {
                let snapshot = self.live.snapshot();
                let cache = curve_of(path).and_then(|name| snapshot.caches.get(name));
                match cache {
                    Some(cache) => json(StatusCode::OK, &curve::of(cache)),
                    None => failure(StatusCode::NOT_FOUND, "there is no such cache"),
                }
            }
            (_, "/healthz" | "/readyz" | "/metrics" | "/api/v1/status" | "/api/v1/reload") => {
                failure(
                    StatusCode::METHOD_NOT_ALLOWED,
                    &format!("{method} is not understood on {path}"),
                )
            }
            _ => failure(
                StatusCode::NOT_FOUND,
                "known paths: /healthz /readyz /metrics /api/v1/status /api/v1/reload",
            ),
        }
    }

    /// Ready while not draining and at least one peer takes requests.
    fn ready(&self) -> (StatusCode, &'static str, Vec<u8>) {
        if self.draining.load(Ordering::Acquire) {
            return text(StatusCode::SERVICE_UNAVAILABLE, "draining\n");
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
            text(StatusCode::OK, "ready\n")
        } else {
            text(StatusCode::SERVICE_UNAVAILABLE, "no peer takes requests\n")
        }
    }

    async fn reload(&self) -> (StatusCode, &'static str, Vec<u8>) {
        let live = Arc::clone(&self.live);
        let reloaded = tokio::task::spawn_blocking(move || live.reload("admin API")).await;
        match reloaded {
            Ok(Ok(done)) => json(
                StatusCode::OK,
                &json!({ "reloaded": true, "generation": done.generation, "needs_restart": done.needs_restart }),
            ),
            Ok(Err(Refused(errors))) => json(
                StatusCode::UNPROCESSABLE_ENTITY,
                &json!({ "reloaded": false, "errors": errors.lines().collect::<Vec<_>>() }),
            ),
            Err(error) => failure(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
        }
    }
}

#[async_trait]
impl ServeHttp for Admin {
    async fn response(&self, session: &mut ServerSession) -> Response<Vec<u8>> {
        let head = session.req_header();
        let (method, path) = (head.method.clone(), head.uri.path().to_owned());
        let (status, content_type, body) = self.answer(&method, &path).await;
        let length = body.len();
        let mut response = Response::new(body);
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(
            http::header::CONTENT_TYPE,
            http::HeaderValue::from_static(content_type),
        );
        headers.insert(
            http::header::CONTENT_LENGTH,
            http::HeaderValue::from(length),
        );
        response
    }
}

fn text(status: StatusCode, body: &str) -> (StatusCode, &'static str, Vec<u8>) {
    (
        status,
        "text/plain; charset=utf-8",
        body.as_bytes().to_vec(),
    )
}

fn json(status: StatusCode, body: &Value) -> (StatusCode, &'static str, Vec<u8>) {
    let mut text = serde_json::to_vec_pretty(body).unwrap_or_default();
    text.push(b'\n');
    (status, "application/json", text)
}

/// The cache whose curve is asked for.
fn curve_of(path: &str) -> Option<&str> {
    path.strip_prefix("/api/v1/cache/")?.strip_suffix("/curve")
}

fn failure(status: StatusCode, message: &str) -> (StatusCode, &'static str, Vec<u8>) {
    json(
        status,
        &json!({ "error": { "message": message, "type": "invalid_request_error" } }),
    )
}
