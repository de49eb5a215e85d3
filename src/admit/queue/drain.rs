//! How fast the waiting room empties, measured.

use std::time::{Duration, Instant};

/// A running mean of the time between two served places, while anybody waits.
#[derive(Debug, Default)]
pub(super) struct Drain {
    since: Option<Instant>,
    mean: Option<Duration>,
}

impl Drain {
    /// Somebody came into the empty room: idle time before that says nothing about its speed.
    pub(super) fn start(&mut self, now: Instant) {
        self.since = Some(now);
    }

    pub(super) fn served(&mut self, now: Instant) {
        if let Some(since) = self.since {
            let gap = now.saturating_duration_since(since);
            self.mean = Some(match self.mean {
                Some(mean) => mean * 7 / 8 + gap / 8,
                None => gap,
            });
        }
        self.since = Some(now);
    }

    /// Time until `places` are served; `None` before the first was.
    pub(super) fn time_for(&self, places: usize) -> Option<Duration> {
        let places = u32::try_from(places).unwrap_or(u32::MAX);
        Some(self.mean?.saturating_mul(places))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_without_anybody_waiting_does_not_count() {
        let now = Instant::now();
        let second = Duration::from_secs(1);
        let mut drain = Drain::default();
        assert_eq!(drain.time_for(3), None);
        drain.start(now);
        drain.served(now + second);
        drain.start(now + 100 * second);
        drain.served(now + 101 * second);
        assert_eq!(drain.time_for(3), Some(3 * second));
    }
}
