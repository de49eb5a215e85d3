//! Texts to vectors, on threads of their own.
//!
//! Each thread owns one session of the model (`&mut` to run, so not shared), and all take from one bounded queue. A text
//! is embedded alone, never in a batch: with the dynamic quantisation of int8 models a batch shares one range, so a text's
//! vector would depend on what arrived beside it (measured: cosine 0.992 to itself in a batch of eight), while on one
//! thread a batch saves only a tenth of the time.
//!
//! Loading happens on the threads, so start-up does not wait for it; until then, and for ever if it fails, embedding
//! fails at once and the caller's lookup is a miss.

mod model;
mod worker;

use std::collections::VecDeque;
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

use crate::config::model::Embedder as Config;

pub use model::EmbedError;
use worker::Worker;

/// Texts that may wait, for each thread. At a millisecond or so each, more would miss any sensible deadline.
const QUEUE_PER_THREAD: usize = 64;

/// A sentence model and its threads. They end, once the text in hand is done, when it is dropped.
#[derive(Debug)]
pub struct Embedder {
    shared: Arc<Shared>,
    config: Config,
}

/// Where an embedder stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EmbedState {
    /// The model is being loaded.
    Loading,
    /// Texts are being embedded.
    Ready,
    /// The model could not be loaded, and why.
    Failed(String),
}

/// Why there is no vector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EmbedFailure {
    /// The model is not loaded yet, or could not be.
    NotReady,
    /// Too many texts wait already.
    Busy,
    /// The deadline passed.
    TimedOut,
    /// The model failed on this text, and how.
    Failed(String),
}

impl EmbedFailure {
    /// Short name for logs and metrics.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::NotReady => "not_ready",
            Self::Busy => "busy",
            Self::TimedOut => "timed_out",
            Self::Failed(_) => "failed",
        }
    }
}

/// What turns a text into a vector. Each thread has its own.
trait Model {
    /// The vector of a text, of length 1.
    fn embed(&mut self, text: &str) -> Result<Vec<f32>, String>;
}

/// Makes a thread's model.
type Load = dyn Fn() -> Result<Box<dyn Model>, String> + Send + Sync;

/// What the handle and the threads share.
#[derive(Debug)]
struct Shared {
    queue: Mutex<Queue>,
    /// A job came, or the queue closed.
    changed: Condvar,
    state: Mutex<EmbedState>,
}

#[derive(Debug)]
struct Queue {
    jobs: VecDeque<Job>,
    capacity: usize,
    closed: bool,
}

#[derive(Debug)]
struct Job {
    text: String,
    deadline: Instant,
    reply: oneshot::Sender<Result<Arc<[f32]>, EmbedFailure>>,
}

impl Embedder {
    /// Starts the threads of a model that lies on disk, and returns before it is loaded.
    ///
    /// # Errors
    /// When a file of the model or ONNX Runtime's library is not there, or no thread can be started. What is wrong with
    /// files that are there shows in [`Self::state`] later.
    pub fn start(config: &Config) -> Result<Self, EmbedError> {
        let files = model::Files::find(config)?;
        Self::start_with(config, Arc::new(move || files.load()))
    }

    fn start_with(config: &Config, load: Arc<Load>) -> Result<Self, EmbedError> {
        let threads = config.threads.max(1);
        let capacity = threads * QUEUE_PER_THREAD;
        let shared = Arc::new(Shared {
            queue: Mutex::new(Queue {
                jobs: VecDeque::new(),
                capacity,
                closed: false,
            }),
            changed: Condvar::new(),
            state: Mutex::new(EmbedState::Loading),
        });
        let embedder = Self {
            shared: shared.clone(),
            config: config.clone(),
        };
        for n in 0..threads {
            let worker = Worker::new(shared.clone(), load.clone());
            let name = format!("embed-{n}");
            thread::Builder::new()
                .name(name)
                .spawn(move || worker.run())
                .map_err(EmbedError::Thread)?;
        }
        Ok(embedder)
    }

    /// What it was started with.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Where it stands.
    #[must_use]
    pub fn state(&self) -> EmbedState {
        self.shared.state.lock().clone()
    }

    /// Texts that wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.shared.queue.lock().jobs.len()
    }

    /// The vector of a text, of length 1. Returns at `deadline` at the latest; a caller that leaves earlier gives its
    /// place in the queue up.
    ///
    /// # Errors
    /// [`EmbedFailure`], at once where no vector can be had in time anyway.
    pub async fn embed(&self, text: &str, deadline: Instant) -> Result<Arc<[f32]>, EmbedFailure> {
        let (reply, answer) = oneshot::channel();
        self.submit(Job {
            text: text.to_owned(),
            deadline,
            reply,
        })?;
        match tokio::time::timeout_at(deadline.into(), answer).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(EmbedFailure::Failed("the embedding threads ended".into())),
            Err(_) => Err(EmbedFailure::TimedOut),
        }
    }

    fn submit(&self, job: Job) -> Result<(), EmbedFailure> {
        if *self.shared.state.lock() != EmbedState::Ready {
            return Err(EmbedFailure::NotReady);
        }
        let mut queue = self.shared.queue.lock();
        if queue.jobs.len() >= queue.capacity {
            // Those whose clients left or gave up do not keep others out.
            queue.jobs.retain(|job| !job.reply.is_closed());
        }
        if queue.jobs.len() >= queue.capacity {
            return Err(EmbedFailure::Busy);
        }
        queue.jobs.push_back(job);
        drop(queue);
        self.shared.changed.notify_one();
        Ok(())
    }
}

impl Drop for Embedder {
    fn drop(&mut self) {
        let mut queue = self.shared.queue.lock();
        queue.closed = true;
        queue.jobs.clear();
        drop(queue);
        self.shared.changed.notify_all();
    }
}

#[cfg(test)]
pub(super) mod tests;
