//! One HTTP/2 connection and how many requests are on it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use h2::client::{Builder, SendRequest};
use h2::{Ping, PingPong};
use pingora::protocols::Stream;
use tokio::time::{sleep, timeout};

use super::Failure;

/// Most requests on one connection; the peer may want fewer.
const MOST_CALLS: usize = 100;
/// Bytes of an answer that wait here for a slow client, at most.
const WINDOW: u32 = 256 * 1024;
/// So that clients which read nothing cannot hold up those that share the connection with them.
const WINDOW_OF_ALL: u32 = WINDOW * MOST_CALLS as u32;
/// Largest response head, in bytes.
const MOST_HEADERS: u32 = 64 * 1024;
/// A connection carries many requests, so whether it is alive is asked and not waited for.
const PING_EVERY: Duration = Duration::from_secs(20);
/// A peer that does not answer a ping for so long is gone.
const PING_WITHIN: Duration = Duration::from_secs(10);

/// One connection. Dropping it ends it once its last request has ended.
pub(super) struct Connection {
    requests: SendRequest<Bytes>,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    calls: AtomicUsize,
    closed: AtomicBool,
    /// Since the last sweep.
    used: AtomicBool,
}

/// Room for one request on a connection.
pub(super) struct Place {
    pub(super) requests: SendRequest<Bytes>,
    state: Arc<State>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.state.used.store(true, Ordering::Relaxed);
        self.state.calls.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Connection {
    pub(super) async fn begin(stream: Stream) -> Result<Self, Failure> {
        let (requests, mut connection) = Builder::new()
            .enable_push(false)
            .initial_window_size(WINDOW)
            .initial_connection_window_size(WINDOW_OF_ALL)
            .max_header_list_size(MOST_HEADERS)
            .handshake(stream)
            .await
            .map_err(|error| Failure::Connect(error.to_string()))?;
        let state = Arc::new(State::default());
        let ours = Arc::clone(&state);
        let pings = connection.ping_pong();
        tokio::spawn(async move {
            tokio::select! {
                ended = connection => {
                    if let Err(error) = ended {
                        log::debug!("HTTP/2 connection to a peer: {error}");
                    }
                }
                () = unanswered(pings) => log::warn!("a peer answers no HTTP/2 ping, connection closed"),
            }
            ours.closed.store(true, Ordering::Release);
        });
        Ok(Self { requests, state })
    }

    pub(super) fn is_open(&self) -> bool {
        !self.state.closed.load(Ordering::Acquire)
    }

    /// Whether it carries something, or did since this was last asked.
    pub(super) fn was_used(&self) -> bool {
        self.state.used.swap(false, Ordering::Relaxed)
            || self.state.calls.load(Ordering::Acquire) > 0
    }

    /// Room for a request, if there is any and the peer has not said goodbye.
    pub(super) async fn place(&self) -> Option<Place> {
        let most = self.requests.current_max_send_streams().min(MOST_CALLS);
        let calls = self.state.calls.fetch_add(1, Ordering::AcqRel);
        let mut place = Place {
            requests: self.requests.clone(),
            state: Arc::clone(&self.state),
        };
        if calls >= most {
            return None;
        }
        let ready = std::future::poll_fn(|context| place.requests.poll_ready(context)).await;
        if ready.is_err() {
            self.state.closed.store(true, Ordering::Release);
            return None;
        }
        Some(place)
    }
}

/// Ends when the peer no longer answers.
async fn unanswered(pings: Option<PingPong>) {
    let Some(mut pings) = pings else {
        return std::future::pending().await;
    };
    loop {
        sleep(PING_EVERY).await;
        match timeout(PING_WITHIN, pings.ping(Ping::opaque())).await {
            Ok(Ok(_)) => {}
            // The connection ends by itself and says why.
            Ok(Err(_)) => return std::future::pending().await,
            Err(_) => return,
        }
    }
}
