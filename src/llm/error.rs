//! Every error that Tollgate itself answers with, and the two envelopes it wears.

mod kind;
#[cfg(test)]
mod tests;

use std::fmt;
use std::time::Duration;

use serde_json::{Value, json};

use super::endpoint::Dialect;
use super::request::Malformed;
pub use kind::ErrorType;

/// One error answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiError {
    /// HTTP status.
    pub status: u16,
    /// What kind it is.
    pub kind: ErrorType,
    /// Stable word for programs.
    pub code: Option<&'static str>,
    /// Sentence for people.
    pub message: String,
    /// The request field at fault.
    pub param: Option<String>,
    /// How long the client should wait before it tries again.
    pub retry_after: Option<Duration>,
}

impl ApiError {
    fn new(status: u16, kind: ErrorType, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            kind,
            code: Some(code),
            message: message.into(),
            param: None,
            retry_after: None,
        }
    }

    fn after(mut self, retry_after: Duration) -> Self {
        self.retry_after = Some(retry_after);
        self
    }

    /// 400: the request is wrong; `param` names the field at fault.
    pub fn bad_request(message: impl Into<String>, param: Option<&str>) -> Self {
        let param = param.map(str::to_owned);
        Self {
            param,
            ..Self::new(400, ErrorType::InvalidRequest, "invalid_request", message)
        }
    }

    /// A request whose head cannot be read; `status` says what is wrong with it.
    pub fn unreadable(status: u16, message: impl Into<String>) -> Self {
        Self::new(
            status,
            ErrorType::InvalidRequest,
            "unreadable_request",
            message,
        )
    }

    /// 408: the body does not come, or comes too slowly.
    pub fn body_too_slow() -> Self {
        let message = "the request body did not arrive in time";
        Self::new(408, ErrorType::InvalidRequest, "request_too_slow", message)
    }

    /// 413: the body is larger than `max_body` bytes.
    pub fn body_too_large(max_body: u64) -> Self {
        let message = format!("the request body is larger than the {max_body} bytes allowed here");
        Self::new(413, ErrorType::InvalidRequest, "request_too_large", message)
    }

    /// 401: no key was sent.
    pub fn missing_key() -> Self {
        let message = "no API key: send one as 'Authorization: Bearer KEY' or 'x-api-key: KEY'";
        Self::new(401, ErrorType::Authentication, "missing_api_key", message)
    }

    /// 401: the key is not known.
    pub fn unknown_key() -> Self {
        Self::new(
            401,
            ErrorType::Authentication,
            "invalid_api_key",
            "the API key is not known here",
        )
    }

    /// 403: whoever asks may not do this.
    pub fn forbidden(message: impl Into<String>) -> Self {
        Self::new(403, ErrorType::Permission, "forbidden", message)
    }

    /// 404: no route matches.
    pub fn no_route(path: &str, model: Option<&str>) -> Self {
        let path = short(path);
        match model {
            Some(model) => {
                let model = short(model);
                let message = format!("no route takes the model '{model}' on {path}");
                let param = Some("model".to_owned());
                Self {
                    param,
                    ..Self::new(404, ErrorType::InvalidRequest, "model_not_found", message)
                }
            }
            None => Self::new(
                404,
                ErrorType::InvalidRequest,
                "no_route",
                format!("no route takes {path}"),
            ),
        }
    }

    /// 404: the cache has no such entry, or none that may be known of.
    pub fn no_entry() -> Self {
        let message = "no cache has an entry of this id that is yours";
        Self::new(404, ErrorType::InvalidRequest, "no_entry", message)
    }

    /// 429: a limit is used up; `limit` names it.
    pub fn rate_limited(limit: &str, retry_after: Duration) -> Self {
        let message = format!(
            "rate limit reached for {limit}; try again in {}",
            wait(retry_after)
        );
        Self::new(429, ErrorType::RateLimit, "rate_limit_exceeded", message).after(retry_after)
    }

    /// 429: the queue of the pool is full.
    pub fn queue_full(pool: &str, retry_after: Duration) -> Self {
        let message = format!("every server of '{pool}' is busy and its queue is full");
        Self::new(429, ErrorType::RateLimit, "queue_full", message).after(retry_after)
    }

    /// 503: no server got free in time.
    pub fn queue_timeout(pool: &str, waited: Duration, retry_after: Duration) -> Self {
        let message = format!("no server of '{pool}' got free within {}", wait(waited));
        Self::new(503, ErrorType::Overloaded, "queue_timeout", message).after(retry_after)
    }

    /// 503: no peer of the pool is up.
    pub fn no_peer(pool: &str, retry_after: Duration) -> Self {
        let message = format!("no server of '{pool}' is available");
        Self::new(503, ErrorType::Overloaded, "no_peer_available", message).after(retry_after)
    }

    /// 429 or 503, as the peers themselves said: all of them asked to be left alone.
    pub fn all_paused(status: u16, pool: &str, retry_after: Duration) -> Self {
        let kind = match status {
            429 => ErrorType::RateLimit,
            _ => ErrorType::Overloaded,
        };
        let message = format!("every server of '{pool}' asked to be left alone for a while");
        Self::new(status, kind, "no_peer_available", message).after(retry_after)
    }

    /// 502: the peer could not be reached, or broke off before its answer was whole.
    pub fn upstream_broke(why: impl fmt::Display) -> Self {
        Self::new(
            502,
            ErrorType::Upstream,
            "upstream_error",
            format!("the server behind failed: {why}"),
        )
    }

    /// 504: the peer did not answer within `limit`; `what` names the limit.
    pub fn upstream_timed_out(what: &str, limit: Duration) -> Self {
        let message = format!(
            "the server behind was too slow: no {what} within {}",
            wait(limit)
        );
        Self::new(504, ErrorType::Timeout, "upstream_timeout", message)
    }

    /// 504: the client asked for `only-if-cached`, and it is not.
    pub fn not_cached() -> Self {
        let message = "the answer is not cached, and the request asked for 'only-if-cached'";
        Self::new(504, ErrorType::InvalidRequest, "not_cached", message)
    }

    /// 500: Tollgate failed. The message must not tell more than the client may know.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(500, ErrorType::Server, "internal_error", message)
    }

    /// Whole seconds for `Retry-After`: rounded up, at least 1.
    pub fn retry_after_seconds(&self) -> Option<u64> {
        let wait = self.retry_after?;
        Some((wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1))
    }

    /// The JSON body.
    pub fn body(&self, dialect: Dialect) -> Vec<u8> {
        self.envelope(dialect).to_string().into_bytes()
    }

    /// The same as an event for a stream that has begun. It ends at an event border.
    pub fn sse_event(&self, dialect: Dialect) -> Vec<u8> {
        let envelope = self.envelope(dialect);
        match dialect {
            Dialect::OpenAi => format!("data: {envelope}\n\n"),
            Dialect::Anthropic => format!("event: error\ndata: {envelope}\n\n"),
        }
        .into_bytes()
    }

    fn envelope(&self, dialect: Dialect) -> Value {
        match dialect {
            Dialect::OpenAi => json!({"error": {
                "message": self.message,
                "type": self.kind.openai(),
                "param": self.param,
                "code": self.code,
            }}),
            Dialect::Anthropic => json!({"type": "error", "error": {
                "type": self.kind.anthropic(self.status),
                "message": self.message,
            }}),
        }
    }
}

impl From<&Malformed> for ApiError {
    fn from(malformed: &Malformed) -> Self {
        Self::bad_request(malformed.to_string(), malformed.field())
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {}: {}",
            self.status,
            self.code.unwrap_or(self.kind.openai()),
            self.message
        )
    }
}

impl std::error::Error for ApiError {}

/// The start of a name that a client chose, which may be as long as a body.
fn short(name: &str) -> &str {
    &name[..name.floor_char_boundary(200)]
}

/// A duration to the millisecond, as people write it.
fn wait(duration: Duration) -> String {
    let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    humantime::format_duration(Duration::from_millis(millis)).to_string()
}
