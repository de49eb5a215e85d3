//! What an engine has counted since it was made.

use std::time::Duration;

/// Upper bounds in seconds, shared by all of an engine's histograms of time (vLLM's own, thinned).
pub(super) const SECONDS: [f64; 16] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 80.0, 160.0,
];

/// Counts of durations by upper bound, with their sum.
#[derive(Debug, Clone, Default)]
pub struct Histogram {
    counts: [u64; SECONDS.len() + 1],
    sum: f64,
}

impl Histogram {
    /// Adds one duration.
    pub fn record(&mut self, value: Duration) {
        let seconds = value.as_secs_f64();
        self.counts[SECONDS.partition_point(|bound| *bound < seconds)] += 1;
        self.sum += seconds;
    }

    /// `(upper bound in seconds, how many were at most that)`, the last bound being infinite.
    pub fn cumulative(&self) -> impl Iterator<Item = (f64, u64)> {
        let bounds = SECONDS.into_iter().chain([f64::INFINITY]);
        bounds.zip(self.counts).scan(0, |total, (bound, count)| {
            *total += count;
            Some((bound, *total))
        })
    }

    /// Sum of all durations, in seconds.
    pub fn sum(&self) -> f64 {
        self.sum
    }
}

/// Totals of one engine. Times are in the engine's own clock.
#[derive(Debug, Clone, Default)]
pub struct Stats {
    /// Sequences that were accepted.
    pub arrived: u64,
    /// Sequences that ran to their end.
    pub finished: u64,
    /// Sequences that were cancelled, waiting or running.
    pub cancelled: u64,
    /// Times a running sequence lost its memory and had to be computed again.
    pub preempted: u64,
    /// Prompt tokens of admitted sequences, cached ones included.
    pub prompt_tokens: u64,
    /// Prompt tokens that were found in memory.
    pub cached_tokens: u64,
    /// Tokens that were emitted.
    pub generated_tokens: u64,
    /// Steps that were run.
    pub steps: u64,
    /// From arrival to the first token.
    pub first_token: Histogram,
    /// Between two tokens of one sequence, averaged over the sequence.
    pub per_token: Histogram,
    /// From arrival to admission.
    pub queued: Histogram,
    /// From arrival to the end.
    pub total: Histogram,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_counts_in_its_own_bucket_and_all_above() {
        let mut histogram = Histogram::default();
        for ms in [5, 6, 2_000_000] {
            histogram.record(Duration::from_millis(ms));
        }
        let counts: Vec<_> = histogram.cumulative().collect();
        assert_eq!(counts[0], (0.005, 1));
        assert_eq!(counts[1], (0.01, 2));
        assert_eq!(counts[15], (160.0, 2));
        assert_eq!(counts[16], (f64::INFINITY, 3));
        assert!((histogram.sum() - 2000.011).abs() < 1e-9);
    }
}
