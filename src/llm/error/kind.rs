//! Kinds of errors and what the two dialects call them.

/// What kind of error it is, for clients that decide by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorType {
    /// The request itself is wrong.
    InvalidRequest,
    /// No key, or one that nobody knows.
    Authentication,
    /// A known key that may not do this.
    Permission,
    /// Too much, too fast.
    RateLimit,
    /// Nobody can take the request now.
    Overloaded,
    /// Tollgate failed.
    Server,
    /// The peer failed.
    Upstream,
    /// A peer was too slow.
    Timeout,
}

impl ErrorType {
    /// The `type` of OpenAI's envelope.
    pub fn openai(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request_error",
            Self::Authentication => "authentication_error",
            Self::Permission => "permission_error",
            Self::RateLimit => "rate_limit_exceeded",
            Self::Overloaded | Self::Server => "server_error",
            Self::Upstream => "upstream_error",
            Self::Timeout => "timeout",
        }
    }

    /// The `type` of Anthropic's envelope, which tells some statuses of one kind apart.
    pub fn anthropic(self, status: u16) -> &'static str {
        match (self, status) {
            (Self::InvalidRequest, 404) => "not_found_error",
            (Self::InvalidRequest, 413) => "request_too_large",
            (Self::InvalidRequest, _) => "invalid_request_error",
            (Self::Authentication, _) => "authentication_error",
            (Self::Permission, _) => "permission_error",
            (Self::RateLimit, _) => "rate_limit_error",
            (Self::Overloaded, _) => "overloaded_error",
            (Self::Server | Self::Upstream, _) => "api_error",
            (Self::Timeout, _) => "timeout_error",
        }
    }
}
