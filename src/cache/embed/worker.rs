//! One embedding thread: loads its model, then embeds what waits until the embedder is dropped.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use super::batches::tried;
use super::queue::{Batch, Key, Taken};
use super::{EmbedFailure, EmbedState, Load, Model, ModelFacts, Shared};
use crate::metrics::events;

/// Most texts that go through a model together: beyond that nothing is gained, and all wait for all.
const MOST: usize = 8;

/// What one thread holds.
pub(super) struct Worker {
    shared: Arc<Shared>,
    load: Arc<Load>,
    threads: usize,
}

impl Worker {
    pub(super) fn new(shared: Arc<Shared>, load: Arc<Load>, threads: usize) -> Self {
        Self {
            shared,
            load,
            threads,
        }
    }

    pub(super) fn run(self) {
        let (mut model, facts) = match guarded(|| self.loaded()) {
            Ok(loaded) => loaded,
            Err(reason) => return self.shared.failed_to_load(reason),
        };
        *self.shared.state.lock() = EmbedState::Ready;
        let batch = Batch {
            most: if facts.batches { MOST } else { 1 },
            threads: self.threads,
        };
        while let Some(taken) = self.shared.queue.take(batch) {
            self.shared.answer(model.as_mut(), &taken);
        }
    }

    fn loaded(&self) -> Result<(Box<dyn Model>, ModelFacts), String> {
        let mut loaded = (self.load)()?;
        // The first run allocates and may find a graph that does not fit: better now than on a request.
        let facts = tried(loaded.model.as_mut(), loaded.id)?;
        // All threads must give a text the same vector, also when the files are being replaced.
        if self.shared.facts.get_or_init(|| facts).id != facts.id {
            return Err("the model's files changed while they were read".into());
        }
        Ok((loaded.model, facts))
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

    fn answer(&self, model: &mut dyn Model, taken: &[Taken]) {
        let mut fresh = Vec::with_capacity(taken.len());
        for taken in taken {
            // Its vector may have come between its asker's look and its coming here.
            match self.memory.get(&taken.key) {
                Some(vector) => self.queue.answer(&taken.key, Ok(vector)),
                None => fresh.push(taken),
            }
        }
        match &fresh[..] {
            [] => {}
            [alone] => self.embed_alone(model, alone),
            several => {
                let texts: Vec<&str> = several.iter().map(|taken| &*taken.text).collect();
                match embed(model, &texts) {
                    Ok(vectors) => {
                        for (taken, vector) in several.iter().zip(vectors) {
                            self.give(&taken.key, vector);
                        }
                    }
                    // One bad text must not fail the others.
                    Err(_) => several
                        .iter()
                        .for_each(|taken| self.embed_alone(model, taken)),
                }
            }
        }
    }

    fn embed_alone(&self, model: &mut dyn Model, taken: &Taken) {
        match embed(model, &[&taken.text]).map(|mut vectors| vectors.pop()) {
            Ok(Some(vector)) => self.give(&taken.key, vector),
            Ok(None) => self.refuse(&taken.key, "the model gave no vector".into()),
            Err(reason) => self.refuse(&taken.key, reason),
        }
    }

    /// Remembered before it is given, so that there is no moment in which a text is neither known nor on its way.
    fn give(&self, key: &Key, vector: Vec<f32>) {
        let vector: Arc<[f32]> = vector.into();
        self.memory.put(*key, vector.clone());
        self.queue.answer(key, Ok(vector));
    }

    fn refuse(&self, key: &Key, reason: String) {
        self.queue.answer(key, Err(EmbedFailure::Failed(reason)));
    }
}

/// One run of the model: as many vectors as texts.
fn embed(model: &mut dyn Model, texts: &[&str]) -> Result<Vec<Vec<f32>>, String> {
    let began = Instant::now();
    let vectors = guarded(|| model.embed(texts))?;
    events::embedding_ran(texts.len(), began.elapsed());
    if vectors.len() == texts.len() {
        Ok(vectors)
    } else {
        Err(format!(
            "the model gave {} vectors for {} texts",
            vectors.len(),
            texts.len()
        ))
    }
}

/// Foreign code at work: a panic there is an error here, and the thread goes on.
pub(in crate::cache) fn guarded<T>(work: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|panic| Err(format!("panic: {}", message(&*panic))))
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("of unknown kind")
}
