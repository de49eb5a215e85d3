//! Why a connection gets no further before there is a request to speak of.

use bytes::Bytes;
use http::{Method, StatusCode};

use super::session::Whole;
use crate::llm::error::ApiError;
use crate::util::fields::Fields;
use crate::wire::{MOST_FIELDS, Malformed, RequestHead, check_http2};

/// Why a head is answered with an error; over HTTP/1 the connection ends with that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The bytes are no head that is read in one way only.
    Malformed(Malformed),
    /// The head was not complete in time.
    TooSlow,
    /// A method that a reverse proxy has no answer to.
    Method,
}

impl Refusal {
    /// Refuses methods that ask for a tunnel, or for their own head in return, and more fields than are understood.
    pub(super) fn of(head: &RequestHead) -> Result<(), Self> {
        match head.method {
            Method::CONNECT | Method::TRACE => Err(Self::Method),
            _ if head.headers.len() > MOST_FIELDS => Err(Self::Malformed(Malformed::HeadTooLarge)),
            _ => Ok(()),
        }
    }

    /// The same for a head that came over HTTP/2, and all that is wrong with it besides.
    pub(super) fn over_h2(head: &RequestHead) -> Result<(), Self> {
        Self::of(head)?;
        check_http2(head).map_err(Self::Malformed)
    }

    /// Whether the head could be read in more than one way, and not only in none that is served.
    pub(super) fn is_malformed(self) -> bool {
        self.name() == "malformed"
    }

    /// The status for the client.
    fn status(self) -> StatusCode {
        match self {
            Self::Malformed(Malformed::HeadTooLarge) => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::Malformed(Malformed::TargetTooLong) => StatusCode::URI_TOO_LONG,
            Self::Malformed(Malformed::Version) => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            Self::Malformed(Malformed::Coding) => StatusCode::NOT_IMPLEMENTED,
            Self::Malformed(Malformed::Syntax(_)) => StatusCode::BAD_REQUEST,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
        }
    }

    /// The word for metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Malformed(Malformed::HeadTooLarge | Malformed::TargetTooLong) => "head_too_large",
            Self::Malformed(_) => "malformed",
            Self::TooSlow => "head_timeout",
            Self::Method => "method",
        }
    }

    /// The whole answer; `own` are further fields.
    pub(super) fn answer(self, own: &Fields) -> Whole<'_> {
        Whole {
            status: self.status(),
            content_type: "application/json",
            own,
            body: Bytes::from(self.body()),
        }
    }

    /// The error body, in the OpenAI envelope: of the request nothing is known that would speak for another.
    fn body(self) -> Vec<u8> {
        let message = match self {
            Self::Malformed(why) => format!("this request cannot be read: {why}"),
            Self::TooSlow => "the request head did not arrive in time".to_owned(),
            Self::Method => "this method is not served here".to_owned(),
        };
        ApiError::unreadable(self.status().as_u16(), message).body(crate::llm::Dialect::OpenAi)
    }
}
