//! How long answers are, by the size of the prompt.
//!
//! Prompts fall into classes by log2 of their tokens, answers within a class likewise. Counts fade with a half-life,
//! so that the numbers follow the traffic; where a class has seen little, a guess fills in.

use std::array;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::Pair;

/// Prompt classes: up to 2^20 tokens and all above.
const CLASSES: usize = 21;
/// Answer sizes: up to 2^18 tokens and all above.
const SIZES: usize = 19;
/// Time in which an observation loses half its weight.
const HALF_LIFE: Duration = Duration::from_secs(300);
/// Observations that the guess counts as.
const GUESS_WEIGHT: f64 = 2.0;

/// Answer lengths of one model.
#[derive(Debug)]
pub(super) struct Outputs {
    classes: [Class; CLASSES],
}

#[derive(Debug)]
struct Class {
    histogram: Mutex<Histogram>,
    /// Weight seen, mean.
    mean: Pair,
    /// Weight seen, 0.9 quantile.
    p90: Pair,
}

/// Fading counts of answers by size; `tokens` are the sums of their lengths.
#[derive(Debug, Default)]
struct Histogram {
    counts: [f32; SIZES],
    tokens: [f32; SIZES],
    as_of: Option<Instant>,
}

impl Default for Outputs {
    fn default() -> Self {
        Self {
            classes: array::from_fn(|_| Class {
                histogram: Mutex::default(),
                mean: Pair::new(0.0, 0.0),
                p90: Pair::new(0.0, 0.0),
            }),
        }
    }
}

impl Outputs {
    /// Mean answer to a prompt of this size, tokens.
    pub(super) fn mean(&self, prompt_tokens: u64) -> u64 {
        let (weight, mean) = self.classes[class(prompt_tokens)].mean.get();
        blend(weight, mean, guess(prompt_tokens))
    }

    /// 0.9 quantile of answers to a prompt of this size, tokens. The guess is four times that of the mean, as for an
    /// exponential tail and a margin.
    pub(super) fn p90(&self, prompt_tokens: u64) -> u64 {
        let (weight, p90) = self.classes[class(prompt_tokens)].p90.get();
        blend(weight, p90, 4.0 * guess(prompt_tokens))
    }

    /// Takes in an answer.
    pub(super) fn learn(&self, prompt_tokens: u64, output_tokens: u64, now: Instant) {
        let class = &self.classes[class(prompt_tokens)];
        let mut histogram = class.histogram.lock();
        histogram.fade(now);
        histogram.add(output_tokens);
        let weight = histogram.weight();
        class.mean.set(weight, histogram.tokens() / weight);
        class.p90.set(weight, histogram.quantile(0.9, weight));
    }
}

impl Histogram {
    fn fade(&mut self, now: Instant) {
        let gone = self
            .as_of
            .map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        self.as_of = Some(self.as_of.map_or(now, |at| at.max(now)));
        if gone.is_zero() {
            return;
        }
        let keep = (-gone.as_secs_f64() / HALF_LIFE.as_secs_f64()).exp2() as f32;
        for value in self.counts.iter_mut().chain(&mut self.tokens) {
            *value *= keep;
        }
    }

    fn add(&mut self, tokens: u64) {
        let size = log2(tokens).min(SIZES - 1);
        self.counts[size] += 1.0;
        self.tokens[size] += tokens as f32;
    }

    fn weight(&self) -> f64 {
        self.counts.iter().copied().map(f64::from).sum()
    }

    fn tokens(&self) -> f64 {
        self.tokens.iter().copied().map(f64::from).sum()
    }

    /// The length below which `share` of the answers, which weigh `weight`, are, straight inside a size.
    fn quantile(&self, share: f64, weight: f64) -> f64 {
        let mut wanted = share * weight;
        let mut end = 0.0;
        for (size, count) in self.counts.iter().copied().map(f64::from).enumerate() {
            let begin = if size == 0 {
                0.0
            } else {
                f64::from(1u32 << size)
            };
            end = f64::from(1u32 << (size + 1));
            if count > 0.0 && wanted <= count {
                return begin + (end - begin) * wanted / count;
            }
            wanted -= count;
        }
        end
    }
}

fn class(prompt_tokens: u64) -> usize {
    log2(prompt_tokens).min(CLASSES - 1)
}

/// Floor of log2; 0 for 0.
fn log2(n: u64) -> usize {
    n.max(1).ilog2() as usize
}

/// What is expected before anything is known, tokens: answers are of the order of their prompts, short prompts are
/// questions with longer answers, and no answer is endless.
fn guess(prompt_tokens: u64) -> f64 {
    (1.5 * prompt_tokens as f64).clamp(64.0, 1024.0)
}

fn blend(weight: f64, seen: f64, guess: f64) -> u64 {
    ((weight * seen + GUESS_WEIGHT * guess) / (weight + GUESS_WEIGHT)).round() as u64
}
