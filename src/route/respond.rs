//! An answer that is always the same.

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::{HeaderName, HeaderValue, StatusCode};

use crate::config::model;

/// Everything of the answer, ready to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Respond {
    /// Its status.
    pub status: StatusCode,
    /// Its headers, `content-length` last where the status has a body.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Its body. Not sent to `HEAD`, whose answer keeps the length.
    pub body: Bytes,
}

impl Respond {
    pub(super) fn new(conf: &model::Respond) -> Self {
        let mut headers = conf.headers.clone();
        // RFC 9110, 8.6 and 15.3.6: 204 must not say a length, 205 and 304 need none.
        if !matches!(conf.status.as_u16(), 204 | 205 | 304) {
            headers.push((CONTENT_LENGTH, HeaderValue::from(conf.body.len())));
        }
        Self {
            status: conf.status,
            headers,
            body: Bytes::from(conf.body.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn respond(status: StatusCode, body: &str) -> Respond {
        Respond::new(&model::Respond {
            status,
            headers: Vec::new(),
            body: body.to_owned(),
        })
    }

    #[test]
    fn an_answer_says_its_length_in_bytes() {
        let answer = respond(StatusCode::OK, "grüß\n");
        assert_eq!(
            answer.headers,
            [(CONTENT_LENGTH, HeaderValue::from_static("7"))]
        );
        assert_eq!(answer.body.len(), 7);
        let empty = respond(StatusCode::NOT_FOUND, "");
        assert_eq!(
            empty.headers,
            [(CONTENT_LENGTH, HeaderValue::from_static("0"))]
        );
    }

    #[test]
    fn a_status_without_a_body_says_no_length() {
        assert!(respond(StatusCode::NO_CONTENT, "").headers.is_empty());
        assert!(respond(StatusCode::NOT_MODIFIED, "").headers.is_empty());
    }
}
