//! One request of an HTTP/2 client: a stream of Pingora's HTTP/2 session.

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::protocols::http::v2::server::HttpSession;
use pingora::time::timeout;

use super::Rules;
use super::session::ClientError;

/// One stream, and where its answer stands.
pub(super) struct H2 {
    stream: Box<HttpSession>,
    /// The head of the answer, until it is known whether a body follows.
    head: Option<Box<ResponseHeader>>,
    ended: bool,
    body_done: bool,
}

impl H2 {
    pub(super) fn new(stream: HttpSession) -> Self {
        let body_done = stream.is_body_empty();
        Self {
            stream: Box::new(stream),
            head: None,
            ended: false,
            body_done,
        }
    }

    pub(super) fn head(&self) -> &RequestHeader {
        self.stream.req_header()
    }

    pub(super) async fn read_body(&mut self, rules: &Rules) -> Result<Option<Bytes>, ClientError> {
        if self.body_done {
            return Ok(None);
        }
        match timeout(rules.client.body_timeout, self.stream.read_body_bytes()).await {
            Ok(Ok(Some(part))) => {
                self.body_done = self.stream.is_body_done();
                Ok(Some(part))
            }
            Ok(Ok(None)) => {
                self.body_done = true;
                Ok(None)
            }
            Ok(Err(_)) => Err(ClientError::Left),
            Err(_) => Err(ClientError::TooSlow),
        }
    }

    pub(super) async fn read_whole(
        &mut self,
        rules: &Rules,
        cap: u64,
    ) -> Result<Bytes, ClientError> {
        let mut first = Bytes::new();
        let mut whole = BytesMut::new();
        while let Some(part) = self.read_body(rules).await? {
            if self.body_read() > cap {
                return Err(ClientError::TooLarge);
            }
            if first.is_empty() && whole.is_empty() {
                first = part;
            } else {
                whole.extend_from_slice(&std::mem::take(&mut first));
                whole.extend_from_slice(&part);
            }
        }
        Ok(match whole.is_empty() {
            true => first,
            false => whole.freeze(),
        })
    }

    /// Resolves when the client has given the stream up.
    pub(super) async fn gone(&mut self) {
        let _ = self.stream.idle().await;
    }

    pub(super) fn begin(&mut self, head: ResponseHeader) {
        self.head = Some(Box::new(head));
    }

    /// Sends the head, as the end of the stream if nothing can follow it.
    pub(super) fn flush(&mut self) -> Result<(), ClientError> {
        let Some(head) = self.head.take() else {
            return Ok(());
        };
        let bodiless =
            self.head().method == Method::HEAD || matches!(head.status.as_u16(), 204 | 304);
        self.ended = bodiless;
        self.stream
            .write_response_header(head, bodiless)
            .map_err(|_| ClientError::Left)
    }

    pub(super) async fn write(
        &mut self,
        rules: &Rules,
        part: Bytes,
        last: bool,
    ) -> Result<(), ClientError> {
        self.flush()?;
        if self.ended || (part.is_empty() && !last) {
            return Ok(());
        }
        self.ended = last;
        self.stream
            .set_write_timeout(Some(rules.client.write_timeout));
        self.stream
            .write_body(part, last)
            .await
            .map_err(|_| ClientError::Left)
    }

    pub(super) fn end(&mut self, trailers: Option<HeaderMap>) -> Result<(), ClientError> {
        self.flush()?;
        if std::mem::replace(&mut self.ended, true) {
            return Ok(());
        }
        match trailers {
            Some(trailers) => self.stream.write_trailers(trailers),
            None => self.stream.finish(),
        }
        .map_err(|_| ClientError::Left)
    }

    /// The request is over. A stream that did not come to its end is reset, so that it cannot look whole.
    pub(super) fn finish(mut self) {
        if !self.ended {
            self.stream.shutdown();
        }
    }

    pub(super) fn body_done(&self) -> bool {
        self.body_done
    }

    pub(super) fn body_read(&self) -> u64 {
        self.stream.body_bytes_read() as u64
    }

    pub(super) fn ended(&self) -> bool {
        self.ended
    }
}
