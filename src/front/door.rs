//! From an accepted connection to its requests.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use async_trait::async_trait;
use pingora::apps::ServerApp;
use pingora::protocols::Stream;
use pingora::protocols::l4::stream::Stream as Tcp;
use pingora::server::ShutdownWatch;
use pingora::time::timeout;

use super::crowd::Crowd;
use super::h1::H1;
use super::proxy_protocol::{self, Origin};
use super::tls::{self, Spoken};
use super::{Rules, Session, session};
use crate::metrics::events;
use crate::wire::Conn;

/// How an HTTP/2 connection begins (RFC 9113, 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Answers requests.
pub trait Handler: Send + Sync + 'static {
    /// What holds for the clients of a listener now; `None` once the configuration has it no longer.
    fn rules(&self, listener: SocketAddr) -> Option<Arc<Rules>>;

    /// Answers one request. Whatever it leaves unended is cut off.
    fn handle(&self, session: &mut Session) -> impl Future<Output = ()> + Send;
}

/// What a listener hands its connections to.
pub struct Front<H> {
    pub(super) handler: Arc<H>,
    listener: SocketAddr,
    /// The rules that the listener began with.
    first: Arc<Rules>,
    pub(super) crowd: Arc<Crowd>,
    /// Set once the process is on its way out.
    pub(super) closing: Arc<AtomicBool>,
}

impl<H: Handler> Front<H> {
    /// Gives the requests that come on `listener` to `handler`. Connections are counted in `crowd`, and end
    /// with their answers once `closing` is set.
    pub fn new(
        handler: Arc<H>,
        listener: SocketAddr,
        first: Arc<Rules>,
        crowd: Arc<Crowd>,
        closing: Arc<AtomicBool>,
    ) -> Self {
        Self {
            handler,
            listener,
            first,
            crowd,
            closing,
        }
    }

    pub(super) fn rules(&self) -> Arc<Rules> {
        let rules = self.handler.rules(self.listener);
        rules.unwrap_or_else(|| Arc::clone(&self.first))
    }

    async fn enter(&self, mut stream: Stream, shutdown: &ShutdownWatch) {
        let rules = self.rules();
        let mut client = stream.get_socket_digest().and_then(|digest| {
            let address = digest.peer_addr()?;
            address.as_inet().copied()
        });
        if rules.proxy_protocol {
            if !client.is_some_and(|client| rules.trusted.contains(client.ip())) {
                return events::connection_refused("untrusted_proxy");
            }
            match proxy_protocol::take(stream, rules.client.header_timeout).await {
                Ok((taken, origin)) => {
                    stream = taken;
                    if let Origin::Client { source, .. } = origin {
                        client = Some(source);
                    }
                }
                Err(refused) => {
                    log::debug!("{}: {refused}", self.listener);
                    return events::connection_refused("proxy_header");
                }
            }
        }
        let address = client.map(|client| client.ip());
        let _seat = match self.crowd.enter(address, &rules.client) {
            Ok(seat) => seat,
            Err(crowded) => return events::connection_refused(crowded.name()),
        };
        if let Some(tls) = &rules.tls {
            return match tls::accept(stream, tls, rules.client.header_timeout).await {
                Ok(accepted) if accepted.spoken == Spoken::Http2 => {
                    self.serve_h2(accepted.stream, client, true, shutdown).await;
                }
                Ok(accepted) => {
                    let conn = Conn::new(accepted.stream);
                    self.serve_h1(conn, client, true).await;
                }
                Err(refused) => {
                    log::debug!("{}: {refused}", self.listener);
                    events::connection_refused("tls");
                }
            };
        }
        let mut conn = Conn::new(stream);
        match begins_h2(&mut conn, &rules).await {
            Some(true) => {
                let (stream, came) = conn.into_parts();
                if let Some(stream) = put_back(stream, &came) {
                    self.serve_h2(stream, client, false, shutdown).await;
                }
            }
            Some(false) => self.serve_h1(conn, client, false).await,
            None => {}
        }
    }

    async fn serve_h1(&self, conn: Conn, client: Option<SocketAddr>, tls: bool) {
        let client_text = session::address_text(client);
        let mut h1 = Box::new(H1::new(conn));
        let mut fresh = true;
        loop {
            let rules = self.rules();
            let head = match h1.next_head(&rules, fresh).await {
                Ok(Some(head)) => head,
                Ok(None) => return,
                Err(refusal) => {
                    events::head_refused(refusal.name());
                    return h1.refuse(&rules, refusal).await;
                }
            };
            fresh = false;
            let from = session::Origin {
                client,
                client_text: client_text.clone(),
                tls,
                rules,
                closing: Arc::clone(&self.closing),
            };
            let mut session = Session::over_h1(head, h1, &from);
            self.handler.handle(&mut session).await;
            match session.finish().await {
                Some(next) => h1 = next,
                None => return,
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
        // A task of its own, so that the larger one ends that Pingora accepted it with.
        let (front, shutdown) = (Arc::clone(self), shutdown.clone());
        tokio::spawn(async move { front.enter(stream, &shutdown).await });
        None
    }
}

/// Whether the client speaks HTTP/2 without having said so before; `None` when it says nothing.
async fn begins_h2(conn: &mut Conn, rules: &Rules) -> Option<bool> {
    let first_bytes = async {
        loop {
            if conn.inbox.is_empty() && !matches!(conn.fill().await, Ok(1..)) {
                return None;
            }
            let here = conn.inbox.len().min(PREFACE.len());
            if !rules.http2 || conn.inbox[..here] != PREFACE[..here] {
                return Some(false);
            }
            if here == PREFACE.len() {
                return Some(true);
            }
            if !matches!(conn.fill().await, Ok(1..)) {
                return None;
            }
        }
    };
    timeout(rules.client.header_timeout, first_bytes)
        .await
        .ok()?
}

/// The stream as it was before `came` was read off it.
fn put_back(stream: Stream, came: &[u8]) -> Option<Stream> {
    let mut tcp = stream.into_any().downcast::<Tcp>().ok()?;
    tcp.rewind(came);
    Some(tcp)
}
