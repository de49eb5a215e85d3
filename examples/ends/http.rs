//! As much of HTTP/1.1 as both ends need.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A connection and what has been read of it but not used.
pub(crate) struct Connection {
    stream: TcpStream,
    held: Vec<u8>,
}

/// A request's or an answer's head, in small letters.
pub(crate) struct Head(String);

impl Head {
    /// The value of a header.
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        self.0
            .lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(known, _)| *known == name)
            .map(|(_, value)| value.trim())
    }

    pub(crate) fn is_success(&self) -> bool {
        self.0.starts_with("http/1.1 200")
    }

    fn length(&self) -> usize {
        let length = self.value("content-length");
        length.and_then(|length| length.parse().ok()).unwrap_or(0)
    }
}

impl Connection {
    pub(crate) fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            held: Vec::with_capacity(4096),
        })
    }

    /// What came next; empty at the end of the connection.
    pub(crate) async fn part(&mut self) -> io::Result<Vec<u8>> {
        if self.held.is_empty() {
            self.more().await?;
        }
        Ok(std::mem::take(&mut self.held))
    }

    /// Reads a head; `None` at the end of the connection.
    pub(crate) async fn head(&mut self) -> io::Result<Option<Head>> {
        loop {
            if let Some(end) = find(&self.held, b"\r\n\r\n") {
                let head: Vec<u8> = self.held.drain(..end + 4).collect();
                let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
                return Ok(Some(Head(head)));
            }
            if self.more().await? == 0 {
                return Ok(None);
            }
        }
    }

    /// Reads the body behind a head away.
    pub(crate) async fn skip_body(&mut self, head: &Head) -> io::Result<()> {
        if head.value("transfer-encoding").is_none() {
            return self.skip(head.length()).await;
        }
        loop {
            let size = loop {
                if let Some(end) = find(&self.held, b"\r\n") {
                    let line: Vec<u8> = self.held.drain(..end + 2).collect();
                    let digits = String::from_utf8_lossy(&line[..end]).into_owned();
                    break usize::from_str_radix(&digits, 16).map_err(io::Error::other)?;
                }
                self.some().await?;
            };
            self.skip(size + 2).await?;
            if size == 0 {
                return Ok(());
            }
        }
    }

    pub(crate) async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await
    }

    async fn skip(&mut self, mut bytes: usize) -> io::Result<()> {
        loop {
            let here = bytes.min(self.held.len());
            self.held.drain(..here);
            bytes -= here;
            if bytes == 0 {
                return Ok(());
            }
            self.some().await?;
        }
    }

    async fn some(&mut self) -> io::Result<()> {
        match self.more().await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }

    async fn more(&mut self) -> io::Result<usize> {
        if self.held.capacity() - self.held.len() < 1024 {
            self.held.reserve(64 << 10);
        }
        self.stream.read_buf(&mut self.held).await
    }
}

pub(crate) fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

/// A chat request with an own question.
pub(crate) fn chat(key: &str, headers: &str, number: usize, stream: bool) -> Vec<u8> {
    let pad = "The quick brown fox jumps over the lazy dog. ".repeat(20);
    let body = format!(
        r#"{{"model":"bench","max_tokens":80,"stream":{stream},"messages":[{{"role":"user","content":"{number} {pad}"}}]}}"#
    );
    format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {key}\r\ncontent-type: application/json\r\n{headers}content-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}
