//! Times in order, and memory.

use std::fs;
use std::time::Duration;

/// Times of one kind of lookup.
#[derive(Default)]
pub(crate) struct Times(Vec<Duration>);

impl Times {
    pub(crate) fn push(&mut self, time: Duration) {
        self.0.push(time);
    }

    /// Median and 99th percentile, in microseconds or milliseconds as fits.
    pub(crate) fn text(&mut self) -> String {
        self.0.sort_unstable();
        format!("{} / {}", written(self.at(0.50)), written(self.at(0.99)))
    }

    fn at(&self, share: f64) -> Duration {
        let last = self.0.len().saturating_sub(1);
        self.0
            .get((last as f64 * share).round() as usize)
            .copied()
            .unwrap_or_default()
    }
}

fn written(time: Duration) -> String {
    let micros = time.as_secs_f64() * 1e6;
    match micros {
        ..10.0 => format!("{micros:.2} µs"),
        10.0..1000.0 => format!("{micros:.0} µs"),
        _ => format!("{:.2} ms", micros / 1000.0),
    }
}

/// Memory of its own that this process holds, in bytes.
pub(crate) fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    1024 * kib.unwrap_or(0)
}

/// Processes that ran or waited for a core just now, on average of the last minute: what else the machine did.
pub(crate) fn load() -> String {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split(' ').next().unwrap_or("?").to_owned()
}
