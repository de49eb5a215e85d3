//! Peers by hyper, with TLS or without, in HTTP/1.1 or HTTP/2.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use parking_lot::Mutex;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use crate::support::peer::sha256;

pub(crate) type Answer = Response<BoxBody<Bytes, Infallible>>;

/// A connection that was agreed upon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) http2: bool,
    pub(crate) sni: Option<String>,
}

/// A listening peer; stops with the test.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    task: JoinHandle<()>,
}

impl Server {
    /// With TLS, ALPN decides what is spoken.
    pub(crate) async fn tls<F>(
        config: Arc<ServerConfig>,
        serve: impl Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Answer> + Send + 'static,
    {
        let acceptor = TlsAcceptor::from(config);
        Self::start(move |stream, seen| {
            let (acceptor, serve) = (acceptor.clone(), serve.clone());
            async move {
                // Not agreed upon: the tests look at the other side.
                let Ok(stream) = acceptor.accept(stream).await else {
                    return;
                };
                let session = stream.get_ref().1;
                let http2 = session.alpn_protocol() == Some(b"h2");
                let sni = session.server_name().map(str::to_owned);
                seen.lock().push(Seen { http2, sni });
                talk(stream, http2, serve).await;
            }
        })
        .await
    }

    /// Without TLS.
    pub(crate) async fn plain<F>(
        http2: bool,
        serve: impl Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Answer> + Send + 'static,
    {
        Self::start(move |stream, seen| {
            let serve = serve.clone();
            async move {
                seen.lock().push(Seen { http2, sni: None });
                talk(stream, http2, serve).await;
            }
        })
        .await
    }

    /// HTTP/2 without TLS by hand: `script` gets each connection and its number from 0.
    pub(crate) async fn by_hand<F>(
        script: impl Fn(h2::server::Connection<TcpStream, Bytes>, usize) -> F
        + Clone
        + Send
        + Sync
        + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Self::start(move |stream, seen| {
            let script = script.clone();
            async move {
                // A connection that only looks whether somebody listens.
                let Ok(connection) = h2::server::handshake(stream).await else {
                    return;
                };
                let number = {
                    let mut seen = seen.lock();
                    let (http2, sni) = (true, None);
                    seen.push(Seen { http2, sni });
                    seen.len() - 1
                };
                script(connection, number).await;
            }
        })
        .await
    }

    /// HTTP/2 without TLS, frame by frame: answers `served` requests on the first connection, says at the next one that it
    /// was not begun, and leaves the connection open. Later connections answer all.
    pub(crate) async fn saying_goodbye_after(served: u32) -> Self {
        Self::start(move |mut stream, seen| async move {
            let mut served_here = u32::MAX;
            let begun = |seen: &Mutex<Vec<Seen>>| {
                let mut seen = seen.lock();
                let (http2, sni) = (true, None);
                seen.push(Seen { http2, sni });
                seen.len()
            };
            if begins(&mut stream).await && begun(&seen) == 1 {
                served_here = served;
            }
            // A connection that broke: the tests look at the other side.
            let _ = answer_frames(&mut stream, served_here).await;
        })
        .await
    }

    async fn start<F>(
        serve: impl Fn(TcpStream, Arc<Mutex<Vec<Seen>>>) -> F + Send + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
        let address = listener.local_addr().expect("bound");
        let seen = Arc::default();
        let shared = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let _ = stream.set_nodelay(true);
                tokio::spawn(serve(stream, Arc::clone(&shared)));
            }
        });
        Self {
            address,
            seen,
            task,
        }
    }

    /// Connections so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Whether the other side speaks HTTP/2, and does not only look whether somebody listens.
async fn begins(stream: &mut TcpStream) -> bool {
    let mut preface = [0; 24];
    stream.read_exact(&mut preface).await.is_ok()
}

/// Frames as in RFC 9113, 4.1: a length of 3 bytes, type, flags, the stream, the payload.
async fn answer_frames(stream: &mut TcpStream, mut left: u32) -> io::Result<()> {
    const HEADERS: u8 = 1;
    const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];
    // END_STREAM and END_HEADERS, and `:status: 200` of the static table.
    const ANSWER: [u8; 5] = [0, 0, 1, HEADERS, 0x5];
    const STATUS: u8 = 0x88;
    const GOAWAY: [u8; 9] = [0, 0, 8, 7, 0, 0, 0, 0, 0];
    const NO_ERROR: [u8; 4] = [0; 4];
    stream.write_all(SETTINGS).await?;
    let mut last = [0; 4];
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).await?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; length as usize];
        stream.read_exact(&mut payload).await?;
        if head[3] != HEADERS {
            continue;
        }
        if left == 0 {
            let goodbye = [&GOAWAY[..], &last, &NO_ERROR].concat();
            stream.write_all(&goodbye).await?;
            continue;
        }
        left -= 1;
        last.copy_from_slice(&head[5..]);
        let answer = [&ANSWER[..], &last, &[STATUS]].concat();
        stream.write_all(&answer).await?;
    }
}

async fn talk<S, F>(stream: S, http2: bool, serve: impl Fn(Request<Incoming>) -> F)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    F: Future<Output = Answer> + Send + 'static,
{
    let service = service_fn(|request| {
        let answer = serve(request);
        async move { Ok::<_, Infallible>(answer.await) }
    });
    let stream = TokioIo::new(stream);
    // A connection that broke: the tests look at the other side.
    let _ = match http2 {
        true => {
            hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                .serve_connection(stream, service)
                .await
        }
        false => {
            hyper::server::conn::http1::Builder::new()
                .serve_connection(stream, service)
                .with_upgrades()
                .await
        }
    };
}

/// Method, path, version, headers, and length and digest of the body.
pub(crate) async fn mirror(request: Request<Incoming>) -> Answer {
    let (head, body) = request.into_parts();
    let headers: serde_json::Map<_, _> = head
        .headers
        .iter()
        .map(|(name, value)| (name.to_string(), value.to_str().expect("text").into()))
        .collect();
    let collected = body.collect().await.expect("whole");
    let trailers = collected.trailers().map(|trailers| format!("{trailers:?}"));
    let body = collected.to_bytes();
    let shown = serde_json::json!({
        "line": format!("{} {} {:?}", head.method, head.uri, head.version),
        "headers": headers,
        "bytes": body.len(),
        "sha256": sha256(&body),
        "trailers": trailers,
    });
    full(shown.to_string())
}

pub(crate) fn full(body: impl Into<Bytes>) -> Answer {
    Response::new(Full::new(body.into()).boxed())
}

/// An answer of the frames that are sent to it, of unknown length.
pub(crate) fn frames() -> (mpsc::Sender<Frame<Bytes>>, Answer) {
    let (frames, stream) = mpsc::channel(4);
    (frames, Response::new(Frames(stream).boxed()))
}

struct Frames(mpsc::Receiver<Frame<Bytes>>);

impl hyper::body::Body for Frames {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(context).map(|frame| frame.map(Ok))
    }
}
