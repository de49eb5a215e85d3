//! The end: no new connections, running answers may finish, and no waiting once they have.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use parking_lot::Mutex;
use pingora::server::{ShutdownSignal, ShutdownSignalWatch};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::handover::{Handover, Place};
use crate::front::Crowd;
use crate::metrics::events;
use crate::state::Live;

/// How long connections of a process that was replaced may go on waiting for a request: among them are those of clients
/// whose first request is on its way.
const LINGER: Duration = Duration::from_secs(2);
/// HTTP/2 connections get this long to send what is left of answers that are otherwise done.
const TAIL: Duration = Duration::from_secs(5);
/// A disk that hangs delays the end by this much at most.
pub(super) const FLUSH_LIMIT: Duration = Duration::from_secs(2);
/// A cache's disk delays the end by this much at most: an index of a million questions is a gigabyte to write.
pub(super) const STORE_LIMIT: Duration = Duration::from_secs(20);
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
    pub(super) fn watch(
        &self,
        live: Arc<Live>,
        grace: Duration,
        handover: Arc<Handover>,
        place: Place,
        crowd: Arc<Crowd>,
    ) -> Watch {
        Watch {
            crowd,
            draining: self.flag(),
            live,
            grace,
            handover,
            place: Mutex::new(Some(place)),
        }
    }
}

/// SIGTERM and SIGQUIT drain, as does being replaced; SIGINT and a second signal end at once. SIGUSR2 replaces the binary.
pub(super) struct Watch {
    draining: Arc<AtomicBool>,
    live: Arc<Live>,
    grace: Duration,
    handover: Arc<Handover>,
    place: Mutex<Option<Place>>,
    crowd: Arc<Crowd>,
}

#[async_trait]
impl ShutdownSignalWatch for Watch {
    async fn recv(&self) -> ShutdownSignal {
        let Ok(mut signals) = Signals::new() else {
            log::error!("cannot listen for signals");
            return ShutdownSignal::FastShutdown;
        };
        // Pingora asks for a signal once everything has been started: now it serves.
        let own = self.take_place().await;
        let mut released = self.handover.released();
        let (settle, mut spared) = loop {
            let said = tokio::select! {
                // Whoever stops the service ends both processes: that is no reason to cut what this one still does.
                _ = released.wait() => break (LINGER, 1),
                said = signals.next() => said,
            };
            match said {
                Said::AtOnce => return ShutdownSignal::FastShutdown,
                Said::End => {
                    if let Some(socket) = own {
                        let _ = std::fs::remove_file(socket);
                    }
                    break (SETTLE, 0);
                }
                Said::Upgrade => {
                    let handover = Arc::clone(&self.handover);
                    tokio::spawn(async move {
                        if let Err(why) = handover.start_next().await {
                            log::error!("upgrade: {why}");
                        }
                    });
                }
            }
        };
        self.handover.let_go();
        self.draining.store(true, Ordering::Release);
        let (live, grace) = (Arc::clone(&self.live), self.grace);
        let crowd = Arc::clone(&self.crowd);
        if spared > 0 {
            // The successor waits for the files of the caches.
            let live = Arc::clone(&live);
            tokio::task::spawn_blocking(move || live.close_stores(STORE_LIMIT));
        }
        log::info!(
            "draining: {} requests running, at most {grace:?}",
            events::in_flight()
        );
        // Pingora closes the listeners as soon as this returns, then sleeps the whole grace period, busy or idle.
        tokio::spawn(async move {
            let end = Instant::now() + grace;
            let drained = async {
                tokio::time::sleep(settle).await;
                while events::in_flight() > 0 && Instant::now() < end {
                    tokio::time::sleep(LOOK_EVERY).await;
                }
                let tail = end.min(Instant::now() + TAIL);
                while crowd.http2() > 0 && Instant::now() < tail {
                    tokio::time::sleep(LOOK_EVERY).await;
                }
            };
            tokio::pin!(drained);
            loop {
                let said = tokio::select! {
                    () = &mut drained => break,
                    said = signals.next() => said,
                };
                match said {
                    Said::Upgrade => log::warn!("on the way out: no upgrade"),
                    Said::End if spared > 0 => spared -= 1,
                    Said::End | Said::AtOnce => break,
                }
            }
            match events::in_flight() {
                0 => log::info!("drained"),
                cut => log::warn!("{cut} requests are cut off"),
            }
            let flush = move || {
                live.close_stores(STORE_LIMIT);
                live.flush_logs(FLUSH_LIMIT);
            };
            let _ = tokio::task::spawn_blocking(flush).await;
            std::process::exit(0);
        });
        ShutdownSignal::GracefulTerminate
    }
}

impl Watch {
    /// Takes over from the old process if there is one, and waits for the next one; the socket that is now its own.
    async fn take_place(&self) -> Option<PathBuf> {
        let place = self.place.lock().take()?;
        let served = tokio::task::spawn_blocking(move || place.serve()).await;
        let (path, listener) = served.ok().flatten()?;
        tokio::spawn(Arc::clone(&self.handover).serve(listener));
        Some(path)
    }
}

struct Signals {
    interrupt: Signal,
    terminate: Signal,
    quit: Signal,
    upgrade: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            quit: signal(SignalKind::quit())?,
            upgrade: signal(SignalKind::user_defined2())?,
        })
    }

    async fn next(&mut self) -> Said {
        tokio::select! {
            _ = self.interrupt.recv() => Said::AtOnce,
            _ = self.terminate.recv() => Said::End,
            _ = self.quit.recv() => Said::End,
            _ = self.upgrade.recv() => Said::Upgrade,
        }
    }
}

/// What a signal says.
enum Said {
    /// Go on with what runs, then end.
    End,
    /// End.
    AtOnce,
    /// Start the next binary.
    Upgrade,
}
