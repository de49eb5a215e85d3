//! What a client is told about its limits, under the names that OpenAI's clients know.

use std::time::Duration;

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
    /// The response headers, as name and value.
    pub fn pairs(&self) -> impl Iterator<Item = (&'static str, String)> + use<> {
        let requests = self.requests.map(|standing| {
            named(
                standing,
                [
                    "x-ratelimit-limit-requests",
                    "x-ratelimit-remaining-requests",
                    "x-ratelimit-reset-requests",
                ],
            )
        });
        let tokens = self.tokens.map(|standing| {
            named(
                standing,
                [
                    "x-ratelimit-limit-tokens",
                    "x-ratelimit-remaining-tokens",
                    "x-ratelimit-reset-tokens",
                ],
            )
        });
        requests.into_iter().chain(tokens).flatten()
    }

    pub(super) fn add_requests(&mut self, standing: Standing) {
        self.requests = Some(tighter(self.requests, standing));
    }

    pub(super) fn add_tokens(&mut self, standing: Standing) {
        self.tokens = Some(tighter(self.tokens, standing));
    }
}

fn named(standing: Standing, names: [&'static str; 3]) -> [(&'static str, String); 3] {
    let [limit, remaining, reset] = names;
    [
        (limit, standing.limit.to_string()),
        (remaining, standing.remaining.to_string()),
        (reset, openai_duration(standing.reset)),
    ]
}

fn tighter(known: Option<Standing>, new: Standing) -> Standing {
    let tightness = |standing: &Standing| (standing.remaining, std::cmp::Reverse(standing.reset));
    match known {
        Some(known) if tightness(&known) <= tightness(&new) => known,
        _ => new,
    }
}

/// Whole milliseconds, rounded up: who comes back when told to is not too early.
pub(super) fn millis_up(duration: Duration) -> u64 {
    let part = u64::from(duration.subsec_nanos().div_ceil(1_000_000));
    duration.as_secs().saturating_mul(1000).saturating_add(part)
}

/// The form OpenAI writes durations in: `0s`, `120ms`, `1s`, `8.64s`, `6m0s`, `1h0m0s`. Rounded up to milliseconds.
#[must_use]
pub fn openai_duration(duration: Duration) -> String {
    let millis = millis_up(duration);
    if (1..1000).contains(&millis) {
        return millis.to_string() + "ms";
    }
    let (seconds, part) = (millis / 1000, millis % 1000);
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    let mut text = String::with_capacity(24);
    if hours > 0 {
        text += &hours.to_string();
        text.push('h');
    }
    if hours > 0 || minutes > 0 {
        text += &minutes.to_string();
        text.push('m');
    }
    text += &(seconds % 60).to_string();
    if part > 0 {
        // A thousand more keeps the zeros in front.
        let digits = (1000 + part).to_string();
        text.push('.');
        text += digits[1..].trim_end_matches('0');
    }
    text.push('s');
    text
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
    fn the_tightest_bucket_of_each_kind_is_reported() {
        let standing = |remaining, secs| Standing {
            limit: 100,
            remaining,
            reset: Duration::from_secs(secs),
        };
        let mut headers = RateHeaders::default();
        assert_eq!(headers.pairs().count(), 0);
        headers.add_requests(standing(5, 1));
        headers.add_requests(standing(2, 1));
        headers.add_requests(standing(2, 360));
        headers.add_requests(standing(9, 999));
        let pairs: Vec<_> = headers.pairs().collect();
        let expected = [
            ("x-ratelimit-limit-requests", "100"),
            ("x-ratelimit-remaining-requests", "2"),
            ("x-ratelimit-reset-requests", "6m0s"),
        ];
        assert_eq!(pairs, expected.map(|(name, value)| (name, value.into())));
    }
}
