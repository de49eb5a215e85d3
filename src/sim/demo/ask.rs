//! One question to Tollgate, and what is to be told of the answer.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Method, Request};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};

use super::{Site, read};

/// How an answer is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Stream,
    Json,
}

/// Where an answer came from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Source {
    Miss,
    Hit,
    /// With the cosine of the two questions.
    SemanticHit(f64),
    /// Any other word, or none.
    Other,
}

/// What came back.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) source: Source,
    /// The engine that answered; none for what a cache answered.
    pub(super) peer: Option<String>,
    /// Peers that were tried, 1 at least.
    pub(super) attempts: u32,
    /// To the first text of a stream, or to the body of what is no stream.
    pub(super) first: Duration,
    pub(super) total: Duration,
    pub(super) text: String,
}

/// What Tollgate says of a cache.
#[derive(Debug, Default)]
pub(super) struct CacheView {
    /// `ready`, `loading` or a reason; empty when it says nothing.
    pub(super) embedder: String,
    /// Questions that can be found by meaning.
    pub(super) vectors: u64,
}

/// No answer of the demo takes a tenth of this.
const ANSWER_LIMIT: Duration = Duration::from_secs(60);
const ADMIN_LIMIT: Duration = Duration::from_secs(2);

/// Sends what the demo asks.
#[derive(Clone)]
pub(super) struct Asker {
    client: Client<HttpConnector, Full<Bytes>>,
    listen: SocketAddr,
    admin: SocketAddr,
}

impl Asker {
    pub(super) fn new(site: &Site) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        Self {
            client: Client::builder(TokioExecutor::new()).build(connector),
            listen: site.listen,
            admin: site.admin,
        }
    }

    /// Asks one question and reads the answer to its end.
    ///
    /// # Errors
    /// Why there is no complete answer.
    pub(super) async fn ask(
        &self,
        question: &str,
        form: Form,
        tokens: u32,
    ) -> Result<Answer, String> {
        let request = self.request(question, form, tokens)?;
        match tokio::time::timeout(ANSWER_LIMIT, self.exchange(request)).await {
            Ok(answer) => answer,
            Err(_) => Err(format!("no complete answer within {ANSWER_LIMIT:?}")),
        }
    }

    fn request(
        &self,
        question: &str,
        form: Form,
        tokens: u32,
    ) -> Result<Request<Full<Bytes>>, String> {
        let mut body =
            json!({"model": "demo", "messages": [{"role": "user", "content": question}]});
        if form == Form::Stream {
            body["stream"] = true.into();
        }
        Request::builder()
            .method(Method::POST)
            .uri(format!("http://{}/v1/chat/completions", self.listen))
            .header(CONTENT_TYPE, "application/json")
            // Only the simulated engine knows it, and it is no part of the question.
            .header("x-sim-output-tokens", tokens)
            .body(Full::new(body.to_string().into()))
            .map_err(|error| error.to_string())
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<Answer, String> {
        let start = Instant::now();
        let response = self
            .client
            .request(request)
            .await
            .map_err(|error| format!("no answer: {error}"))?;
        let headers = response.headers();
        let mut answer = Answer {
            status: response.status().as_u16(),
            source: source(headers),
            peer: header(headers, "x-sim-peer").or_else(|| header(headers, "x-tollgate-upstream")),
            attempts: header(headers, "x-tollgate-attempts")
                .and_then(|text| text.parse().ok())
                .unwrap_or(1),
            first: Duration::ZERO,
            total: Duration::ZERO,
            text: String::new(),
        };
        let streamed = header(headers, CONTENT_TYPE.as_str())
            .is_some_and(|kind| kind.starts_with("text/event-stream"));
        let (first, text) = if streamed {
            read::stream(response, start).await?
        } else {
            read::json(response, start).await?
        };
        (answer.first, answer.text, answer.total) = (first, text, start.elapsed());
        Ok(answer)
    }

    /// Whether Tollgate takes requests.
    pub(super) async fn is_ready(&self) -> bool {
        self.get("/readyz").await.is_some()
    }

    /// What Tollgate says of a cache; nothing when it cannot be asked.
    pub(super) async fn cache_view(&self, cache: &str) -> CacheView {
        let status: Value = self
            .get("/api/v1/status")
            .await
            .and_then(|body| serde_json::from_slice(&body).ok())
            .unwrap_or_default();
        let view = &status["caches"][cache];
        CacheView {
            embedder: view["embedder"].as_str().unwrap_or_default().to_owned(),
            vectors: view["vectors"].as_u64().unwrap_or(0),
        }
    }

    /// Tokens that no engine had to compute, as Tollgate counts them.
    pub(super) async fn saved_tokens(&self) -> Option<u64> {
        let body = self.get("/metrics").await?;
        let text = std::str::from_utf8(&body).ok()?;
        let value = text
            .lines()
            .find_map(|line| line.strip_prefix("tollgate_cache_saved_tokens_total "))?;
        value.trim().parse().ok()
    }

    /// The body of a 200 from the admin listener.
    async fn get(&self, path: &str) -> Option<Bytes> {
        let uri = format!("http://{}{path}", self.admin).parse().ok()?;
        let exchange = async {
            let response = self.client.get(uri).await.ok()?;
            let ok = response.status() == 200;
            let body = response.into_body().collect().await.ok()?;
            ok.then(|| body.to_bytes())
        };
        tokio::time::timeout(ADMIN_LIMIT, exchange).await.ok()?
    }
}

fn header(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

fn source(headers: &HeaderMap) -> Source {
    match header(headers, "x-cache-status").as_deref() {
        Some("MISS") => Source::Miss,
        Some("HIT") => Source::Hit,
        Some("SEMANTIC_HIT") => header(headers, "x-cache-similarity")
            .and_then(|text| text.parse().ok())
            .map_or(Source::Other, Source::SemanticHit),
        _ => Source::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_semantic_hit_that_hides_its_similarity_is_none() {
        let mut headers = HeaderMap::new();
        assert_eq!(source(&headers), Source::Other);
        headers.insert(
            "x-cache-status",
            http::HeaderValue::from_static("SEMANTIC_HIT"),
        );
        assert_eq!(source(&headers), Source::Other);
        headers.insert(
            "x-cache-similarity",
            http::HeaderValue::from_static("0.8670"),
        );
        assert_eq!(source(&headers), Source::SemanticHit(0.867));
    }
}
