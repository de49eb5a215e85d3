//! From an accepted connection to its requests.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use pingora::apps::ServerApp;
use pingora::protocols::http::v2::server::{self as h2, H2Accept, HttpSession};
use pingora::protocols::l4::stream::Stream as Tcp;
use pingora::protocols::{Digest, Stream};
use pingora::server::ShutdownWatch;
use pingora::time::timeout;
use tokio::sync::Notify;

use super::crowd::Crowd;
use super::h1::H1;
use super::h2::H2;
use super::session::Origin;
use super::{Rules, Session};
use crate::metrics::events;
use crate::wire::Conn;

/// How an HTTP/2 connection begins (RFC 9113, 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Requests on one HTTP/2 connection that are refused before it is closed.
const MOST_MALFORMED: usize = 32;
/// What an HTTP/2 client may send before somebody reads it, in bytes: on one stream, and on a connection.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;

/// Answers requests.
pub trait Handler: Send + Sync + 'static {
    /// What holds for clients now.
    fn rules(&self) -> Arc<Rules>;

    /// Answers one request. Whatever it leaves unended is cut off.
    fn handle(&self, session: &mut Session) -> impl Future<Output = ()> + Send;
}

/// What a listener hands its connections to.
pub struct Front<H> {
    handler: Arc<H>,
    crowd: Arc<Crowd>,
}

impl<H: Handler> Front<H> {
    /// Gives requests to `handler`.
    pub fn new(handler: Arc<H>) -> Self {
        Self {
            handler,
            crowd: Arc::default(),
        }
    }

    async fn enter(&self, stream: Stream, shutdown: &ShutdownWatch) {
        let address = stream.get_socket_digest().and_then(|digest| {
            digest
                .peer_addr()
                .and_then(|address| address.as_inet().copied())
        });
        let rules = self.handler.rules();
        let _seat = match self
            .crowd
            .enter(address.map(|address| address.ip()), &rules)
        {
            Ok(seat) => seat,
            Err(crowded) => return events::connection_refused(crowded.name()),
        };
        let mut conn = Conn::new(stream);
        match begins_h2(&mut conn, &rules).await {
            Some(true) => {
                let (stream, came) = conn.into_parts();
                if let Some(stream) = put_back(stream, &came) {
                    self.serve_h2(stream, address, false, shutdown).await;
                }
            }
            Some(false) => self.serve_h1(conn, address, false, shutdown).await,
            None => {}
        }
    }

    async fn serve_h1(
        &self,
        conn: Conn,
        client: Option<SocketAddr>,
        tls: bool,
        shutdown: &ShutdownWatch,
    ) {
        let mut h1 = H1::new(conn);
        let mut fresh = true;
        loop {
            let rules = self.handler.rules();
            let head = match h1.next_head(&rules, fresh).await {
                Ok(Some(head)) => head,
                Ok(None) => return,
                Err(refusal) => {
                    events::head_refused(refusal.name());
                    return h1.refuse(&rules, refusal).await;
                }
            };
            fresh = false;
            let from = Origin {
                client,
                tls,
                rules,
                closing: *shutdown.borrow(),
            };
            let mut session = Session::over_h1(head, h1, &from);
            self.handler.handle(&mut session).await;
            match session.finish().await {
                Some(next) => h1 = next,
                None => return,
            }
        }
    }

    async fn serve_h2(
        &self,
        stream: Stream,
        client: Option<SocketAddr>,
        tls: bool,
        shutdown: &ShutdownWatch,
    ) {
        let rules = self.handler.rules();
        let mut options = h2::default_h2_options();
        options
            .max_header_list_size(u32::try_from(rules.max_header_bytes).unwrap_or(u32::MAX))
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW);
        let begun = timeout(rules.header_timeout, h2::handshake(stream, Some(options))).await;
        let Ok(Ok(mut connection)) = begun else {
            return;
        };
        // Pingora reads an address out of it, which it need not know.
        let digest = Arc::new(Digest::default());
        let streams = Arc::new(Streams::default());
        let mut shutdown = shutdown.clone();
        let (mut closing, mut malformed) = (*shutdown.borrow(), 0);
        if closing {
            connection.graceful_shutdown();
        }
        loop {
            let accepted = tokio::select! {
                biased;
                changed = shutdown.changed(), if !closing => {
                    closing = changed.is_err() || *shutdown.borrow();
                    if closing {
                        connection.graceful_shutdown();
                    }
                    continue;
                }
                accepted = HttpSession::from_h2_conn(&mut connection, Arc::clone(&digest)) => accepted,
                () = streams.idle_for(rules.idle_timeout) => return,
            };
            match accepted {
                Ok(Some(H2Accept::Session(stream))) => {
                    let from = Origin {
                        client,
                        tls,
                        rules: self.handler.rules(),
                        closing: false,
                    };
                    let handler = Arc::clone(&self.handler);
                    let running = Streams::begin(&streams);
                    tokio::spawn(async move {
                        let mut session = Session::over_h2(H2::new(stream), &from);
                        handler.handle(&mut session).await;
                        session.finish().await;
                        drop(running);
                    });
                }
                Ok(Some(H2Accept::Rejected)) => {
                    events::head_refused("malformed");
                    malformed += 1;
                    if malformed == MOST_MALFORMED {
                        return;
                    }
                }
                Ok(None) | Err(_) => return,
            }
        }
    }
}

#[async_trait]
impl<H: Handler> ServerApp for Front<H> {
    async fn process_new(
        self: &Arc<Self>,
        stream: Stream,
        shutdown: &ShutdownWatch,
    ) -> Option<Stream> {
        self.enter(stream, shutdown).await;
        None
    }
}

/// Whether the client speaks HTTP/2 without having said so before; `None` when it says nothing.
async fn begins_h2(conn: &mut Conn, rules: &Rules) -> Option<bool> {
    let first_bytes = async {
        loop {
            match conn.fill().await {
                Ok(1..) => {}
                _ => return None,
            }
            let here = conn.inbox.len().min(PREFACE.len());
            if !rules.http2 || conn.inbox[..here] != PREFACE[..here] {
                return Some(false);
            }
            if here == PREFACE.len() {
                return Some(true);
            }
        }
    };
    timeout(rules.header_timeout, first_bytes).await.ok()?
}

/// The stream as it was before `came` was read off it.
fn put_back(stream: Stream, came: &[u8]) -> Option<Stream> {
    let mut tcp = stream.into_any().downcast::<Tcp>().ok()?;
    tcp.rewind(came);
    Some(tcp)
}

/// How many streams of a connection are being answered.
#[derive(Debug, Default)]
struct Streams {
    running: AtomicUsize,
    none_left: Notify,
}

struct Running(Arc<Streams>);

impl Streams {
    fn begin(this: &Arc<Self>) -> Running {
        this.running.fetch_add(1, Ordering::Relaxed);
        Running(Arc::clone(this))
    }

    /// Resolves once none has been running for `time`.
    async fn idle_for(&self, time: std::time::Duration) {
        loop {
            while self.running.load(Ordering::Relaxed) > 0 {
                self.none_left.notified().await;
            }
            tokio::time::sleep(time).await;
            if self.running.load(Ordering::Relaxed) == 0 {
                return;
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.0.running.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.0.none_left.notify_one();
        }
    }
}
