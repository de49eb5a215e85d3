//! Wall-clock time for what outlives the process, kept from going backwards.
//!
//! Lives are counted by [`Instant`]s, which end with the machine; on disk they are wall-clock times. A wall clock may be set
//! back, so the latest time that was ever written is kept on disk too and time goes on from there: what was stored can
//! only grow older. Downtime during which the clock was set back further than it lasted is not counted.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Ties instants to wall-clock time, in time since 1970.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    wall: Duration,
    at: Instant,
}

impl Clock {
    /// `seen` is the latest time that was ever written down.
    pub(super) fn new(seen: Duration, wall: SystemTime, at: Instant) -> Self {
        let wall = wall.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            wall: wall.max(seen),
            at,
        }
    }

    /// The wall-clock time of an instant.
    pub(super) fn wall(&self, of: Instant) -> Duration {
        match of.checked_duration_since(self.at) {
            Some(later) => self.wall + later,
            None => self.wall.saturating_sub(self.at.duration_since(of)),
        }
    }

    /// The instant of a wall-clock time, not after `now`; `None` when it is too long ago to be told.
    pub(super) fn instant(&self, of: Duration, now: Instant) -> Option<Instant> {
        let age = self.wall(now).saturating_sub(of);
        now.checked_sub(age)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn at(hours: u32) -> SystemTime {
        UNIX_EPOCH + HOUR * hours
    }

    #[test]
    fn an_entry_ages_while_the_process_is_down() {
        let now = Instant::now();
        let before = Clock::new(Duration::ZERO, at(100), now);
        let stored = before.wall(now + HOUR);
        let after = Clock::new(before.wall(now + HOUR * 2), at(110), now);
        assert_eq!(after.instant(stored, now), now.checked_sub(HOUR * 9));
    }

    #[test]
    fn a_clock_set_back_makes_nothing_younger() {
        let now = Instant::now();
        let before = Clock::new(Duration::ZERO, at(100), now);
        let (stored, seen) = (before.wall(now), before.wall(now + HOUR * 3));
        let after = Clock::new(seen, at(1), now);
        assert_eq!(after.instant(stored, now), now.checked_sub(HOUR * 3));
        assert_eq!(
            after.instant(stored, now + HOUR),
            (now + HOUR).checked_sub(HOUR * 4)
        );
    }

    #[test]
    fn what_claims_to_come_from_the_future_is_new_and_no_more() {
        let now = Instant::now();
        let clock = Clock::new(Duration::ZERO, at(1), now);
        assert_eq!(clock.instant(HOUR * 50, now), Some(now));
    }
}
