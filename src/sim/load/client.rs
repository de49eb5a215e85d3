//! Sends one request and watches its answer.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, Response, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::LoadArgs;
use super::answer::{Ending, Heard, StreamReader};
use super::body::Shape;
use super::schedule::Item;
use crate::sim::server::Api;

/// What became of one request.
#[derive(Debug)]
pub(super) struct Sample {
    pub(super) outcome: Outcome,
    /// Value of `X-Cache-Status`.
    pub(super) cache: Option<String>,
    /// Who answered.
    pub(super) peer: Option<String>,
    /// Whether it waited for a connection.
    pub(super) waited: bool,
}

/// How a request ended.
#[derive(Debug, PartialEq)]
pub(super) enum Outcome {
    /// A complete answer.
    Answered(Times),
    /// An error status.
    Refused(u16),
    /// Anything else, by name.
    Failed(&'static str),
}

/// Times of a complete answer, from the scheduled start.
#[derive(Debug, PartialEq)]
pub(super) struct Times {
    pub(super) first: Duration,
    pub(super) total: Duration,
    /// Mean time of a token after the first.
    pub(super) per_token: Option<Duration>,
    pub(super) input: u64,
    pub(super) output: u64,
}

/// Sends the requests of one run.
pub(super) struct Sender {
    client: Client<HttpConnector, Full<Bytes>>,
    places: Semaphore,
    uri: Uri,
    shape: Shape,
    headers: HeaderMap,
    timeout: Duration,
}

impl Sender {
    /// # Errors
    /// The URL or the key cannot be used, in one line.
    pub(super) fn new(args: &LoadArgs) -> Result<Arc<Self>, String> {
        let url = format!("{}{}", args.url.trim_end_matches('/'), args.target_path);
        let uri: Uri = url.parse().map_err(|error| format!("{url}: {error}"))?;
        if uri.scheme_str() != Some("http") || uri.host().is_none() {
            return Err(format!("{url}: must begin with http://"));
        }
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(key) = &args.key {
            let mut value = HeaderValue::from_str(&format!("Bearer {key}"))
                .map_err(|_| "--key is no header value")?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(args.timeout));
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .build(connector);
        let api = Api::of(uri.path()).unwrap_or(Api::Chat);
        let shape = Shape {
            api,
            model: args.model.clone(),
            stream: !args.no_stream && api != Api::Embeddings,
        };
        let places = Semaphore::new(args.connections as usize);
        Ok(Arc::new(Self {
            client,
            places,
            uri,
            shape,
            headers,
            timeout: args.timeout,
        }))
    }

    /// Where the requests go.
    pub(super) fn target(&self) -> String {
        self.uri.to_string()
    }

    /// Sends a request whose time has come, and reads its answer to the end.
    pub(super) async fn send(&self, item: Item, scheduled: Instant) -> Sample {
        let waited = self.places.available_permits() == 0;
        let mut sample = Sample {
            outcome: Outcome::Failed("timeout"),
            cache: None,
            peer: None,
            waited,
        };
        // The outcome stays a timeout when the answer is not there by then.
        if let Ok(outcome) = tokio::time::timeout_at(
            scheduled + self.timeout,
            self.exchange(&item, scheduled, &mut sample),
        )
        .await
        {
            sample.outcome = outcome;
        }
        sample
    }

    async fn exchange(&self, item: &Item, scheduled: Instant, sample: &mut Sample) -> Outcome {
        let Ok(_place) = self.places.acquire().await else {
            return Outcome::Failed("connect");
        };
        let response = match self.client.request(self.request(item)).await {
            Ok(response) => response,
            Err(error) if error.is_connect() => return Outcome::Failed("connect"),
            Err(_) => return Outcome::Failed("reset"),
        };
        let header = |name: &str| {
            response
                .headers()
                .get(name)?
                .to_str()
                .ok()
                .map(str::to_owned)
        };
        sample.cache = header("x-cache-status");
        sample.peer = header("x-sim-peer").or_else(|| header("x-tollgate-upstream"));
        if !response.status().is_success() {
            let status = response.status().as_u16();
            // Read to its end, so that the connection can be used again; the status is the news.
            let _ = response.into_body().collect().await;
            return Outcome::Refused(status);
        }
        let kind = response
            .headers()
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        if kind.starts_with("text/event-stream") {
            self.read_stream(response, scheduled).await
        } else {
            read_whole(response, scheduled).await
        }
    }

    fn request(&self, item: &Item) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(Bytes::from(self.shape.body(item).to_string())));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = self.headers.clone();
        if let Some(output) = item.output {
            request.headers_mut().insert(
                HeaderName::from_static("x-sim-output-tokens"),
                output.into(),
            );
        }
        request
    }

    async fn read_stream(&self, response: Response<Incoming>, scheduled: Instant) -> Outcome {
        let (mut body, mut reader) = (response.into_body(), StreamReader::new(self.shape.api));
        let (mut first, mut last) = (None, scheduled);
        while let Some(frame) = body.frame().await {
            let Ok(frame) = frame else {
                return Outcome::Failed("cut");
            };
            let before = reader.heard.texts;
            reader.push(frame.data_ref().map_or(&[][..], |data| data));
            if reader.heard.texts > before {
                last = Instant::now();
                first.get_or_insert(last);
            }
        }
        let heard = &reader.heard;
        match heard.end {
            Ending::Open => return Outcome::Failed("cut"),
            Ending::Error => return Outcome::Failed("error_event"),
            Ending::Proper => {}
        }
        let now = Instant::now();
        let first = first.unwrap_or(now);
        let output = heard.output.unwrap_or(heard.texts);
        let per_token =
            (output > 1).then(|| last.duration_since(first).div_f64((output - 1) as f64));
        let (first, total) = (first - scheduled, now - scheduled);
        Outcome::Answered(Times {
            first,
            total,
            per_token,
            input: heard.input.unwrap_or(0),
            output,
        })
    }
}

async fn read_whole(response: Response<Incoming>, scheduled: Instant) -> Outcome {
    let first = scheduled.elapsed();
    let Ok(body) = response.into_body().collect().await else {
        return Outcome::Failed("cut");
    };
    let total = scheduled.elapsed();
    let Ok(answer) = serde_json::from_slice(&body.to_bytes()) else {
        return Outcome::Failed("not_json");
    };
    let heard = Heard::whole(&answer);
    let (input, output) = (heard.input.unwrap_or(0), heard.output.unwrap_or(0));
    Outcome::Answered(Times {
        first,
        total,
        per_token: None,
        input,
        output,
    })
}
