//! What is not a model API: health, metrics, and the knobs of the simulation under `/sim/`.

use std::sync::atomic::Ordering;

use http::Response;
use http::request::Parts;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::sim::engine::BLOCK_TOKENS;

use super::api::ApiError;
use super::app::App;
use super::body::AnswerBody;
use super::fault::{Fault, Planted};
use super::metrics;
use super::service::Reply;

/// 200 with an empty body while healthy, like vLLM, else 503.
pub(super) fn health(reply: Reply) -> Response<AnswerBody> {
    let status = if reply.app().healthy.load(Ordering::Relaxed) {
        200
    } else {
        503
    };
    reply.whole(status, "text/plain; charset=utf-8", "")
}

/// Metrics under vLLM's names.
pub(super) fn metrics(reply: Reply) -> Response<AnswerBody> {
    let text = metrics::render(reply.app());
    reply.whole(200, "text/plain; version=0.0.4; charset=utf-8", text)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PlantFault {
    kind: String,
    count: Option<u64>,
    probability: Option<f64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SetHealth {
    healthy: bool,
}

/// Serves `/sim/state`, `/sim/fault` and `/sim/health`.
pub(super) fn serve(reply: Reply, head: &Parts, body: &[u8]) -> Response<AnswerBody> {
    let app = reply.app();
    let done = match (head.method.as_str(), head.uri.path()) {
        // This request is in service itself.
        ("GET", "/sim/state") => Ok(state(app, 1)),
        ("POST", "/sim/fault") => plant(app, body),
        ("DELETE", "/sim/fault") => {
            app.faults.plant(None);
            Ok(json!({"fault": null}))
        }
        ("POST", "/sim/health") => read(body).map(|SetHealth { healthy }| {
            app.healthy.store(healthy, Ordering::Relaxed);
            json!({"healthy": healthy})
        }),
        (method, path) => Err(ApiError::new(404, format!("nothing at {method} {path}"))),
    };
    match done {
        Ok(value) => reply.json(200, &value),
        Err(error) => reply.error(None, &error),
    }
}

fn plant(app: &App, body: &[u8]) -> Result<Value, ApiError> {
    let PlantFault {
        kind,
        count,
        probability,
    } = read(body)?;
    let fault: Fault = kind
        .parse()
        .map_err(|error: String| ApiError::field("kind", error))?;
    let probability = probability.unwrap_or(1.0);
    if !(0.0..=1.0).contains(&probability) {
        return Err(ApiError::field(
            "probability",
            "probability must be from 0 to 1",
        ));
    }
    app.faults.plant(
        Some(Planted {
            fault,
            left: count,
            probability,
        })
        .filter(|planted| planted.left != Some(0)),
    );
    Ok(json!({"fault": kind, "count": count, "probability": probability}))
}

fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, ApiError> {
    serde_json::from_slice(body).map_err(|error| ApiError::new(400, error.to_string()))
}

/// The state of the server and its engine as one document, without `own` of the requests in service.
pub(super) fn state(app: &App, own: u64) -> Value {
    let (load, stats) = app.driver.look();
    let count = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
    json!({
        "name": app.config.name,
        "healthy": app.healthy.load(Ordering::Relaxed),
        "running": load.running,
        "waiting": load.waiting,
        "kv_used_tokens": load.kv_used * BLOCK_TOKENS,
        "kv_tokens": load.kv_blocks * BLOCK_TOKENS,
        "arrived": stats.arrived,
        "finished": stats.finished,
        "cancelled": stats.cancelled,
        "preempted": stats.preempted,
        "steps": stats.steps,
        "prompt_tokens": stats.prompt_tokens,
        "cached_tokens": stats.cached_tokens,
        "generated_tokens": stats.generated_tokens,
        "requests": count(&app.counts.requests),
        "in_flight": count(&app.counts.in_flight).saturating_sub(own),
        "faults": count(&app.counts.faults),
        "open_connections": count(&app.counts.connections),
        "clients_gone": count(&app.counts.clients_gone),
        "last_client_gone_unix_ms": app.counts.last_gone_unix_ms(),
        "now_unix_ms": app.now_unix_ms(),
    })
}
