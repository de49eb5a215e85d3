//! One bucket: `amount` at once, then an even refill over `period`.
//!
//! What is stored is what is *missing* from a full bucket, in units of `1 / period_ns` of one piece (a request or a
//! token). In that unit one nanosecond refills exactly `amount`, so the arithmetic is in whole numbers and no rounding
//! ever lets one piece too many through. More may be missing than the bucket holds: a true-up takes the level below
//! zero, and what was overdrawn is paid back before anything passes again.

use std::time::{Duration, Instant};

use crate::config::model::Rate;

use super::headers::Standing;

/// The level of one rate for one member.
#[derive(Debug)]
pub(super) struct Bucket {
    rate: Rate,
    missing: u128,
    at: Instant,
}

impl Bucket {
    pub(super) fn full(rate: Rate, now: Instant) -> Self {
        Self {
            rate,
            missing: 0,
            at: now,
        }
    }

    /// Takes over another rate and keeps the used share.
    pub(super) fn fit(&mut self, rate: Rate, now: Instant) {
        if self.rate == rate {
            return;
        }
        self.refill(now);
        let share = self.missing as f64 / whole(self.rate) as f64;
        self.missing = (share * whole(rate) as f64) as u128;
        self.rate = rate;
    }

    /// How long until `pieces` may pass; zero when they may pass now.
    ///
    /// More pieces than the bucket holds pass when it is full, since they could pass at no other time, and leave it
    /// overdrawn. A request that is larger than its limit is slowed down, never locked out.
    pub(super) fn wait(&mut self, pieces: u64, now: Instant) -> Duration {
        self.refill(now);
        let left_over = self.amount().saturating_sub(pieces);
        let allowed = u128::from(left_over) * period(self.rate);
        self.time_to_refill(self.missing.saturating_sub(allowed))
    }

    pub(super) fn charge(&mut self, pieces: u64, now: Instant) {
        self.refill(now);
        self.missing = self.missing.saturating_add(self.units(pieces));
    }

    /// Gives back; never above full. Needs no time, since a refill and a refund may come in either order.
    pub(super) fn refund(&mut self, pieces: u64) {
        self.missing = self.missing.saturating_sub(self.units(pieces));
    }

    pub(super) fn is_full(&mut self, now: Instant) -> bool {
        self.refill(now);
        self.missing == 0
    }

    pub(super) fn standing(&mut self, now: Instant) -> Standing {
        self.refill(now);
        let level = whole(self.rate).saturating_sub(self.missing);
        Standing {
            limit: self.amount(),
            remaining: (level / period(self.rate)) as u64,
            reset: self.time_to_refill(self.missing),
        }
    }

    // Threads read the clock before they take the lock, so `now` may be a little older than `at`.
    fn refill(&mut self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.at).as_nanos();
        let refilled = elapsed.saturating_mul(u128::from(self.amount()));
        self.missing = self.missing.saturating_sub(refilled);
        self.at = self.at.max(now);
    }

    fn time_to_refill(&self, units: u128) -> Duration {
        let nanos = units.div_ceil(u128::from(self.amount()));
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    fn units(&self, pieces: u64) -> u128 {
        u128::from(pieces) * period(self.rate)
    }

    fn amount(&self) -> u64 {
        self.rate.amount.max(1)
    }
}

// Held within 64 bits (584 years), so that a product with a 64-bit amount cannot overflow.
fn period(rate: Rate) -> u128 {
    rate.period.as_nanos().clamp(1, u128::from(u64::MAX))
}

fn whole(rate: Rate) -> u128 {
    u128::from(rate.amount.max(1)) * period(rate)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn per_minute(amount: u64) -> Rate {
        let period = Duration::from_secs(60);
        Rate { amount, period }
    }

    #[test]
    fn the_amount_passes_at_once_and_the_next_waits_for_one_piece() {
        let now = Instant::now();
        let mut bucket = Bucket::full(per_minute(60), now);
        for _ in 0..60 {
            assert_eq!(bucket.wait(1, now), Duration::ZERO);
            bucket.charge(1, now);
        }
        assert_eq!(bucket.wait(1, now), SECOND);
        let early = now + SECOND - Duration::from_nanos(1);
        assert_eq!(bucket.wait(1, early), Duration::from_nanos(1));
        assert_eq!(bucket.wait(1, now + SECOND), Duration::ZERO);
    }

    #[test]
    fn more_than_the_whole_bucket_passes_only_when_full_and_is_paid_back() {
        let now = Instant::now();
        let mut bucket = Bucket::full(per_minute(60), now);
        assert_eq!(bucket.wait(600, now), Duration::ZERO);
        bucket.charge(600, now);
        assert_eq!(bucket.standing(now).remaining, 0);
        assert_eq!(bucket.wait(1, now), 541 * SECOND);
        assert_eq!(bucket.wait(600, now + 599 * SECOND), SECOND);
        assert_eq!(bucket.wait(600, now + 600 * SECOND), Duration::ZERO);
    }

    #[test]
    fn a_refund_never_lifts_the_level_above_full() {
        let now = Instant::now();
        let mut bucket = Bucket::full(per_minute(60), now);
        bucket.charge(30, now);
        bucket.refund(30);
        bucket.refund(30);
        assert_eq!(bucket.standing(now).remaining, 60);
        bucket.charge(60, now);
        assert_eq!(bucket.wait(1, now), SECOND);
    }

    #[test]
    fn another_rate_keeps_the_used_share_also_below_zero() {
        let now = Instant::now();
        let mut bucket = Bucket::full(per_minute(100), now);
        bucket.charge(25, now);
        bucket.fit(per_minute(1000), now);
        assert_eq!(bucket.standing(now).remaining, 750);
        bucket.charge(1750, now);
        bucket.fit(per_minute(10), now);
        assert_eq!(bucket.standing(now).reset, 120 * SECOND);
    }

    #[test]
    fn a_clock_that_was_read_early_takes_nothing_away() {
        let now = Instant::now();
        let mut bucket = Bucket::full(per_minute(60), now);
        bucket.charge(60, now + SECOND);
        bucket.charge(0, now);
        assert_eq!(bucket.wait(1, now + 2 * SECOND), Duration::ZERO);
        assert_eq!(bucket.wait(2, now + 2 * SECOND), SECOND);
    }

    #[test]
    fn the_largest_numbers_do_not_overflow() {
        let now = Instant::now();
        let rate = Rate {
            amount: u64::MAX,
            period: Duration::MAX,
        };
        let mut bucket = Bucket::full(rate, now);
        bucket.charge(u64::MAX, now);
        bucket.charge(u64::MAX, now);
        assert_eq!(bucket.standing(now).remaining, 0);
        assert!(bucket.wait(1, now) > Duration::ZERO);
    }
}
