//! The end of an exchange's total time.

use std::pin::Pin;
use std::time::{Duration, Instant};

use super::Failure;
use crate::wire::Alarm;

/// When the whole exchange must be over.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deadline(Instant);

impl Deadline {
    pub(super) fn new(end: Instant) -> Self {
        Self(end)
    }

    /// `limit`, or what is left of the total time if that is less.
    pub(super) fn within(self, limit: Duration) -> Result<Duration, Failure> {
        let left = self.left();
        if left.is_zero() {
            Err(Failure::TotalTimeout)
        } else {
            Ok(limit.min(left))
        }
    }

    /// When a wait of `limit` that begins then has to be over.
    pub(super) fn end_of(self, limit: Duration) -> impl FnOnce(Instant) -> Instant {
        move |now| now.checked_add(limit).map_or(self.0, |end| end.min(self.0))
    }

    /// Sends until then at the latest: a peer that takes a little now and then is never late for any one part. Pinned, for
    /// what is handed on by value takes its room twice.
    pub(super) async fn in_all(
        self,
        sending: Pin<&mut impl Future<Output = Result<(), Failure>>>,
    ) -> Result<(), Failure> {
        match Alarm::default().until(|_| self.0, sending).await {
            Ok(sent) => sent,
            Err(_) => Err(Failure::TotalTimeout),
        }
    }

    fn left(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    /// `failure`, unless it was the total time that ran out.
    pub(super) fn late(self, failure: Failure) -> Failure {
        self.within(Duration::MAX).err().unwrap_or(failure)
    }
}
