//! How fast a simulated engine is and how much it holds.

use std::time::Duration;

/// Tokens in one block of KV memory, as in vLLM.
pub const BLOCK_TOKENS: u32 = 16;

/// Speeds and capacities of one engine. The defaults are those of BALANCING.md's simulators; the time of a step follows
/// the discrete-event twin they were measured with.
#[derive(Debug, Clone)]
pub struct Rates {
    /// Multiplies every rate: 0.5 is an engine of half the speed.
    pub speed: f64,
    /// Prompt tokens computed per second.
    pub prefill_rate: f64,
    /// Fixed time of a step that decodes, in milliseconds.
    pub step_base_ms: f64,
    /// Time that each decoding sequence adds to a step, in milliseconds.
    pub step_per_seq_ms: f64,
    /// Time that each thousand tokens of decoding context add to a step, in milliseconds.
    pub step_per_kctx_ms: f64,
    /// Fixed time of a step that only computes prompts, in milliseconds.
    pub prefill_base_ms: f64,
    /// Tokens that one step may process, decoding sequences counted as one each.
    pub step_tokens: u32,
    /// Sequences that may run at once.
    pub max_running: usize,
    /// KV memory in tokens; also the longest prompt plus output.
    pub kv_tokens: u32,
}

impl Default for Rates {
    fn default() -> Self {
        Self {
            speed: 1.0,
            prefill_rate: 8000.0,
            step_base_ms: 6.0,
            step_per_seq_ms: 0.35,
            step_per_kctx_ms: 0.14,
            prefill_base_ms: 2.0,
            step_tokens: 2048,
            max_running: 256,
            kv_tokens: 524_288,
        }
    }
}

impl Rates {
    /// How long a step takes in which `decoding` sequences with `context` tokens between them emit one token each, and
    /// `prefill` prompt tokens are computed.
    pub fn step(&self, decoding: usize, context: u64, prefill: u32) -> Duration {
        let fixed_ms = if decoding == 0 {
            self.prefill_base_ms
        } else {
            self.step_base_ms
                + self.step_per_seq_ms * decoding as f64
                + self.step_per_kctx_ms * context as f64 / 1000.0
        };
        let seconds = fixed_ms / 1000.0 + f64::from(prefill) / self.prefill_rate;
        // Never zero, so that the clock of the model always moves.
        Duration::from_secs_f64((seconds / self.speed).max(1e-6))
    }

    /// KV blocks of the engine.
    pub fn kv_blocks(&self) -> u32 {
        self.kv_tokens / BLOCK_TOKENS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decode_step_is_6_ms_and_a_third_more_per_sequence() {
        let rates = Rates::default();
        assert_eq!(rates.step(1, 0, 0), Duration::from_secs_f64(0.00635));
        assert_eq!(rates.step(100, 0, 0), Duration::from_secs_f64(0.041));
        assert!(rates.step(100, 200_000, 0) > rates.step(100, 100_000, 0));
    }

    #[test]
    fn a_full_prefill_step_is_its_tokens_over_the_rate_and_half_the_speed_takes_twice_as_long() {
        let rates = Rates::default();
        assert_eq!(
            rates.step(0, 0, 2048),
            Duration::from_secs_f64(0.002 + 2048.0 / 8000.0)
        );
        let half = Rates {
            speed: 0.5,
            ..Rates::default()
        };
        assert_eq!(half.step(0, 0, 2048), rates.step(0, 0, 2048) * 2);
    }
}
