//! What a client is told about its limits, under the names that OpenAI's clients know.

use std::time::Duration;

use crate::util::decimal;
use crate::util::fields::Fields;

/// Where one bucket stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Size of the bucket.
    pub limit: u64,
    /// What may pass at once now; 0 also when the bucket is overdrawn.
    pub remaining: u64,
    /// Time until the bucket is full, if nothing more is taken.
    pub reset: Duration,
}

/// The tightest bucket of each kind: the one with the least remaining, of equals the one that is full latest.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RateHeaders {
    /// Requests; `None` where no limit counts them.
    pub requests: Option<Standing>,
    /// Tokens; `None` where no limit counts them.
    pub tokens: Option<Standing>,
}

impl RateHeaders {
    /// Adds the response headers to `own`.
    pub fn write(&self, own: &mut Fields) {
        if let Some(standing) = self.requests {
            own.number("x-ratelimit-limit-requests", standing.limit);
            own.number("x-ratelimit-remaining-requests", standing.remaining);
            own.with("x-ratelimit-reset-requests", |text| {
                write_duration(standing.reset, text);
            });
        }
        if let Some(standing) = self.tokens {
            own.number("x-ratelimit-limit-tokens", standing.limit);
            own.number("x-ratelimit-remaining-tokens", standing.remaining);
            own.with("x-ratelimit-reset-tokens", |text| {
                write_duration(standing.reset, text);
            });
        }
    }

    /// The tighter of both, of each kind.
    #[must_use]
    pub fn tightest(mut self, other: Self) -> Self {
        if let Some(standing) = other.requests {
            self.add_requests(standing);
        }
        if let Some(standing) = other.tokens {
            self.add_tokens(standing);
        }
        self
    }

    pub(super) fn add_requests(&mut self, standing: Standing) {
        self.requests = Some(tighter(self.requests, standing));
    }

    pub(super) fn add_tokens(&mut self, standing: Standing) {
        self.tokens = Some(tighter(self.tokens, standing));
    }
}

fn tighter(known: Option<Standing>, new: Standing) -> Standing {
    let tightness = |standing: &Standing| (standing.remaining, std::cmp::Reverse(standing.reset));
    match known {
        Some(known) if tightness(&known) <= tightness(&new) => known,
        _ => new,
    }
}

/// Whole milliseconds, rounded up: who comes back when told to is not too early.
fn millis_up(duration: Duration) -> u64 {
    let part = u64::from(duration.subsec_nanos().div_ceil(1_000_000));
    duration.as_secs().saturating_mul(1000).saturating_add(part)
}

/// The form OpenAI writes durations in: `0s`, `120ms`, `1s`, `8.64s`, `6m0s`, `1h0m0s`. Rounded up to milliseconds.
#[must_use]
pub fn openai_duration(duration: Duration) -> String {
    let mut text = String::with_capacity(24);
    write_duration(duration, &mut text);
    text
}

fn write_duration(duration: Duration, text: &mut String) {
    let millis = millis_up(duration);
    if (1..1000).contains(&millis) {
        decimal::push(millis, text);
        return text.push_str("ms");
    }
    let (seconds, part) = (millis / 1000, millis % 1000);
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    if hours > 0 {
        decimal::push(hours, text);
        text.push('h');
    }
    if hours > 0 || minutes > 0 {
        decimal::push(minutes, text);
        text.push('m');
    }
    decimal::push(seconds % 60, text);
    if part > 0 {
        text.push('.');
        // A thousand more keeps the zeros in front.
        let dot = text.len();
        decimal::push(1000 + part, text);
        text.remove(dot);
        text.truncate(text.trim_end_matches('0').len());
    }
    text.push('s');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_written_as_openai_writes_them() {
        let written = |millis| openai_duration(Duration::from_millis(millis));
        assert_eq!(written(0), "0s");
        assert_eq!(written(120), "120ms");
        assert_eq!(written(999), "999ms");
        assert_eq!(written(1000), "1s");
        assert_eq!(written(8640), "8.64s");
        assert_eq!(written(10_050), "10.05s");
        assert_eq!(written(59_999), "59.999s");
        assert_eq!(written(360_000), "6m0s");
        assert_eq!(written(61_500), "1m1.5s");
        assert_eq!(written(3_600_000), "1h0m0s");
        assert_eq!(written(90_061_000), "25h1m1s");
    }

    #[test]
    fn a_part_of_a_millisecond_is_rounded_up() {
        assert_eq!(openai_duration(Duration::from_nanos(1)), "1ms");
        assert_eq!(openai_duration(Duration::from_nanos(999_000_001)), "1s");
    }

    #[test]
    fn of_two_reports_the_tighter_of_each_kind_is_told() {
        let report = |requests: u64, tokens: u64| {
            let standing = |remaining| Standing {
                limit: 100,
                remaining,
                reset: Duration::ZERO,
            };
            RateHeaders {
                requests: Some(standing(requests)),
                tokens: (tokens > 0).then(|| standing(tokens)),
            }
        };
        assert_eq!(report(5, 9).tightest(report(7, 3)), report(5, 3));
        assert_eq!(report(7, 0).tightest(report(5, 9)), report(5, 9));
        assert_eq!(report(7, 9).tightest(RateHeaders::default()), report(7, 9));
    }

    #[test]
    fn the_tightest_bucket_of_each_kind_is_reported() {
        let standing = |remaining, secs| Standing {
            limit: 100,
            remaining,
            reset: Duration::from_secs(secs),
        };
        let mut headers = RateHeaders::default();
        headers.add_requests(standing(5, 1));
        headers.add_requests(standing(2, 1));
        headers.add_requests(standing(2, 360));
        headers.add_requests(standing(9, 999));
        let mut own = Fields::default();
        headers.write(&mut own);
        let pairs: Vec<_> = own.iter().collect();
        let expected = [
            ("x-ratelimit-limit-requests", "100"),
            ("x-ratelimit-remaining-requests", "2"),
            ("x-ratelimit-reset-requests", "6m0s"),
        ];
        assert_eq!(pairs, expected);
    }
}
