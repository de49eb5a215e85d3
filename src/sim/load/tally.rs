//! Adds up what became of the requests.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::CreationError;

use super::client::{Outcome, Sample};
use super::durations::Durations;

/// Distinct names that are counted one by one; what comes after them is `other`.
const MAX_NAMES: usize = 256;

/// Totals of a run. Times are those of complete answers.
#[derive(Debug, Clone)]
pub(super) struct Tally {
    pub(super) sent: u64,
    pub(super) ok: u64,
    /// Complete answers whose first token came within the limit.
    pub(super) good: u64,
    /// Answers 429 and 503.
    pub(super) sheds: u64,
    /// Requests without a complete answer, sheds included, by status or kind.
    pub(super) errors: BTreeMap<String, u64>,
    pub(super) first: Durations,
    pub(super) total: Durations,
    pub(super) per_token: Durations,
    /// How late requests were sent.
    pub(super) late: Durations,
    /// Requests that waited for a connection.
    pub(super) waited: u64,
    pub(super) input: u64,
    pub(super) output: u64,
    pub(super) cache: BTreeMap<String, u64>,
    pub(super) peers: BTreeMap<String, u64>,
    good_within: Duration,
}

impl Tally {
    /// An empty tally that calls a first token within `good_within` good.
    ///
    /// # Errors
    /// The bounds of the histograms are not possible.
    pub(super) fn new(good_within: Duration) -> Result<Self, CreationError> {
        Ok(Self {
            sent: 0,
            ok: 0,
            good: 0,
            sheds: 0,
            errors: BTreeMap::new(),
            first: Durations::new()?,
            total: Durations::new()?,
            per_token: Durations::new()?,
            late: Durations::new()?,
            waited: 0,
            input: 0,
            output: 0,
            cache: BTreeMap::new(),
            peers: BTreeMap::new(),
            good_within,
        })
    }

    /// A request was sent, so long after its time.
    pub(super) fn sent(&mut self, late: Duration) {
        self.sent += 1;
        self.late.record(late);
    }

    /// A request has ended.
    pub(super) fn ended(&mut self, sample: Sample) {
        self.waited += u64::from(sample.waited);
        count(&mut self.cache, sample.cache);
        count(&mut self.peers, sample.peer);
        match sample.outcome {
            Outcome::Answered(times) => {
                self.ok += 1;
                self.good += u64::from(times.first <= self.good_within);
                self.first.record(times.first);
                self.total.record(times.total);
                times
                    .per_token
                    .into_iter()
                    .for_each(|time| self.per_token.record(time));
                self.input += times.input;
                self.output += times.output;
            }
            Outcome::Refused(status) => {
                self.sheds += u64::from(matches!(status, 429 | 503));
                count(&mut self.errors, Some(format!("status_{status}")));
            }
            Outcome::Failed(kind) => count(&mut self.errors, Some(kind.to_owned())),
        }
    }

    /// Requests that have ended.
    pub(super) fn ended_count(&self) -> u64 {
        self.ok + self.failed()
    }

    /// Requests that have ended without a complete answer.
    pub(super) fn failed(&self) -> u64 {
        self.errors.values().sum()
    }

    /// Share of all that were sent whose first token came within the limit.
    pub(super) fn goodput(&self) -> f64 {
        if self.sent == 0 {
            0.0
        } else {
            self.good as f64 / self.sent as f64
        }
    }
}

fn count(counts: &mut BTreeMap<String, u64>, name: Option<String>) {
    let Some(name) = name else { return };
    let known = counts.len() < MAX_NAMES || counts.contains_key(&name);
    *counts
        .entry(if known { name } else { "other".to_owned() })
        .or_default() += 1;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::load::client::Times;

    fn answered(ms: u64) -> Sample {
        let first = Duration::from_millis(ms);
        let times = Times {
            first,
            total: first * 2,
            per_token: None,
            input: 3,
            output: 4,
        };
        Sample {
            outcome: Outcome::Answered(times),
            cache: Some("HIT".to_owned()),
            peer: None,
            waited: false,
        }
    }

    fn failed(outcome: Outcome) -> Sample {
        Sample {
            outcome,
            cache: None,
            peer: Some("a".to_owned()),
            waited: true,
        }
    }

    #[test]
    fn percentiles_of_a_known_case_are_right() {
        let mut tally = Tally::new(Duration::from_millis(500)).unwrap();
        for ms in 1..=1000 {
            tally.sent(Duration::ZERO);
            tally.ended(answered(ms));
        }
        for (quantile, expected) in [
            (0.5, 0.5),
            (0.9, 0.9),
            (0.95, 0.95),
            (0.99, 0.99),
            (1.0, 1.0),
        ] {
            let found = tally.first.quantile(quantile).unwrap();
            assert!(
                (found - expected).abs() <= 0.001 * expected + 1e-6,
                "{quantile}: {found}"
            );
        }
        assert!((tally.goodput() - 0.5).abs() < 1e-9);
        assert_eq!(
            (tally.input, tally.output, tally.cache["HIT"]),
            (3000, 4000, 1000)
        );
    }

    #[test]
    fn errors_and_sheds_count_against_goodput_and_leave_the_times_alone() {
        let mut tally = Tally::new(Duration::from_secs(1)).unwrap();
        for outcome in [
            Outcome::Refused(429),
            Outcome::Refused(503),
            Outcome::Refused(500),
            Outcome::Failed("cut"),
        ] {
            tally.sent(Duration::ZERO);
            tally.ended(failed(outcome));
        }
        tally.sent(Duration::ZERO);
        tally.ended(answered(100));
        assert_eq!(
            (
                tally.sent,
                tally.ok,
                tally.sheds,
                tally.failed(),
                tally.waited
            ),
            (5, 1, 2, 4, 4)
        );
        assert!((tally.goodput() - 0.2).abs() < 1e-9);
        assert_eq!(
            (
                tally.errors["status_429"],
                tally.errors["cut"],
                tally.peers["a"]
            ),
            (1, 1, 4)
        );
        assert!(tally.first.quantile(0.0).unwrap() >= 0.0999);
    }

    #[test]
    fn names_are_bounded() {
        let mut counts = BTreeMap::new();
        (0..1000).for_each(|i| count(&mut counts, Some(i.to_string())));
        assert_eq!(
            (counts.len(), counts["other"]),
            (MAX_NAMES + 1, 1000 - MAX_NAMES as u64)
        );
    }
}
