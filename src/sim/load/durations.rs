//! Durations, kept so that their quantiles can be told.

use std::time::Duration;

use hdrhistogram::{CreationError, Histogram};
use serde_json::{Value, json};

/// Durations with three digits of precision, up to a day.
#[derive(Debug, Clone)]
pub(super) struct Durations(Histogram<u64>);

impl Durations {
    /// # Errors
    /// The bounds of the histogram are not possible.
    pub(super) fn new() -> Result<Self, CreationError> {
        Histogram::new_with_bounds(1, 86_400_000_000, 3).map(Self)
    }

    pub(super) fn record(&mut self, value: Duration) {
        self.0
            .saturating_record(u64::try_from(value.as_micros()).unwrap_or(u64::MAX));
    }

    /// A quantile in seconds; `None` when nothing was recorded.
    pub(super) fn quantile(&self, quantile: f64) -> Option<f64> {
        (!self.0.is_empty()).then(|| self.0.value_at_quantile(quantile) as f64 / 1e6)
    }

    fn mean(&self) -> Option<f64> {
        (!self.0.is_empty()).then(|| self.0.mean() / 1e6)
    }

    /// Mean, p50, p90, p95, p99 and maximum in seconds.
    pub(super) fn document(&self) -> Value {
        json!({
            "mean": self.mean(), "p50": self.quantile(0.5), "p90": self.quantile(0.9), "p95": self.quantile(0.95),
            "p99": self.quantile(0.99), "max": self.quantile(1.0),
        })
    }
}
