//! Texts to vectors, each computed once, on threads of their own.
//!
//! ```text
//!  embed(text) ─► Memory          seen before: its vector, at once
//!              └► Queue ─► Worker a text that is already on its way is waited for, not computed again
//! ```
//!
//! Each thread owns one session of the model (`&mut` to run, so not shared), and all take from one bounded queue. Texts
//! that wait together go through the model together, where that does not change their vectors: with the dynamic
//! quantisation of int8 models a batch shares one range, so a text's vector would depend on what arrived beside it
//! (measured: cosine 0.992 to itself in a batch of eight). Whether it does is tried when the model is loaded
//! ([`batches`]); such models embed text by text.
//!
//! Loading happens on the threads, so start-up does not wait for it; until then, and for ever if it fails, embedding
//! fails at once and the caller's lookup is a miss.

mod batches;
mod folder;
mod library;
mod memory;
mod model;
mod pooling;
mod queue;
mod worker;

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Instant;

use parking_lot::Mutex;

use crate::config::model::Embedder as Config;
use crate::metrics::events;

pub(super) use folder::Files;
pub(super) use library::Library;
use memory::Memory;
pub(super) use model::tokenizer_files;
use queue::{Joined, Queue};
use worker::Worker;
pub(super) use worker::guarded;

/// Texts that may wait, for each thread. At a millisecond or so each, more would miss any sensible deadline.
const QUEUE_PER_THREAD: usize = 64;

/// A sentence model and its threads. They end, once the texts in hand are done, when it is dropped.
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

/// Why an embedder, or a reranker, cannot be started.
#[derive(Debug)]
pub enum EmbedError {
    /// A file of the model cannot be read.
    Model(PathBuf, io::Error),
    /// A file of the model says what cannot be done.
    Unfit(PathBuf, String),
    /// ONNX Runtime's library cannot be read.
    Library(PathBuf, io::Error),
    /// A thread cannot be started.
    Thread(io::Error),
}

impl fmt::Display for EmbedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Model(path, error) => {
                write!(
                    f,
                    "model: {}: {error} (scripts/setup-embedder makes a directory)",
                    path.display()
                )
            }
            Self::Unfit(path, why) => write!(f, "model: {}: {why}", path.display()),
            Self::Library(path, error) => write!(
                f,
                "ONNX Runtime: {}: {error} (name libonnxruntime with `library` or ORT_DYLIB_PATH)",
                path.display()
            ),
            Self::Thread(error) => write!(f, "model's thread: {error}"),
        }
    }
}

impl std::error::Error for EmbedError {}

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

/// What is known of a model once it is loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ModelFacts {
    /// Equal only for models that give every text the same vector: files, pooling, prefix and length.
    pub id: [u8; 32],
    /// Length of a vector.
    pub dimensions: usize,
    /// Whether texts may go through it together.
    pub batches: bool,
}

/// What an embedder holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EmbedStats {
    /// Texts that wait.
    pub waiting: usize,
    /// Vectors remembered.
    pub remembered: u64,
    /// Memory that they take, in bytes, roughly.
    pub remembered_bytes: u64,
}

/// What turns texts into vectors. Each thread has its own.
trait Model {
    /// The vectors of texts, each of length 1, in their order.
    fn embed(&mut self, texts: &[&str]) -> Result<Vec<Vec<f32>>, String>;
}

/// A thread's model and the id that all of the threads' must have.
struct Loaded {
    model: Box<dyn Model>,
    id: [u8; 32],
}

/// Makes a thread's model.
type Load = dyn Fn() -> Result<Loaded, String> + Send + Sync;

/// What the handle and the threads share.
#[derive(Debug)]
struct Shared {
    queue: Queue,
    memory: Memory,
    state: Mutex<EmbedState>,
    facts: OnceLock<ModelFacts>,
}

impl Embedder {
    /// Starts the threads of a model that lies on disk, and returns before it is loaded.
    ///
    /// # Errors
    /// When a file of the model or ONNX Runtime's library is not there, when the model's directory asks for what is not
    /// known here, or no thread can be started. What else is wrong with files that are there shows in [`Self::state`]
    /// later.
    pub fn start(config: &Config) -> Result<Self, EmbedError> {
        let folder = folder::Folder::find(config)?;
        let library = Library::find(config.library.as_deref(), &config.path)?;
        Self::start_with(config, Arc::new(move || model::load(&folder, &library)))
    }

    fn start_with(config: &Config, load: Arc<Load>) -> Result<Self, EmbedError> {
        let threads = config.threads.max(1);
        let shared = Arc::new(Shared {
            queue: Queue::new(threads * QUEUE_PER_THREAD),
            memory: Memory::new(config.cache_bytes),
            state: Mutex::new(EmbedState::Loading),
            facts: OnceLock::new(),
        });
        let embedder = Self {
            shared: shared.clone(),
            config: config.clone(),
        };
        for n in 0..threads {
            let worker = Worker::new(shared.clone(), load.clone(), threads);
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

    /// What is known of its model; `None` until that is loaded.
    #[must_use]
    pub fn facts(&self) -> Option<ModelFacts> {
        self.shared.facts.get().copied()
    }

    /// The id of its model, which goes wherever its vectors go: vectors of another id must not be compared with them.
    /// `None` until the model is loaded.
    #[must_use]
    pub fn model_id(&self) -> Option<[u8; 32]> {
        self.facts().map(|facts| facts.id)
    }

    /// What it holds.
    #[must_use]
    pub fn stats(&self) -> EmbedStats {
        EmbedStats {
            waiting: self.shared.queue.waiting(),
            remembered: self.shared.memory.vectors(),
            remembered_bytes: self.shared.memory.bytes(),
        }
    }

    /// The vector of a text, of length 1. Space around the text does not count. Returns at `deadline` at the latest; a
    /// caller that leaves earlier gives its place in the queue up.
    ///
    /// # Errors
    /// [`EmbedFailure`], at once where no vector can be had in time anyway.
    pub async fn embed(&self, text: &str, deadline: Instant) -> Result<Arc<[f32]>, EmbedFailure> {
        let began = Instant::now();
        let (how, result) = match self.vector(text.trim(), deadline).await {
            Ok((how, vector)) => (how, Ok(vector)),
            Err(failure) => (failure.name(), Err(failure)),
        };
        events::embedded(how, result.is_ok().then(|| began.elapsed()));
        result
    }

    async fn vector(
        &self,
        text: &str,
        deadline: Instant,
    ) -> Result<(&'static str, Arc<[f32]>), EmbedFailure> {
        if *self.shared.state.lock() != EmbedState::Ready {
            return Err(EmbedFailure::NotReady);
        }
        let key = blake3::hash(text.as_bytes()).into();
        if let Some(vector) = self.shared.memory.get(&key) {
            return Ok(("remembered", vector));
        }
        let (how, mut answer) = match self.shared.queue.join(key, text, deadline)? {
            Joined::First(answer) => ("computed", answer),
            Joined::Another(answer) => ("shared", answer),
        };
        let answered = answer.wait_for(Option::is_some);
        match tokio::time::timeout_at(deadline.into(), answered).await {
            Ok(Ok(outcome)) => match &*outcome {
                Some(outcome) => outcome.clone().map(|vector| (how, vector)),
                None => Err(EmbedFailure::TimedOut),
            },
            Ok(Err(_)) => Err(EmbedFailure::Failed("the embedding threads ended".into())),
            Err(_) => Err(EmbedFailure::TimedOut),
        }
    }
}

impl Drop for Embedder {
    fn drop(&mut self) {
        self.shared.queue.close();
    }
}

#[cfg(test)]
pub(super) mod tests;
