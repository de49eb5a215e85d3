//! Errors, each in the envelope of the API that was called.

use serde_json::{Value, json};

use super::Api;

/// An answer that is an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::sim::server) struct ApiError {
    pub(in crate::sim::server) status: u16,
    pub(in crate::sim::server) message: String,
    pub(in crate::sim::server) param: Option<&'static str>,
    pub(in crate::sim::server) code: Option<&'static str>,
    /// `Retry-After` in seconds.
    pub(in crate::sim::server) retry_after: Option<u32>,
}

impl ApiError {
    pub(in crate::sim::server) fn new(status: u16, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
            param: None,
            code: None,
            retry_after: None,
        }
    }

    /// A 400 that names the field at fault.
    pub(in crate::sim::server) fn field(param: &'static str, message: impl Into<String>) -> Self {
        Self {
            param: Some(param),
            ..Self::new(400, message)
        }
    }

    /// The error as a document: Anthropic's envelope for [`Api::Messages`], OpenAI's for all else.
    pub(in crate::sim::server) fn document(&self, api: Option<Api>) -> Value {
        if api == Some(Api::Messages) {
            let kind = match self.status {
                401 => "authentication_error",
                403 => "permission_error",
                404 => "not_found_error",
                413 => "request_too_large",
                429 => "rate_limit_error",
                529 => "overloaded_error",
                400..=499 => "invalid_request_error",
                _ => "api_error",
            };
            return json!({"type": "error", "error": {"type": kind, "message": self.message}});
        }
        let kind = match self.status {
            401 => "authentication_error",
            403 => "permission_error",
            429 => "rate_limit_exceeded",
            400..=499 => "invalid_request_error",
            _ => "server_error",
        };
        json!({"error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}})
    }
}
