//! A request body as it arrived, and how the client is told about it.

use bytes::{Bytes, BytesMut};
use http::request::Parts;
use http::{HeaderMap, HeaderValue};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::app::App;
use super::body::Aborted;

/// Largest body that is kept, in bytes; paths that only hash it take any.
pub(super) const MAX_KEPT: usize = 256 << 20;

/// A request body as it arrived.
pub(super) struct Received {
    /// Empty where the body is only hashed.
    pub(super) bytes: Bytes,
    length: u64,
    sha256: String,
    pub(super) too_large: bool,
}

impl Received {
    /// # Errors
    /// [`Aborted`] when the client breaks off its own body.
    pub(super) async fn read(mut body: Incoming, keep: bool) -> Result<Self, Aborted> {
        let (mut kept, mut length, mut hash, mut too_large) =
            (BytesMut::new(), 0, Sha256::new(), false);
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.map_err(|_| Aborted)?.into_data() else {
                continue;
            };
            length += data.len() as u64;
            hash.update(&data);
            if keep && kept.len() + data.len() <= MAX_KEPT {
                kept.extend_from_slice(&data);
            } else if keep {
                too_large = true;
            }
        }
        let sha256 = hash
            .finalize()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        Ok(Self {
            bytes: kept.freeze(),
            length,
            sha256,
            too_large,
        })
    }
}

/// The headers that every answer carries.
pub(super) fn stamp(headers: &mut HeaderMap, app: &App, received: &Received) {
    if let Ok(name) = HeaderValue::from_str(&app.config.name) {
        headers.insert("x-sim-peer", name);
    }
    if let Ok(sha256) = HeaderValue::from_str(&received.sha256) {
        headers.insert("x-sim-body-sha256", sha256);
    }
    headers.insert("x-sim-body-bytes", received.length.into());
}

/// What arrived, as a document.
pub(super) fn echo(head: &Parts, received: &Received, app: &App) -> Value {
    let headers: Vec<Value> = head
        .headers
        .iter()
        .map(|(name, value)| json!([name.as_str(), String::from_utf8_lossy(value.as_bytes())]))
        .collect();
    json!({
        "peer": app.config.name, "method": head.method.as_str(), "path": head.uri.path(), "query": head.uri.query(),
        "version": format!("{:?}", head.version), "headers": headers,
        "body_bytes": received.length, "body_sha256": received.sha256,
    })
}
