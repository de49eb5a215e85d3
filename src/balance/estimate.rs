//! How many tokens a request will cost, learnt from what earlier ones cost.
//!
//! Per model: tokens per byte of prompt (ASCII and other bytes apart, since a Chinese character is three bytes and
//! about one token), and how long answers to prompts of a size are. Reading takes no lock.

mod outputs;
mod prompts;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use arc_swap::ArcSwap;
use parking_lot::Mutex;

use crate::util::hash::Map;
use outputs::Outputs;
use prompts::Prompts;

/// Most models that are told apart; the one not heard of for longest makes room. About 5 KB each.
pub const MAX_MODELS: usize = 256;

/// What was learnt, shared by all threads and kept over reloads.
#[derive(Debug, Default)]
pub struct Estimator {
    models: ArcSwap<Map<Box<str>, Arc<Model>>>,
    /// All models together: what a model not heard of yet is taken for.
    all: Model,
    /// Held while a model is added.
    adding: Mutex<()>,
    /// Counts observations, to tell which model was heard of last.
    heard: AtomicU64,
}

#[derive(Debug, Default)]
struct Model {
    prompts: Prompts,
    outputs: Outputs,
    heard: AtomicU64,
}

impl Estimator {
    /// Tokens of a prompt whose text has `text_bytes`, of which `non_ascii` are 0x80 or above. At least 1 unless
    /// there is no text.
    pub fn prompt_tokens(&self, model: &str, text_bytes: u64, non_ascii: u64) -> u64 {
        self.with(model, |known| {
            known.prompts.tokens(text_bytes, non_ascii.min(text_bytes))
        })
    }

    /// Tokens the answer will probably have, at most `max_tokens`.
    pub fn output_tokens(&self, model: &str, prompt_tokens: u64, max_tokens: Option<u64>) -> u64 {
        let tokens = self.with(model, |known| known.outputs.mean(prompt_tokens));
        tokens.min(max_tokens.unwrap_or(u64::MAX))
    }

    /// Tokens that nine answers of ten stay below, at most `max_tokens`.
    pub fn output_p90(&self, model: &str, prompt_tokens: u64, max_tokens: Option<u64>) -> u64 {
        let tokens = self.with(model, |known| known.outputs.p90(prompt_tokens));
        tokens.min(max_tokens.unwrap_or(u64::MAX))
    }

    /// Takes in what a complete answer's `usage` said. `input_tokens` 0 (not told) teaches nothing about prompts.
    /// Leave out requests with images: their tokens are not in the text.
    pub fn learn(
        &self,
        model: &str,
        text_bytes: u64,
        non_ascii: u64,
        input_tokens: u64,
        output_tokens: u64,
        now: Instant,
    ) {
        let known = self.known_or_new(model);
        known
            .heard
            .store(self.heard.fetch_add(1, Relaxed) + 1, Relaxed);
        let non_ascii = non_ascii.min(text_bytes);
        let prompt_tokens = match input_tokens {
            0 => known.prompts.tokens(text_bytes, non_ascii),
            told => told,
        };
        for learner in [&*known, &self.all] {
            learner.prompts.learn(text_bytes, non_ascii, input_tokens);
            learner.outputs.learn(prompt_tokens, output_tokens, now);
        }
    }

    /// Models told apart.
    pub fn models(&self) -> usize {
        self.models.load().len()
    }

    fn with<R>(&self, model: &str, read: impl FnOnce(&Model) -> R) -> R {
        match self.models.load().get(model) {
            Some(known) => read(known),
            None => read(&self.all),
        }
    }

    fn known_or_new(&self, model: &str) -> Arc<Model> {
        if let Some(known) = self.models.load().get(model) {
            return Arc::clone(known);
        }
        let _adding = self.adding.lock();
        let models = self.models.load();
        if let Some(known) = models.get(model) {
            return Arc::clone(known);
        }
        let mut more = Map::clone(&models);
        if more.len() >= MAX_MODELS {
            let oldest = more
                .iter()
                .min_by_key(|(_, known)| known.heard.load(Relaxed));
            if let Some(name) = oldest.map(|(name, _)| name.clone()) {
                more.remove(&name);
            }
        }
        let new = Arc::new(Model::default());
        more.insert(model.into(), Arc::clone(&new));
        self.models.store(Arc::new(more));
        new
    }
}

/// Two f32 in one atomic, read and written together.
#[derive(Debug)]
struct Pair(AtomicU64);

impl Pair {
    fn new(a: f64, b: f64) -> Self {
        let pair = Self(AtomicU64::new(0));
        pair.set(a, b);
        pair
    }

    fn set(&self, a: f64, b: f64) {
        let bits = u64::from((a as f32).to_bits()) << 32 | u64::from((b as f32).to_bits());
        self.0.store(bits, Relaxed);
    }

    fn get(&self) -> (f64, f64) {
        let bits = self.0.load(Relaxed);
        let half = |bits: u64| f64::from(f32::from_bits(bits as u32));
        (half(bits >> 32), half(bits))
    }
}

#[cfg(test)]
mod tests;
