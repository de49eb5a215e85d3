//! Tokens per byte of prompt.

use parking_lot::Mutex;

use super::Pair;
use crate::util::ewma::Ewma;

/// Tokens per ASCII byte before anything is known: four letters a token.
const ASCII: f64 = 0.25;
/// Tokens per other byte before anything is known: one a character of three bytes.
const NON_ASCII: f64 = 1.0 / 3.0;
/// Prompts shorter than this are mostly chat template, and teach in proportion.
const FULL_LESSON_BYTES: f64 = 512.0;
/// Most that one prompt may change a coefficient's target, up or down.
const MOST_CHANGE: f64 = 2.0;
/// No tokenizer is outside this: from long repeated words to a few tokens a byte.
const BOUNDS: (f64, f64) = (0.02, 4.0);

/// The two coefficients of a model.
#[derive(Debug)]
pub(super) struct Prompts {
    learnt: Mutex<(Ewma, Ewma)>,
    coefficients: Pair,
}

impl Default for Prompts {
    fn default() -> Self {
        Self {
            learnt: Mutex::new((Ewma::new(ASCII, 1.0, 0.05), Ewma::new(NON_ASCII, 1.0, 0.05))),
            coefficients: Pair::new(ASCII, NON_ASCII),
        }
    }
}

impl Prompts {
    /// Tokens of a text; at least 1 unless it is empty.
    pub(super) fn tokens(&self, text_bytes: u64, non_ascii: u64) -> u64 {
        if text_bytes == 0 {
            return 0;
        }
        let (ascii_share, other_share) = self.parts(text_bytes, non_ascii);
        ((ascii_share + other_share).round() as u64).max(1)
    }

    /// Tokens by ASCII bytes and tokens by others.
    fn parts(&self, text_bytes: u64, non_ascii: u64) -> (f64, f64) {
        let (ascii, other) = self.coefficients.get();
        (
            (text_bytes - non_ascii) as f64 * ascii,
            non_ascii as f64 * other,
        )
    }

    /// Takes in that a text had `tokens`. Each coefficient is moved in proportion to its part in the estimate.
    pub(super) fn learn(&self, text_bytes: u64, non_ascii: u64, tokens: u64) {
        if text_bytes == 0 || tokens == 0 {
            return;
        }
        let mut learnt = self.learnt.lock();
        let (by_ascii, by_other) = self.parts(text_bytes, non_ascii);
        let estimate = by_ascii + by_other;
        let ratio = (tokens as f64 / estimate).clamp(1.0 / MOST_CHANGE, MOST_CHANGE);
        let lesson = (text_bytes as f64 / FULL_LESSON_BYTES).min(1.0);
        let move_to_ratio = |mean: &mut Ewma, part: f64| {
            let target = (mean.value() * ratio).clamp(BOUNDS.0, BOUNDS.1);
            mean.add(target, lesson * part / estimate);
        };
        let (ascii, other) = &mut *learnt;
        move_to_ratio(ascii, by_ascii);
        move_to_ratio(other, by_other);
        self.coefficients.set(ascii.value(), other.value());
    }
}
