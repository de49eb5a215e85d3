//! Answers of the admin listener.

use http::{HeaderValue, Response, StatusCode, header};
use serde_json::{Value, json};

/// A whole answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    content_type: &'static str,
    body: Vec<u8>,
}

impl Answer {
    pub(super) fn text(status: StatusCode, body: &str) -> Self {
        Self::of(
            status,
            "text/plain; charset=utf-8",
            body.as_bytes().to_vec(),
        )
    }

    pub(super) fn of(status: StatusCode, content_type: &'static str, body: Vec<u8>) -> Self {
        Self {
            status,
            content_type,
            body,
        }
    }

    pub(super) fn json(status: StatusCode, body: &Value) -> Self {
        let mut text = serde_json::to_vec_pretty(body).unwrap_or_default();
        text.push(b'\n');
        Self::of(status, "application/json", text)
    }

    pub(super) fn ok(body: &Value) -> Self {
        Self::json(StatusCode::OK, body)
    }
}

impl From<Answer> for Response<Vec<u8>> {
    fn from(answer: Answer) -> Self {
        let length = answer.body.len();
        let mut response = Self::new(answer.body);
        *response.status_mut() = answer.status;
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static(answer.content_type),
        );
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
        if answer.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// Why a call was not carried out: what is wrong, and where in the request if it is there.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    status: StatusCode,
    message: String,
    at: Option<String>,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
            at: None,
        }
    }

    /// What is wrong with the value at `at`, or with the whole body where that is empty.
    pub(super) fn at(at: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            at: Some(at.into()).filter(|at: &String| !at.is_empty()),
            ..Self::new(StatusCode::BAD_REQUEST, message)
        }
    }

    pub(super) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, message)
    }
}

impl From<Refusal> for Answer {
    fn from(refusal: Refusal) -> Self {
        let kind = match refusal.status {
            StatusCode::UNAUTHORIZED => "authentication_error",
            StatusCode::FORBIDDEN => "permission_error",
            status if status.is_server_error() => "server_error",
            _ => "invalid_request_error",
        };
        let error = json!({ "message": refusal.message, "type": kind, "param": refusal.at });
        Self::json(refusal.status, &json!({ "error": error }))
    }
}
