//! The error log: what the `log` macros say, to standard error or a file, at a level that a reload may change.
//!
//! The `log` crate knows one logger per process, so this is process-wide. Lines and filters are `env_logger`'s; what is
//! added is the file, its reopening, and that a message in endless repetition is not written endlessly (`repeats`).

mod repeats;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use env_logger::{Builder, Logger, Target};
use log::{Level, LevelFilter, Log, Metadata, Record};
use parking_lot::Mutex;

use self::repeats::Repeats;
use super::spool::{self, Listener, Spool};

static CURRENT: LazyLock<ArcSwap<Current>> =
    LazyLock::new(|| ArcSwap::from_pointee(Current::stderr(LevelFilter::Info)));
static REPEATS: LazyLock<Mutex<Repeats>> = LazyLock::new(Mutex::default);

struct Current {
    logger: Logger,
    file: Option<(PathBuf, Arc<Spool>)>,
}

/// An error log that is opened but not in use yet.
pub struct Prepared {
    current: Current,
    /// The file that is already written to, opened again.
    again: Option<std::fs::File>,
}

/// Logs to standard error from now on. Later calls change nothing.
pub fn start() {
    if log::set_logger(&Everything).is_ok() {
        log::set_max_level(CURRENT.load().logger.filter());
    }
}

/// Opens the log at `path`, standard error without one. `RUST_LOG` overrides `level`.
///
/// # Errors
/// When the file cannot be opened or its thread cannot be started; nothing has changed then.
pub fn prepare(path: Option<&Path>, level: LevelFilter) -> io::Result<Prepared> {
    let Some(path) = path else {
        return Ok(Prepared {
            current: Current::stderr(level),
            again: None,
        });
    };
    let file = spool::open(path)?;
    let running = CURRENT.load();
    let same = running.file.as_ref().filter(|(old, _)| old == path);
    let (spool, again) = match same {
        Some((_, spool)) => (Arc::clone(spool), Some(file)),
        None => (Arc::new(Spool::start("error-log", file, Plain)?), None),
    };
    let target = Target::Pipe(Box::new(Handover(Arc::clone(&spool))));
    Ok(Prepared {
        current: Current {
            logger: logger(level, target),
            file: Some((path.to_owned(), spool)),
        },
        again,
    })
}

impl Prepared {
    /// Logs here from now on.
    pub fn install(self) {
        if let (Some(file), Some((_, spool))) = (self.again, &self.current.file) {
            spool.change_to(file);
        }
        log::set_max_level(self.current.logger.filter());
        CURRENT.store(Arc::new(self.current));
    }
}

/// Opens the file again, for it was moved away.
///
/// # Errors
/// When it cannot be opened; the old one stays.
pub fn reopen() -> io::Result<()> {
    if let Some((path, spool)) = &CURRENT.load().file {
        spool.change_to(spool::open(path)?);
    }
    Ok(())
}

/// Writes what is held back and waits until all is with the operating system, at most `limit`.
pub fn flush(limit: Duration) {
    let current = CURRENT.load();
    let withheld = REPEATS.lock().all();
    say(&current.logger, withheld);
    if let Some((_, spool)) = &current.file {
        spool.flush(limit);
    }
}

impl Current {
    fn stderr(level: LevelFilter) -> Self {
        Self {
            logger: logger(level, Target::Stderr),
            file: None,
        }
    }
}

/// Pingora logs each closed client connection as an error; its own level is therefore at most `warn` and its proxy
/// loop's off.
fn logger(level: LevelFilter, target: Target) -> Logger {
    let theirs = level.min(LevelFilter::Warn);
    let mut builder = Builder::new();
    builder.parse_filters(&format!(
        "{level},pingora={theirs},pingora_core={theirs},pingora_proxy=off,ort={theirs}"
    ));
    if let Ok(filters) = std::env::var("RUST_LOG") {
        builder.parse_filters(&filters);
    }
    builder.target(target).build()
}

fn say(logger: &Logger, summaries: Vec<repeats::Summary>) {
    for summary in summaries {
        logger.log(
            &Record::builder()
                .level(summary.level)
                .target(&summary.target)
                .args(format_args!("{summary}"))
                .build(),
        );
    }
}

/// What `log` hands every record to.
struct Everything;

impl Log for Everything {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        CURRENT.load().logger.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        let current = CURRENT.load();
        if !current.logger.matches(record) {
            return;
        }
        if record.level() <= Level::Warn {
            let text = record.args().to_string();
            let (said, withheld) =
                REPEATS
                    .lock()
                    .judge(record.level(), record.target(), &text, Instant::now());
            say(&current.logger, withheld);
            if !said {
                return;
            }
        }
        current.logger.log(record);
    }

    fn flush(&self) {}
}

/// Where `env_logger` writes to: it makes one write per line.
struct Handover(Arc<Spool>);

impl Write for Handover {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if !self.0.push(line) {
            super::events::error_lines_dropped(1);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Text as it came.
struct Plain;

impl Listener for Plain {
    fn lost(&mut self, lines: u64) {
        super::events::error_lines_dropped(lines);
    }

    fn complain(&mut self, what: &str) {
        // The log itself is what fails.
        eprintln!("tollgate: error log: {what}");
    }
}
