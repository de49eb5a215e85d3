//! What all connections of one simulated server share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::sim::engine::Rates;
use crate::sim::text;

use super::api::Finish;
use super::args::SimConfig;
use super::driver::Driver;
use super::fault::{FaultBook, Planted};

/// Shared state of one simulated server.
#[derive(Debug)]
pub(super) struct App {
    pub(super) config: SimConfig,
    pub(super) driver: Arc<Driver>,
    pub(super) faults: FaultBook,
    pub(super) healthy: AtomicBool,
    pub(super) counts: Counts,
    started: Instant,
    started_unix_ms: f64,
    next_id: AtomicU64,
}

/// Counts of a server, outside its engine.
#[derive(Debug, Default)]
pub(super) struct Counts {
    /// Open connections.
    pub(super) connections: AtomicU64,
    /// Requests being served.
    pub(super) in_flight: AtomicU64,
    /// Requests since the start.
    pub(super) requests: AtomicU64,
    /// Requests that a fault struck.
    pub(super) faults: AtomicU64,
    /// Texts that ended by themselves.
    pub(super) stopped: AtomicU64,
    /// Texts that ended at their limit.
    pub(super) cut_to_length: AtomicU64,
    /// Requests whose client left before the answer's end.
    pub(super) clients_gone: AtomicU64,
    /// When the last of them left, as the bits of a float: Unix time in milliseconds; zero when none has.
    last_gone_ms: AtomicU64,
}

impl Counts {
    /// A text was generated to its end.
    pub(super) fn finished(&self, finish: Finish) {
        let counter = match finish {
            Finish::Stop | Finish::Filtered => &self.stopped,
            Finish::Length => &self.cut_to_length,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn last_gone_unix_ms(&self) -> Option<f64> {
        Some(f64::from_bits(self.last_gone_ms.load(Ordering::Relaxed))).filter(|ms| *ms > 0.0)
    }
}

impl App {
    pub(super) fn new(config: SimConfig) -> Arc<Self> {
        let planted = config.fault.map(|fault| Planted {
            fault,
            left: None,
            probability: config.fault_probability,
        });
        let unix = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        // Every time of the engine is divided by its speed, so a scale of time is one more factor of it.
        let rates = Rates {
            speed: config.rates.speed * config.time_scale,
            ..config.rates.clone()
        };
        Arc::new(Self {
            driver: Driver::new(rates),
            faults: FaultBook::new(planted, config.seed),
            healthy: AtomicBool::new(true),
            counts: Counts::default(),
            started: Instant::now(),
            started_unix_ms: unix.as_secs_f64() * 1000.0,
            next_id: AtomicU64::new(0),
            config,
        })
    }

    /// Unix time in milliseconds that never goes back while the server lives.
    pub(super) fn now_unix_ms(&self) -> f64 {
        self.started_unix_ms + self.started.elapsed().as_secs_f64() * 1000.0
    }

    /// Unix time in whole seconds.
    pub(super) fn now_unix(&self) -> u64 {
        (self.now_unix_ms() / 1000.0) as u64
    }

    /// A fresh id: 24 hexadecimal digits that differ between servers of different names and seeds.
    pub(super) fn id(&self) -> String {
        let number = self.next_id.fetch_add(1, Ordering::Relaxed);
        let origin = text::hash(self.config.seed, self.config.name.as_bytes());
        let tail = text::hash(origin, &number.to_le_bytes());
        format!("{tail:016x}{:08x}", number as u32)
    }

    /// Begins to serve one request.
    pub(super) fn begin(self: &Arc<Self>) -> Exchange {
        self.counts.in_flight.fetch_add(1, Ordering::Relaxed);
        self.counts.requests.fetch_add(1, Ordering::Relaxed);
        Exchange {
            app: self.clone(),
            answered: false,
        }
    }

    /// Counts a connection for as long as the value lives.
    pub(super) fn connection(self: &Arc<Self>) -> Connection {
        self.counts.connections.fetch_add(1, Ordering::Relaxed);
        Connection(self.clone())
    }
}

/// One request in service. Dropped before it is answered, it was the client that left.
#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) app: Arc<App>,
    answered: bool,
}

impl Exchange {
    /// The answer is complete, or it is this server that breaks it off.
    pub(super) fn answered(&mut self) {
        self.answered = true;
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let counts = &self.app.counts;
        counts.in_flight.fetch_sub(1, Ordering::Relaxed);
        if !self.answered {
            counts
                .last_gone_ms
                .store(self.app.now_unix_ms().to_bits(), Ordering::Relaxed);
            counts.clients_gone.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// One open connection.
#[derive(Debug)]
pub(super) struct Connection(Arc<App>);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.counts.connections.fetch_sub(1, Ordering::Relaxed);
    }
}
