//! One call of the admin API.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

/// Time that a call may take: a purge of millions of entries is written to disk before it is answered.
const LIMIT: Duration = Duration::from_secs(300);
/// Largest answer that is read, in bytes.
const MOST: usize = 16 << 20;

/// The admin listener of a running process.
pub(super) struct Admin {
    address: String,
    token: Option<String>,
}

/// Why a call brought nothing.
pub(super) enum Failure {
    /// Nobody answered, or not as an admin listener does.
    Unreachable(String),
    /// It said no, and why.
    Refused { status: u16, body: Value },
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(why) => f.write_str(why),
            Self::Refused { status, body } => {
                let error = &body["error"];
                match (error["message"].as_str(), error["param"].as_str()) {
                    (Some(message), Some(at)) => write!(f, "{at}: {message}"),
                    (Some(message), None) => f.write_str(message),
                    (None, _) => write!(f, "status {status}"),
                }
            }
        }
    }
}

impl Admin {
    pub(super) fn new(address: String, token: Option<String>) -> Self {
        Self { address, token }
    }

    pub(super) fn call(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Failure::Unreachable(error.to_string()))?;
        let answer = runtime.block_on(async {
            tokio::time::timeout(LIMIT, self.exchange(method, path, body)).await
        });
        let (status, text) = match answer {
            Ok(Ok(answer)) => answer,
            Ok(Err(why)) => {
                let why = format!("no answer from {}: {why}", self.address);
                return Err(Failure::Unreachable(why));
            }
            Err(_) => {
                let why = format!("no answer from {} within {LIMIT:?}", self.address);
                return Err(Failure::Unreachable(why));
            }
        };
        let read = serde_json::from_slice(&text).map_err(|_| {
            let why = format!("{} is no admin listener of Tollgate", self.address);
            Failure::Unreachable(why)
        })?;
        match status {
            200..300 => Ok(read),
            status => Err(Failure::Refused { status, body: read }),
        }
    }

    async fn exchange(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<(u16, Bytes), Box<dyn std::error::Error + Send + Sync>> {
        let stream = TcpStream::connect(&self.address).await?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, &self.address)
            .header(header::CONTENT_TYPE, "application/json");
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let body = body.map(Value::to_string).unwrap_or_default();
        let answer = sender
            .send_request(request.body(Full::new(Bytes::from(body)))?)
            .await?;
        let status = answer.status().as_u16();
        let body = Limited::new(answer.into_body(), MOST).collect().await?;
        Ok((status, body.to_bytes()))
    }
}
