//! How fast a request's body comes.

use std::time::Duration;

use super::Rules;

/// Waiting for a body in which no rate is asked for yet.
const GRACE: Duration = Duration::from_secs(10);

/// How long a body was waited for. Time in which nobody wanted more of it does not count.
#[derive(Debug, Default)]
pub(super) struct Pace(Duration);

impl Pace {
    pub(super) fn waited(&mut self, time: Duration) {
        self.0 += time;
    }

    /// Whether `came`, in bytes, is less than `min_rate` asks for by now.
    pub(super) fn is_too_slow(&self, came: u64, rules: &Rules) -> bool {
        let due = self.0.saturating_sub(GRACE).as_secs();
        came < due.saturating_mul(rules.client.min_rate.unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_has_a_while_before_it_must_keep_up() {
        let mut rules = crate::front::rules::of_a_test();
        rules.client.min_rate = Some(100);
        let mut pace = Pace::default();
        pace.waited(GRACE);
        assert!(!pace.is_too_slow(0, &rules));
        pace.waited(Duration::from_secs(2));
        assert!(pace.is_too_slow(199, &rules) && !pace.is_too_slow(200, &rules));
        rules.client.min_rate = None;
        assert!(!pace.is_too_slow(0, &rules));
        rules.client.min_rate = Some(u64::MAX);
        assert!(pace.is_too_slow(1 << 40, &rules));
    }
}
