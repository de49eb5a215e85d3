//! How many of a cache's lookups are hits, and when that is worth a word.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Lookups that are judged together.
const WINDOW: u64 = 1000;

/// Time between two warnings.
const PAUSE: Duration = Duration::from_secs(600);

/// Counts lookups.
#[derive(Debug, Default)]
pub struct HitRatio {
    lookups: AtomicU64,
    hits: AtomicU64,
    judged: Mutex<Judged>,
}

#[derive(Debug, Default)]
struct Judged {
    /// Hits before the window began.
    hits: u64,
    warned: Option<Instant>,
}

/// That a window had fewer hits than there should be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Low {
    /// Their share, 0 to 1.
    pub ratio: f64,
    /// Of so many lookups.
    pub lookups: u64,
}

impl HitRatio {
    /// A lookup was a hit or a miss. `Some` when it completes a window with a smaller share of hits than `least`, unless
    /// that was said a short while ago.
    pub fn note(&self, hit: bool, least: f64, now: Instant) -> Option<Low> {
        let hits = self.hits.fetch_add(u64::from(hit), Ordering::Relaxed) + u64::from(hit);
        let lookups = self.lookups.fetch_add(1, Ordering::Relaxed) + 1;
        if !lookups.is_multiple_of(WINDOW) {
            return None;
        }
        let mut judged = self.judged.lock();
        let here = hits.saturating_sub(judged.hits).min(WINDOW);
        judged.hits = hits;
        let ratio = here as f64 / WINDOW as f64;
        let quiet = judged
            .warned
            .is_none_or(|warned| now.saturating_duration_since(warned) >= PAUSE);
        if ratio >= least || !quiet {
            return None;
        }
        judged.warned = Some(now);
        Some(Low {
            ratio,
            lookups: WINDOW,
        })
    }

    /// Lookups and hits so far.
    #[must_use]
    pub fn counts(&self) -> (u64, u64) {
        let hits = self.hits.load(Ordering::Relaxed);
        (self.lookups.load(Ordering::Relaxed).max(hits), hits)
    }

    /// The share of hits so far; `None` before the first lookup.
    #[must_use]
    pub fn ratio(&self) -> Option<f64> {
        let (lookups, hits) = self.counts();
        (lookups > 0).then(|| hits as f64 / lookups as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Windows of which every `nth` lookup is a hit; how many of them were worth a warning.
    fn windows(ratio: &HitRatio, count: u64, nth: u64, now: Instant) -> usize {
        let lookups = 0..count * WINDOW;
        lookups
            .filter_map(|n| ratio.note(n % nth == 0, 0.15, now))
            .count()
    }

    #[test]
    fn a_low_share_of_hits_is_said_once_in_a_while_and_only_of_enough_lookups() {
        let (ratio, now) = (HitRatio::default(), Instant::now());
        assert_eq!(ratio.ratio(), None);
        for n in 0..WINDOW - 1 {
            assert_eq!(ratio.note(false, 0.15, now), None, "{n}");
        }
        let low = ratio.note(false, 0.15, now).unwrap();
        assert_eq!((low.ratio, low.lookups), (0.0, WINDOW));
        assert_eq!(windows(&ratio, 5, 10, now + PAUSE / 2), 0, "said already");
        assert_eq!(windows(&ratio, 5, 10, now + PAUSE), 1);
        assert_eq!(windows(&ratio, 5, 5, now + 9 * PAUSE), 0, "20 % will do");
    }

    #[test]
    fn zero_asks_for_no_warning() {
        let (ratio, now) = (HitRatio::default(), Instant::now());
        assert!((0..2 * WINDOW).all(|_| ratio.note(false, 0.0, now).is_none()));
        assert_eq!(ratio.counts(), (2 * WINDOW, 0));
    }

    #[test]
    fn counts_from_many_threads_add_up() {
        let ratio = HitRatio::default();
        let now = Instant::now();
        std::thread::scope(|threads| {
            for _ in 0..4 {
                threads.spawn(|| {
                    (0..5000).for_each(|n| {
                        ratio.note(n % 2 == 0, 0.6, now);
                    })
                });
            }
        });
        assert_eq!(ratio.counts(), (20_000, 10_000));
        assert_eq!(ratio.ratio(), Some(0.5));
    }
}
