//! A connection of an HTTP/2 client, and the streams on it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use h2::RecvStream;
use h2::server::{self, SendResponse};
use http::Request;
use pingora::protocols::Stream;
use pingora::server::ShutdownWatch;
use pingora::time::timeout;
use tokio::sync::Notify;

use super::H2;
use crate::front::door::{Front, Handler};
use crate::front::{Refusal, Session, session};
use crate::metrics::events;
use crate::util::fields::Fields;
use crate::wire::RequestHead;

/// Malformed requests on one connection after which it takes no more.
const MOST_MALFORMED: usize = 32;
/// Requests that a client may have under way on one connection.
const MOST_STREAMS: u32 = 100;
/// What a client may send before somebody reads it, in bytes: on one stream, and on a connection.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;

impl<H: Handler> Front<H> {
    /// Answers what comes on a connection until it ends, or nothing has come for a while.
    pub(in crate::front) async fn serve_h2(
        &self,
        stream: Stream,
        client: Option<SocketAddr>,
        tls: bool,
        shutdown: &ShutdownWatch,
    ) {
        let _open = self.crowd.enter_http2();
        let rules = self.rules();
        let begun = server::Builder::new()
            .max_header_list_size(u32::try_from(rules.client.max_header_bytes).unwrap_or(u32::MAX))
            .max_concurrent_streams(MOST_STREAMS)
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .handshake::<_, Bytes>(stream);
        let Ok(Ok(mut connection)) = timeout(rules.client.header_timeout, begun).await else {
            return;
        };
        let client_text = session::address_text(client);
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
                accepted = connection.accept() => accepted,
                () = streams.idle_for(rules.client.idle_timeout) => return,
            };
            let Some(Ok((request, respond))) = accepted else {
                return;
            };
            let from = session::Origin {
                client,
                client_text: client_text.clone(),
                tls,
                rules: self.rules(),
                closing: Arc::clone(&self.closing),
            };
            let (session, refusal) = session_of(request, respond, &from);
            if refusal.is_some_and(Refusal::is_malformed) {
                malformed += 1;
                if malformed == MOST_MALFORMED {
                    // What others have asked on it is answered.
                    connection.graceful_shutdown();
                }
            }
            let handler = Arc::clone(&self.handler);
            let running = Streams::begin(&streams);
            tokio::spawn(async move {
                let mut session = session;
                match refusal {
                    None => handler.handle(&mut session).await,
                    Some(refusal) => {
                        events::head_refused(refusal.name());
                        let own = Fields::default();
                        let answer = refusal.answer(&own);
                        // A client that has left needs none.
                        let _ = session.answer(answer).await;
                    }
                }
                session.finish().await;
                drop(running);
            });
        }
    }
}

/// A request and the way back to its client, and why it goes no further, if it does not.
fn session_of(
    request: Request<RecvStream>,
    respond: SendResponse<Bytes>,
    from: &session::Origin,
) -> (Session, Option<Refusal>) {
    let (head, receiving) = request.into_parts();
    let mut head = Box::new(RequestHead::from(head));
    session::join_cookies(&mut head);
    let refusal = Refusal::over_h2(&head).err();
    let h2 = H2::new(&head, receiving, respond);
    (Session::over_h2(head, h2, from), refusal)
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
    async fn idle_for(&self, time: Duration) {
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
