//! Heads of requests and responses, whatever HTTP they came by.

use http::{HeaderMap, Method, StatusCode, Uri, Version, request, response};

use crate::util::headers::{BadField, Headers};

/// Fields of a head that are understood at most.
pub const MOST_FIELDS: usize = 128;

/// Fields that are added on the way: room for them saves the list from growing.
pub const ROOM: usize = 6;

/// The head of a request.
#[derive(Debug, Clone, Default)]
pub struct RequestHead {
    /// Its method.
    pub method: Method,
    /// What it asks for, in whatever form it did.
    pub uri: Uri,
    /// The version it came in.
    pub version: Version,
    /// Its fields.
    pub headers: Headers,
}

/// The head of a response.
#[derive(Debug, Clone, Default)]
pub struct ResponseHead {
    /// Its status.
    pub status: StatusCode,
    /// The version it came in.
    pub version: Version,
    /// Its fields.
    pub headers: Headers,
    /// What it says beside the status, where that is not what the status is called.
    pub reason: Option<Box<str>>,
}

impl RequestHead {
    /// One without fields, in HTTP/1.1.
    ///
    /// # Errors
    /// [`BadField`], when `target` is none.
    pub fn new(method: Method, target: &str) -> Result<Self, BadField> {
        Ok(Self {
            method,
            uri: target.parse().map_err(|_| BadField)?,
            version: Version::HTTP_11,
            headers: Headers::with_capacity(ROOM),
        })
    }
}

impl ResponseHead {
    /// One without fields, in HTTP/1.1.
    pub fn new(status: StatusCode) -> Self {
        Self {
            status,
            version: Version::HTTP_11,
            headers: Headers::with_capacity(ROOM),
            reason: None,
        }
    }

    /// What it says beside the status.
    pub fn reason(&self) -> &str {
        let own = self.reason.as_deref();
        own.or(self.status.canonical_reason()).unwrap_or_default()
    }
}

impl From<request::Parts> for RequestHead {
    fn from(parts: request::Parts) -> Self {
        Self {
            method: parts.method,
            uri: parts.uri,
            version: parts.version,
            headers: parts.headers.into(),
        }
    }
}

impl From<response::Parts> for ResponseHead {
    fn from(parts: response::Parts) -> Self {
        Self {
            status: parts.status,
            version: parts.version,
            headers: parts.headers.into(),
            reason: None,
        }
    }
}

impl From<ResponseHead> for response::Parts {
    fn from(head: ResponseHead) -> Self {
        let (mut parts, ()) = http::Response::new(()).into_parts();
        parts.status = head.status;
        parts.version = head.version;
        parts.headers = HeaderMap::from(head.headers);
        parts
    }
}
