//! One request, from its head to its answer.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use http::request::Parts;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use serde_json::Value;

use super::api::{Api, ApiError};
use super::app::{App, Exchange};
use super::body::{Aborted, AnswerBody};
use super::fault::{Break, Fault, Spoil};
use super::received::{MAX_KEPT, Received, echo, stamp};
use super::wire::Knobs;
use super::{admin, generate};

pub(super) type Answer = Result<Response<AnswerBody>, Aborted>;

/// What an answer is made with.
pub(super) struct Reply {
    pub(super) exchange: Exchange,
    pub(super) knobs: Arc<Knobs>,
    pub(super) fault: Option<Break>,
    pub(super) spoil: Option<Spoil>,
}

impl Reply {
    pub(super) fn app(&self) -> &Arc<App> {
        &self.exchange.app
    }

    /// An answer that is there already.
    pub(super) fn whole(
        self,
        status: u16,
        kind: &'static str,
        bytes: impl Into<Bytes>,
    ) -> Response<AnswerBody> {
        let body = AnswerBody::whole(bytes.into(), self.fault, self.exchange, self.knobs);
        response(status, kind, body)
    }

    pub(super) fn json(self, status: u16, value: &Value) -> Response<AnswerBody> {
        self.whole(status, "application/json", value.to_string())
    }

    pub(super) fn error(self, api: Option<Api>, error: &ApiError) -> Response<AnswerBody> {
        let mut response = self.json(error.status, &error.document(api));
        if let Some(seconds) = error.retry_after {
            response.headers_mut().insert(RETRY_AFTER, seconds.into());
        }
        response
    }
}

/// An answer with a status, a content type and a body.
pub(super) fn response(status: u16, kind: &'static str, body: AnswerBody) -> Response<AnswerBody> {
    let mut response = Response::new(body);
    *response.status_mut() =
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

/// Where a request goes.
enum Place {
    Health,
    Metrics,
    Models,
    Admin,
    Api(Api),
    EchoBody,
    Echo,
}

impl Place {
    fn of(head: &Parts) -> Self {
        match (head.uri.path(), &head.method) {
            ("/health", _) => Self::Health,
            ("/metrics", _) => Self::Metrics,
            ("/v1/models", &Method::GET) => Self::Models,
            ("/echo-body", _) => Self::EchoBody,
            (path, _) if path.starts_with("/sim/") => Self::Admin,
            (path, _) => Api::of(path).map_or(Self::Echo, Self::Api),
        }
    }
}

/// Serves one request.
///
/// # Errors
/// [`Aborted`] when the connection is to be closed without an answer.
pub(super) async fn serve(app: Arc<App>, knobs: Arc<Knobs>, request: Request<Incoming>) -> Answer {
    let (head, body) = request.into_parts();
    let exchange = app.begin();
    let mut reply = Reply {
        exchange,
        knobs,
        fault: None,
        spoil: None,
    };
    let place = Place::of(&head);
    let fault = match &place {
        Place::Api(_) | Place::Echo | Place::EchoBody => asked_fault(&app, &head.headers),
        _ => Ok(None),
    };
    if reply.knobs.is_stale() || fault == Ok(Some(Fault::Refuse)) {
        return refuse(reply);
    }
    let keep = !matches!(place, Place::Echo);
    let received = Received::read(body, keep).await?;
    let mut answer = match fault {
        Ok(fault) => {
            match fault {
                Some(Fault::Break(at)) => reply.fault = Some(at),
                Some(Fault::Spoil(spoil)) => reply.spoil = Some(spoil),
                _ => {}
            }
            struck(fault, reply, place, &head, &received).await?
        }
        Err(error) => reply.error(None, &error),
    };
    stamp(answer.headers_mut(), &app, &received);
    Ok(answer)
}

async fn struck(
    fault: Option<Fault>,
    reply: Reply,
    place: Place,
    head: &Parts,
    received: &Received,
) -> Answer {
    let api = if let Place::Api(api) = place {
        Some(api)
    } else {
        None
    };
    match fault {
        Some(Fault::Refuse | Fault::RefuseLate) => return refuse(reply),
        Some(Fault::Hang) => return std::future::pending().await,
        Some(Fault::Status { code, retry_after }) => {
            let error = ApiError {
                retry_after,
                ..ApiError::new(code, "the simulated engine fails on demand")
            };
            return Ok(reply.error(api, &error));
        }
        Some(Fault::Slow(time)) => tokio::time::sleep(time).await,
        Some(Fault::Stale) => reply.knobs.make_stale(),
        Some(Fault::HalfHead) => {
            reply.knobs.halve_head();
            return Ok(reply.whole(200, "application/json", "{}"));
        }
        Some(Fault::Break(_) | Fault::Spoil(_)) | None => {}
    }
    if received.too_large {
        return Ok(reply.error(
            api,
            &ApiError::new(413, format!("the body is larger than {MAX_KEPT} bytes")),
        ));
    }
    match place {
        Place::Api(api) if head.method != Method::POST => Ok(reply.error(
            Some(api),
            &ApiError::new(405, format!("{} is not allowed here", head.method)),
        )),
        Place::Api(Api::Embeddings) => Ok(generate::embeddings(reply, &received.bytes).await),
        Place::Api(api) => Ok(generate::text(reply, api, &head.headers, &received.bytes).await),
        Place::Health => Ok(admin::health(reply)),
        Place::Metrics => Ok(admin::metrics(reply)),
        Place::Models => Ok(generate::models(reply)),
        Place::Admin => Ok(admin::serve(reply, head, &received.bytes)),
        Place::EchoBody => Ok(reply.whole(200, "application/octet-stream", received.bytes.clone())),
        Place::Echo => Ok({
            let echo = echo(head, received, reply.app());
            reply.json(200, &echo)
        }),
    }
}

fn refuse(mut reply: Reply) -> Answer {
    reply.knobs.reset();
    reply.exchange.answered();
    Err(Aborted)
}

/// The fault for this request: the one it asks for, else the planted one.
fn asked_fault(app: &App, headers: &HeaderMap) -> Result<Option<Fault>, ApiError> {
    let fault = match headers.get("x-sim-fault") {
        Some(value) => {
            let text = value
                .to_str()
                .map_err(|_| ApiError::new(400, "x-sim-fault is not text"))?;
            Some(
                text.parse()
                    .map_err(|error: String| ApiError::new(400, format!("x-sim-fault: {error}")))?,
            )
        }
        None => app.faults.draw(),
    };
    if fault.is_some() {
        app.counts
            .faults
            .fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    }
    Ok(fault)
}
