//! A second look at two questions: a cross-encoder reads both together and says how surely they mean the same.
//!
//! Slower than comparing vectors and better at it, so it is asked only within a band of similarities, where a vector alone
//! cannot tell. It can only take away: what it does not accept is a miss, and so is everything while it is loading, has
//! failed, is behind or takes longer than the lookup's deadline.

mod model;

use std::sync::Arc;
use std::thread;
use std::time::Instant;

use parking_lot::Mutex;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};

use super::embed::{EmbedError, EmbedFailure, EmbedState, Files, Library, guarded};
use crate::config::model::{Embedder, Reranker as Config};
use crate::metrics::events;

/// Pairs that may wait. At several milliseconds each, more would miss any sensible deadline.
const QUEUE: usize = 32;

/// A cross-encoder and its thread, which ends when this is dropped.
#[derive(Debug)]
pub struct Reranker {
    pairs: mpsc::Sender<Pair>,
    state: Arc<Mutex<EmbedState>>,
    config: Config,
}

/// What a second look said.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Look {
    /// How surely the two mean the same, 0 to 1.
    pub score: f32,
    /// Whether that is enough.
    pub accepted: bool,
}

/// What reads two texts together.
trait Model {
    /// How surely they mean the same, 0 to 1.
    fn score(&mut self, one: &str, other: &str) -> Result<f32, String>;
}

/// Makes the thread's model.
type Load = dyn FnOnce() -> Result<Box<dyn Model>, String> + Send;

#[derive(Debug)]
struct Pair {
    one: String,
    other: String,
    deadline: Instant,
    reply: oneshot::Sender<Result<f32, EmbedFailure>>,
}

impl Reranker {
    /// Starts the thread of a model that lies on disk, and returns before it is loaded. ONNX Runtime's library is the
    /// embedder's.
    ///
    /// # Errors
    /// When a file of the model or the library is not there, or the thread cannot be started. What is wrong with files
    /// that are there shows in [`Self::state`] later.
    pub fn start(config: &Config, embedder: &Embedder) -> Result<Self, EmbedError> {
        let files = Files::find(&config.path)?;
        let library = Library::find(embedder.library.as_deref(), &embedder.path)?;
        Self::start_with(config, Box::new(move || model::load(&files, &library)))
    }

    fn start_with(config: &Config, load: Box<Load>) -> Result<Self, EmbedError> {
        let (pairs, inbox) = mpsc::channel(QUEUE);
        let state = Arc::new(Mutex::new(EmbedState::Loading));
        let shared = Arc::clone(&state);
        thread::Builder::new()
            .name("rerank".into())
            .spawn(move || run(load, inbox, &shared))
            .map_err(EmbedError::Thread)?;
        Ok(Self {
            pairs,
            state,
            config: config.clone(),
        })
    }

    /// Where it stands.
    #[must_use]
    pub fn state(&self) -> EmbedState {
        self.state.lock().clone()
    }

    /// Whether questions of this cosine similarity deserve the second look.
    #[must_use]
    pub fn wanted(&self, similarity: f32) -> bool {
        let (above, below) = self.config.band;
        (above..=below).contains(&similarity)
    }

    /// Looks at two questions together. Returns at `deadline` at the latest.
    ///
    /// # Errors
    /// [`EmbedFailure`], at once where no answer can be had in time anyway.
    pub async fn look(
        &self,
        one: &str,
        other: &str,
        deadline: Instant,
    ) -> Result<Look, EmbedFailure> {
        let began = Instant::now();
        let result = self.score(one, other, deadline).await;
        let result = result.map(|score| Look {
            score,
            accepted: score >= self.config.accept,
        });
        let said = match &result {
            Ok(look) if look.accepted => "accepted",
            Ok(_) => "rejected",
            Err(failure) => failure.name(),
        };
        events::reranked(said, began.elapsed());
        result
    }

    async fn score(&self, one: &str, other: &str, deadline: Instant) -> Result<f32, EmbedFailure> {
        if *self.state.lock() != EmbedState::Ready {
            return Err(EmbedFailure::NotReady);
        }
        let (reply, answer) = oneshot::channel();
        let pair = Pair {
            one: one.to_owned(),
            other: other.to_owned(),
            deadline,
            reply,
        };
        let ended = || EmbedFailure::Failed("the reranker's thread ended".into());
        self.pairs.try_send(pair).map_err(|error| match error {
            TrySendError::Full(_) => EmbedFailure::Busy,
            TrySendError::Closed(_) => ended(),
        })?;
        match tokio::time::timeout_at(deadline.into(), answer).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(ended()),
            Err(_) => Err(EmbedFailure::TimedOut),
        }
    }
}

fn run(load: Box<Load>, mut inbox: mpsc::Receiver<Pair>, state: &Mutex<EmbedState>) {
    let loaded = guarded(|| {
        let mut model = load()?;
        // The first run allocates and may find a graph that does not fit: better now than on a request.
        scored(model.as_mut(), "ready?", "ready?")?;
        Ok(model)
    });
    let mut model = match loaded {
        Ok(model) => model,
        Err(reason) => {
            log::warn!("reranking model not loaded: {reason}");
            *state.lock() = EmbedState::Failed(reason);
            return;
        }
    };
    *state.lock() = EmbedState::Ready;
    while let Some(pair) = inbox.blocking_recv() {
        // Nobody waits for it any more: the time is better spent on the next.
        if pair.reply.is_closed() || pair.deadline <= Instant::now() {
            drop(pair.reply.send(Err(EmbedFailure::TimedOut)));
            continue;
        }
        let score = guarded(|| scored(model.as_mut(), &pair.one, &pair.other));
        drop(pair.reply.send(score.map_err(EmbedFailure::Failed)));
    }
}

fn scored(model: &mut dyn Model, one: &str, other: &str) -> Result<f32, String> {
    let score = model.score(one, other)?;
    match (0.0..=1.0).contains(&score) {
        true => Ok(score),
        false => Err(format!("the model gave the score {score}")),
    }
}

#[cfg(test)]
pub(super) mod tests;
