//! Runs the engine's model in real time: one task and one timer for all sequences.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::sim::engine::{Engine, Job, Load, Progress, Rates, Refusal, SequenceId, Stage, Stats};

/// An engine that moves with the clock.
#[derive(Debug)]
pub(super) struct Driver {
    engine: Mutex<Engine<Arc<Slot>>>,
    work: Notify,
    started: Instant,
}

/// Where a sequence's progress is left for its reader.
#[derive(Debug, Default)]
struct Slot(Mutex<SlotState>);

#[derive(Debug, Default)]
struct SlotState {
    seen: Seen,
    waker: Option<Waker>,
}

/// How far a sequence has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) emitted: u32,
    pub(super) cached: u32,
    pub(super) finished: bool,
}

impl Driver {
    pub(super) fn new(rates: Rates) -> Arc<Self> {
        let engine = Mutex::new(Engine::new(rates));
        Arc::new(Self {
            engine,
            work: Notify::new(),
            started: Instant::now(),
        })
    }

    /// Steps the engine for ever; wakes readers after each step.
    pub(super) async fn run(self: Arc<Self>) {
        let mut wakers = Vec::new();
        loop {
            let next = {
                let mut engine = self.engine.lock();
                engine.advance(self.now(), |slot, progress| {
                    wakers.extend(slot.leave(progress))
                });
                engine.next_at()
            };
            wakers.drain(..).for_each(Waker::wake);
            match next {
                Some(at) => tokio::time::sleep_until(self.started + at).await,
                None => self.work.notified().await,
            }
        }
    }

    /// Puts a job into the engine. It is cancelled when the ticket is dropped before its end.
    pub(super) fn submit(self: &Arc<Self>, job: Job) -> Result<Ticket, Refusal> {
        let slot = Arc::new(Slot::default());
        let mut wakers = Vec::new();
        let id = {
            let mut engine = self.engine.lock();
            let now = self.now();
            engine.advance(now, |slot, progress| wakers.extend(slot.leave(progress)));
            let was_idle = engine.next_at().is_none();
            let id = engine.submit(now, job, slot.clone())?;
            if was_idle {
                self.work.notify_one();
            }
            id
        };
        wakers.into_iter().for_each(Waker::wake);
        Ok(Ticket {
            driver: self.clone(),
            id,
            slot,
            finished: false,
        })
    }

    /// Load and totals as they are now.
    pub(super) fn look(&self) -> (Load, Stats) {
        let engine = self.engine.lock();
        (engine.load(), engine.stats().clone())
    }

    fn now(&self) -> Duration {
        self.started.elapsed()
    }
}

impl Slot {
    fn leave(&self, progress: Progress) -> Option<Waker> {
        let mut state = self.0.lock();
        let finished = progress.stage == Stage::Finished;
        state.seen = Seen {
            emitted: progress.emitted,
            cached: progress.cached,
            finished,
        };
        state.waker.take()
    }
}

/// One sequence in the engine; dropping it cancels what is left.
#[derive(Debug)]
pub(super) struct Ticket {
    driver: Arc<Driver>,
    id: SequenceId,
    slot: Arc<Slot>,
    finished: bool,
}

impl Ticket {
    /// Ready when more than `emitted` tokens are there, or all are.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, emitted: u32) -> Poll<Seen> {
        let mut state = self.slot.0.lock();
        if state.seen.emitted > emitted || state.seen.finished {
            self.finished = state.seen.finished;
            return Poll::Ready(state.seen);
        }
        if !state
            .waker
            .as_ref()
            .is_some_and(|waker| waker.will_wake(cx.waker()))
        {
            state.waker = Some(cx.waker().clone());
        }
        Poll::Pending
    }

    /// Waits for the first token.
    pub(super) async fn first(&mut self) -> Seen {
        std::future::poll_fn(|cx| self.poll(cx, 0)).await
    }

    /// Waits for the end.
    pub(super) async fn end(&mut self) -> Seen {
        std::future::poll_fn(|cx| self.poll(cx, u32::MAX)).await
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if !self.finished {
            self.driver.engine.lock().cancel(self.id);
        }
    }
}
