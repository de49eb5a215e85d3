//! The current snapshot and how it is replaced.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwap;
use parking_lot::Mutex;

use super::build::build;
use super::snapshot::Snapshot;
use super::watch::{Fingerprint, fingerprint};
use crate::config;
use crate::config::model::Config;
use crate::metrics::{error_log, events};

/// Holds the current snapshot.
pub struct Live {
    path: PathBuf,
    current: ArcSwap<Snapshot>,
    last: Mutex<LastRead>,
    /// The configuration of the first start, whose addresses are the ones that are bound.
    bound: Config,
    /// What the file said just before the first start read it.
    first: Option<Fingerprint>,
    /// Only one reload at a time.
    reloading: Mutex<()>,
}

/// How the last reading of the file went.
#[derive(Debug, Clone)]
pub struct LastRead {
    /// When it was read.
    pub at: SystemTime,
    /// Why it was refused; `None` when it is live.
    pub refused: Option<String>,
    /// What deserves a look although it is live.
    pub warnings: Vec<String>,
    /// Settings that differ from what runs and wait for a restart.
    pub needs_restart: Vec<String>,
}

/// A reload that took place.
#[derive(Debug, Clone)]
pub struct Reloaded {
    /// Number of the configuration that is live now.
    pub generation: u64,
    /// Settings that wait for a restart.
    pub needs_restart: Vec<String>,
}

/// A configuration that was not taken, with every reason.
#[derive(Debug, Clone)]
pub struct Refused(pub String);

impl Live {
    /// Reads the file for the first time.
    ///
    /// # Errors
    /// Every error of the file, or why what it names could not be set up.
    pub fn start(path: &Path) -> Result<Self, Refused> {
        let first = fingerprint(path);
        let loaded = config::load(path).map_err(|errors| Refused(errors.to_string()))?;
        let snapshot = build(loaded.config, None, Instant::now())
            .map_err(|error| Refused(error.to_string()))?;
        for warning in &loaded.warnings {
            log::warn!("{warning}");
        }
        events::config_read("accepted");
        events::config_live(snapshot.generation);
        Ok(Self {
            path: path.to_owned(),
            first,
            bound: snapshot.config.clone(),
            current: ArcSwap::from_pointee(snapshot),
            last: Mutex::new(LastRead {
                at: SystemTime::now(),
                refused: None,
                warnings: loaded.warnings,
                needs_restart: Vec::new(),
            }),
            reloading: Mutex::new(()),
        })
    }

    /// The file that is read.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What the file said at the first start, to tell a change from.
    pub(super) fn first(&self) -> Option<Fingerprint> {
        self.first
    }

    /// The current snapshot.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    /// How the last reading went.
    pub fn last_read(&self) -> LastRead {
        self.last.lock().clone()
    }

    /// Opens log files again, for they were moved away. A log that cannot be opened stays where it was.
    pub fn reopen_logs(&self) {
        // First, so that what follows is said in the new file.
        if let Err(error) = error_log::reopen() {
            log::error!("error log not opened again: {error}");
        }
        match self.snapshot().access_log.reopen() {
            Ok(()) => log::info!("logs are opened again"),
            Err(error) => log::error!("access log not opened again: {error}"),
        }
    }

    /// Waits until all that was logged is with the operating system, at most twice `limit`.
    pub fn flush_logs(&self, limit: Duration) {
        self.snapshot().access_log.flush(limit);
        error_log::flush(limit);
    }

    /// Writes what waits for the disks of the caches and gives their files up, each within `limit`. Not on the event loop.
    pub fn close_stores(&self, limit: Duration) {
        for cache in self.snapshot().caches.values() {
            cache.close_store(limit);
        }
    }

    /// Reads the file again and, if it is valid, makes it live. `cause` is for the log.
    ///
    /// # Errors
    /// Every error of the file; the old configuration stays.
    pub fn reload(&self, cause: &str) -> Result<Reloaded, Refused> {
        let _one_at_a_time = self.reloading.lock();
        let old = self.snapshot();
        let read = config::load(&self.path)
            .map_err(|errors| errors.to_string())
            .and_then(|loaded| {
                let needs_restart = needs_restart(&self.bound, &loaded.config);
                build(loaded.config, Some(&old), Instant::now())
                    .map(|snapshot| (snapshot, loaded.warnings, needs_restart))
                    .map_err(|error| error.to_string())
            });
        let (snapshot, warnings, needs_restart) = match read {
            Ok(read) => read,
            Err(errors) => {
                log::error!("configuration refused ({cause}), the old one stays:\n{errors}");
                events::config_read("refused");
                let mut last = self.last.lock();
                last.at = SystemTime::now();
                last.refused = Some(errors.clone());
                return Err(Refused(errors));
            }
        };
        let generation = snapshot.generation;
        let snapshot = Arc::new(snapshot);
        self.current.store(Arc::clone(&snapshot));
        // More peers or a higher `max_requests` may be room for those who wait; they look at what is live.
        for pool in snapshot.pools.values() {
            pool.queue.wake();
        }
        for warning in &warnings {
            log::warn!("{warning}");
        }
        for setting in &needs_restart {
            log::warn!("{setting}: changed, takes effect at the next restart");
        }
        log::info!("configuration {generation} is live ({cause})");
        events::config_read("accepted");
        events::config_live(generation);
        *self.last.lock() = LastRead {
            at: SystemTime::now(),
            refused: None,
            warnings,
            needs_restart: needs_restart.clone(),
        };
        Ok(Reloaded {
            generation,
            needs_restart,
        })
    }
}

/// Settings that only a restart can change and that differ from what runs.
fn needs_restart(bound: &Config, new: &Config) -> Vec<String> {
    let address = |config: &Config| config.admin.as_ref().map(|admin| admin.address);
    [
        ("listen", bound.listen != new.listen),
        ("admin.address", address(bound) != address(new)),
        ("threads", bound.threads != new.threads),
        ("shutdown_grace", bound.shutdown_grace != new.shutdown_grace),
        ("upgrade_socket", bound.upgrade_socket != new.upgrade_socket),
    ]
    .into_iter()
    .filter(|(_, differs)| *differs)
    .map(|(setting, _)| setting.to_owned())
    .collect()
}
