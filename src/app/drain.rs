//! The end: no new connections, running answers may finish, and no waiting once they have.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use pingora::server::{ShutdownSignal, ShutdownSignalWatch};
use tokio::signal::unix::{SignalKind, signal};

use crate::metrics::events;
use crate::state::Live;

/// A disk that hangs delays the end by this much at most.
pub(super) const FLUSH_LIMIT: Duration = Duration::from_secs(2);
/// How often running requests are counted while draining.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Requests that were accepted just before the listeners closed get this long to show up in the count.
const SETTLE: Duration = Duration::from_millis(100);

/// Whether the process is on its way out.
#[derive(Debug, Default)]
pub(super) struct Draining(Arc<AtomicBool>);

impl Draining {
    /// Shared with those who report readiness.
    pub(super) fn flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.0)
    }

    /// Signals as Pingora wants them.
    pub(super) fn watch(&self, live: Arc<Live>, grace: Duration) -> Watch {
        Watch {
            draining: self.flag(),
            live,
            grace,
        }
    }
}

/// SIGTERM drains, SIGINT and a second SIGTERM end at once.
pub(super) struct Watch {
    draining: Arc<AtomicBool>,
    live: Arc<Live>,
    grace: Duration,
}

#[async_trait]
impl ShutdownSignalWatch for Watch {
    async fn recv(&self) -> ShutdownSignal {
        let signals = (
            signal(SignalKind::terminate()),
            signal(SignalKind::interrupt()),
        );
        let (Ok(mut terminate), Ok(mut interrupt)) = signals else {
            log::error!("cannot listen for signals");
            return ShutdownSignal::FastShutdown;
        };
        tokio::select! {
            _ = interrupt.recv() => return ShutdownSignal::FastShutdown,
            _ = terminate.recv() => {}
        }
        self.draining.store(true, Ordering::Release);
        let (live, grace) = (Arc::clone(&self.live), self.grace);
        log::info!(
            "draining: {} requests running, at most {grace:?}",
            events::in_flight()
        );
        // Pingora closes the listeners as soon as this returns, then sleeps the whole grace period, busy or idle.
        tokio::spawn(async move {
            let end = Instant::now() + grace;
            let drained = async {
                tokio::time::sleep(SETTLE).await;
                while events::in_flight() > 0 && Instant::now() < end {
                    tokio::time::sleep(LOOK_EVERY).await;
                }
            };
            tokio::select! {
                () = drained => {}
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            match events::in_flight() {
                0 => log::info!("drained"),
                cut => log::warn!("{cut} requests are cut off"),
            }
            let _ = tokio::task::spawn_blocking(move || live.flush_logs(FLUSH_LIMIT)).await;
            std::process::exit(0);
        });
        ShutdownSignal::GracefulTerminate
    }
}
