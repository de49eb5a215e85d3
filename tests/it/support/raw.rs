//! A connection on which a test writes what it likes.

use std::io;
use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::gate::Gate;
use super::peer::{Peer, Wire, sha256};

/// Ends a test that would hang.
pub const LONG: Duration = Duration::from_secs(20);

/// A connection on which a test writes what it likes.
pub struct Raw(pub TcpStream);

impl Raw {
    pub async fn connect(gate: &Gate) -> Self {
        let stream = TcpStream::connect(gate.address).await.expect("connects");
        stream.set_nodelay(true).expect("set");
        Self(stream)
    }

    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.write_all(bytes.as_ref()).await.expect("sent");
    }

    /// A head as text, and the body of the declared length.
    pub async fn answer(&mut self) -> io::Result<(String, String)> {
        timeout(LONG, async {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(self.0.read_u8().await?);
            }
            let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
            let length = head
                .split_once("content-length: ")
                .and_then(|(_, rest)| rest.split("\r\n").next()?.parse().ok())
                .unwrap_or(0);
            let mut body = vec![0; length];
            self.0.read_exact(&mut body).await?;
            Ok((head, String::from_utf8_lossy(&body).into_owned()))
        })
        .await
        .expect("an answer in time")
    }

    /// All there is until the other side closes.
    pub async fn rest(&mut self) -> String {
        let mut all = Vec::new();
        timeout(LONG, self.0.read_to_end(&mut all))
            .await
            .expect("closed in time")
            .expect("read");
        String::from_utf8_lossy(&all).into_owned()
    }
}

pub fn post(path: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let mut request = format!(
        "POST {path} HTTP/1.1\r\nhost: t\r\ncontent-length: {}\r\n{headers}\r\n",
        body.len()
    )
    .into_bytes();
    request.extend_from_slice(body);
    request
}

pub fn keys() -> String {
    format!(
        "keys:\n  - {{ name: a, sha256: \"{}\", tenant: t }}\n",
        sha256(b"key-a")
    )
}

/// A peer that answers with the head it was sent.
pub async fn showing_peer() -> Peer {
    Peer::start(|mut wire: Wire, _| async move {
        while let Some(request) = wire.request().await? {
            let shown = json!({ "line": request.line, "headers": request.headers, "body": String::from_utf8_lossy(&request.body) });
            wire.json(200, &shown.to_string()).await?;
        }
        Ok(())
    })
    .await
}
