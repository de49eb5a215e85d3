//! One embedding thread: loads its model, then embeds what waits until the embedder is dropped.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use super::{EmbedFailure, EmbedState, Job, Load, Model, Shared};

/// What one thread holds.
pub(super) struct Worker {
    shared: Arc<Shared>,
    load: Arc<Load>,
}

impl Worker {
    pub(super) fn new(shared: Arc<Shared>, load: Arc<Load>) -> Self {
        Self { shared, load }
    }

    pub(super) fn run(self) {
        let mut model = match guarded(|| (self.load)()) {
            Ok(model) => model,
            Err(reason) => return self.shared.failed_to_load(reason),
        };
        *self.shared.state.lock() = EmbedState::Ready;
        while let Some(job) = self.shared.next_job() {
            answer(model.as_mut(), job);
        }
    }
}

impl Shared {
    /// One thread that runs is enough to be ready, so only the first failure of all is told.
    fn failed_to_load(&self, reason: String) {
        log::warn!("embedding model not loaded: {reason}");
        let mut state = self.state.lock();
        if *state == EmbedState::Loading {
            *state = EmbedState::Failed(reason);
        }
    }

    /// Waits for a job; `None` when the embedder is gone.
    fn next_job(&self) -> Option<Job> {
        let mut queue = self.queue.lock();
        loop {
            if queue.closed {
                return None;
            }
            if let Some(job) = queue.jobs.pop_front() {
                return Some(job);
            }
            self.changed.wait(&mut queue);
        }
    }
}

fn answer(model: &mut dyn Model, job: Job) {
    // Nobody waits for it any more: the time is better spent on the next.
    if job.reply.is_closed() || job.deadline <= Instant::now() {
        return drop(job.reply.send(Err(EmbedFailure::TimedOut)));
    }
    let result = guarded(|| model.embed(&job.text))
        .map(Arc::from)
        .map_err(EmbedFailure::Failed);
    drop(job.reply.send(result));
}

/// Foreign code at work: a panic there is an error here, and the thread goes on.
fn guarded<T>(work: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|panic| Err(format!("panic: {}", message(&*panic))))
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("of unknown kind")
}
