//! Hand-made peers: each connection is served by a script of the test.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// A listening peer; stops with the test.
pub struct Peer {
    pub address: SocketAddr,
    connections: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Peer {
    /// Serves each connection with `script`, given the connection and its number from 0.
    pub async fn start<F>(script: impl Fn(Wire, usize) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = io::Result<()>> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
        let address = listener.local_addr().expect("bound");
        let connections = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&connections);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let number = counted.fetch_add(1, Ordering::SeqCst);
                let _ = stream.set_nodelay(true);
                // A script that ends in an error is a connection that broke: the tests look at the other side.
                tokio::spawn(script(Wire(BufReader::new(stream)), number));
            }
        });
        Self {
            address,
            connections,
            task,
        }
    }

    /// Answers every request with its method, path and the digest of its body; keeps connections.
    pub async fn mirror() -> Self {
        Self::start(|mut wire, _| async move {
            while let Some(request) = wire.request().await? {
                wire.json(200, &request.digest()).await?;
            }
            Ok(())
        })
        .await
    }

    /// Accepts, then closes without an answer.
    pub async fn refusing() -> Self {
        Self::start(|_, _| async { Ok(()) }).await
    }

    /// Tells of each request it reads, and answers it.
    pub async fn telling() -> (Self, mpsc::UnboundedReceiver<Request>) {
        let (tell, told) = mpsc::unbounded_channel();
        let peer = Self::start(move |mut wire: Wire, _| {
            let tell = tell.clone();
            async move {
                while let Some(request) = wire.request().await? {
                    let _ = tell.send(request);
                    wire.json(200, "{}").await?;
                }
                Ok(())
            }
        })
        .await;
        (peer, told)
    }

    /// Takes requests, reports each, and never answers.
    pub async fn stuck() -> (Self, mpsc::UnboundedReceiver<()>) {
        let (reached, reaches) = mpsc::unbounded_channel();
        let peer = Self::start(move |mut wire: Wire, _| {
            let reached = reached.clone();
            async move {
                wire.request().await?;
                let _ = reached.send(());
                std::future::pending().await
            }
        })
        .await;
        (peer, reaches)
    }

    /// Connections accepted so far.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A request as it arrived.
#[derive(Debug)]
pub struct Request {
    pub line: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    /// Method, path, length and digest of the body, as JSON.
    pub fn digest(&self) -> String {
        format!(
            r#"{{"line":"{}","bytes":{},"sha256":"{}","chunked":{}}}"#,
            self.line,
            self.body.len(),
            sha256(&self.body),
            self.header("transfer-encoding").is_some(),
        )
    }
}

/// SHA-256 in hex.
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// One connection, from the peer's side.
pub struct Wire(BufReader<TcpStream>);

impl Wire {
    /// Reads a request up to the end of its head; `None` when the connection ends before one begins.
    pub async fn head(&mut self) -> io::Result<Option<Request>> {
        let line = self.line().await?;
        if line.is_empty() {
            return Ok(None);
        }
        let mut headers = Vec::new();
        loop {
            let header = self.line().await?;
            if header.is_empty() {
                return Ok(Some(Request {
                    line,
                    headers,
                    body: Vec::new(),
                }));
            }
            let (name, value) = header.split_once(':').ok_or(io::ErrorKind::InvalidData)?;
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
    }

    /// Reads one whole request; `None` when the connection ends before one begins.
    pub async fn request(&mut self) -> io::Result<Option<Request>> {
        let Some(Request { line, headers, .. }) = self.head().await? else {
            return Ok(None);
        };
        let find = |name: &str| {
            headers
                .iter()
                .find(|(known, _)| known == name)
                .map(|(_, value)| value.clone())
        };
        let mut body = Vec::new();
        if find("transfer-encoding").is_some() {
            loop {
                let size = self.line().await?;
                let size = usize::from_str_radix(&size, 16).map_err(io::Error::other)?;
                let mut chunk = vec![0; size + 2];
                self.0.read_exact(&mut chunk).await?;
                if size == 0 {
                    break;
                }
                body.extend_from_slice(&chunk[..size]);
            }
        } else if let Some(length) = find("content-length") {
            body = vec![0; length.parse().map_err(io::Error::other)?];
            self.0.read_exact(&mut body).await?;
        }
        Ok(Some(Request {
            line,
            headers,
            body,
        }))
    }

    async fn line(&mut self) -> io::Result<String> {
        let mut line = Vec::new();
        loop {
            match self.0.read_u8().await {
                Ok(b'\n') => break,
                Ok(b'\r') => {}
                Ok(byte) => line.push(byte),
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof && line.is_empty() => {
                    break;
                }
                Err(error) => return Err(error),
            }
        }
        String::from_utf8(line).map_err(io::Error::other)
    }

    /// Writes bytes as they are.
    pub async fn raw(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.0.get_mut().write_all(bytes.as_ref()).await
    }

    /// Writes a JSON answer.
    pub async fn json(&mut self, status: u16, body: &str) -> io::Result<()> {
        self.raw(format!(
            "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        ))
        .await
    }

    /// Begins a chunked event stream.
    pub async fn events(&mut self) -> io::Result<()> {
        self.raw("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n").await
    }

    /// Writes one chunk.
    pub async fn chunk(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        let bytes = bytes.as_ref();
        let mut framed = format!("{:x}\r\n", bytes.len()).into_bytes();
        framed.extend_from_slice(bytes);
        framed.extend_from_slice(b"\r\n");
        self.raw(framed).await
    }

    /// One content event of a chat stream.
    pub async fn token(&mut self, text: &str) -> io::Result<()> {
        self.chunk(format!(
            "data: {{\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{text}\"}},\"finish_reason\":null}}]}}\n\n"
        ))
        .await
    }

    /// Resolves when the other side has closed. It must have nothing more to say.
    pub async fn closed(&mut self) {
        let mut byte = [0];
        while matches!(self.0.read(&mut byte).await, Ok(1..)) {}
    }

    /// Reports the moment at which the other side closes.
    pub async fn report_close(mut self, closed: mpsc::UnboundedSender<Instant>) -> io::Result<()> {
        let mut byte = [0];
        // A reset is a close as well.
        while matches!(self.0.read(&mut byte).await, Ok(1..)) {}
        let _ = closed.send(Instant::now());
        Ok(())
    }
}
