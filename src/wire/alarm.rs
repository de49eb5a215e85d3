//! Time limits on what mostly happens at once, or again and again on one connection.

use std::fmt;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

/// Longest time a timer is set for: timers are not taken back when nobody waits for them any more.
const LONGEST: Duration = Duration::from_secs(600);

/// The time was over first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Late;

/// Does `work` within `limit`. A timer is set only if it has to wait.
///
/// # Errors
/// [`Late`], when the time was over first.
pub async fn within<F: Future>(limit: Duration, work: F) -> Result<F::Output, Late> {
    Alarm::default().within(limit, work).await
}

/// A timer that outlives the waits it was set for: one that comes too early for the next wait is set anew when it rings,
/// so that a stream of many events takes one now and then and not one for each of them.
#[derive(Default)]
pub struct Alarm(Option<Set>);

struct Set {
    /// It rings then, or a little later.
    due: Instant,
    ring: Pin<Box<dyn Future<Output = ()> + Send + Sync>>,
}

impl Alarm {
    /// As [`within`], with this timer.
    ///
    /// # Errors
    /// [`Late`], when the time was over first.
    pub async fn within<F: Future>(&mut self, limit: Duration, work: F) -> Result<F::Output, Late> {
        let end = |now: Instant| now.checked_add(limit).unwrap_or(now + LONGEST);
        self.until(end, work).await
    }

    /// The same until `end` of the time when it has to wait for the first time: work that is done at once asks for no time.
    ///
    /// # Errors
    /// [`Late`], when the time was over first.
    pub async fn until<F: Future>(
        &mut self,
        end: impl FnOnce(Instant) -> Instant,
        work: F,
    ) -> Result<F::Output, Late> {
        let mut work = pin!(work);
        let (mut make, mut end) = (Some(end), None);
        poll_fn(|context| {
            if let Poll::Ready(done) = work.as_mut().poll(context) {
                return Poll::Ready(Ok(done));
            }
            if let Some(make) = make.take() {
                let now = Instant::now();
                end = Some(make(now)).filter(|end| *end > now);
            }
            match end {
                Some(end) => self.poll_end(end, context).map(Err),
                // It was over before.
                None => Poll::Ready(Err(Late)),
            }
        })
        .await
    }

    fn poll_end(&mut self, end: Instant, context: &mut Context<'_>) -> Poll<Late> {
        loop {
            let set = match &mut self.0 {
                Some(set) if set.due <= end => set,
                place => place.insert(Set::until(end)),
            };
            ready!(set.ring.as_mut().poll(context));
            self.0 = None;
            if Instant::now() >= end {
                return Poll::Ready(Late);
            }
        }
    }
}

impl Set {
    fn until(end: Instant) -> Self {
        let now = Instant::now();
        let wait = end.saturating_duration_since(now).min(LONGEST);
        Self {
            due: now + wait,
            ring: Box::pin(pingora::time::sleep(wait)),
        }
    }
}

impl fmt::Debug for Alarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let due = self.0.as_ref().map(|set| set.due);
        f.debug_tuple("Alarm").field(&due).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::{pending, ready};

    const SHORT: Duration = Duration::from_millis(20);

    #[tokio::test]
    async fn work_that_is_done_at_once_sets_no_timer() {
        let mut alarm = Alarm::default();
        assert_eq!(alarm.within(Duration::ZERO, ready(1)).await, Ok(1));
        assert!(alarm.0.is_none());
    }

    #[tokio::test]
    async fn a_wait_is_over_no_earlier_than_its_limit() {
        let began = Instant::now();
        let mut alarm = Alarm::default();
        assert_eq!(alarm.within(SHORT, pending::<()>()).await, Err(Late));
        assert!(began.elapsed() >= SHORT);
    }

    #[tokio::test]
    async fn what_has_to_wait_when_its_time_was_over_is_late_at_once() {
        let mut alarm = Alarm::default();
        let over = |now: Instant| now - SHORT;
        assert_eq!(alarm.until(over, ready(1)).await, Ok(1));
        assert_eq!(alarm.until(over, pending::<()>()).await, Err(Late));
        assert!(alarm.0.is_none());
    }

    #[tokio::test]
    async fn one_timer_serves_later_waits_and_never_ends_them_early() {
        let mut alarm = Alarm::default();
        let (tell, told) = tokio::sync::oneshot::channel::<()>();
        let first = alarm.within(SHORT, async { told.await.is_ok() });
        let (done, ()) = tokio::join!(first, async {
            tokio::task::yield_now().await;
            let _ = tell.send(());
        });
        assert_eq!(done, Ok(true));
        let due = alarm.0.as_ref().map(|set| set.due);
        assert!(due.is_some(), "it stays set");
        let began = Instant::now();
        let longer = 3 * SHORT;
        assert_eq!(alarm.within(longer, pending::<()>()).await, Err(Late));
        assert!(began.elapsed() >= longer);
    }

    #[tokio::test]
    async fn a_shorter_wait_does_not_take_a_longer_timer() {
        let mut alarm = Alarm::default();
        let mut once = false;
        let twice = poll_fn(|context| {
            context.waker().wake_by_ref();
            match std::mem::replace(&mut once, true) {
                true => Poll::Ready(()),
                false => Poll::Pending,
            }
        });
        assert_eq!(alarm.within(LONGEST, twice).await, Ok(()));
        assert_eq!(alarm.within(SHORT, pending::<()>()).await, Err(Late));
    }
}
