//! What goes into an engine and what comes out of it.

use std::time::Duration;

#[cfg(doc)]
use super::BLOCK_TOKENS;

/// One sequence to compute.
#[derive(Debug, Clone, Default)]
pub struct Job {
    /// Tokens of the prompt; zero counts as one.
    pub prompt: u32,
    /// Tokens to emit; zero ends the sequence when its prompt is computed (embeddings).
    pub output: u32,
    /// Chained hashes of the whole blocks of prompt and output ([`BLOCK_TOKENS`] each), for the prefix cache.
    pub blocks: Vec<u64>,
}

/// What a step did for one sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// When the step ended, in the engine's clock.
    pub at: Duration,
    /// Tokens emitted so far.
    pub emitted: u32,
    /// Prompt tokens that were found in memory.
    pub cached: u32,
    /// Whether this was the last step of the sequence.
    pub stage: Stage,
}

/// Whether a sequence goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// More tokens come.
    Running,
    /// All tokens are emitted, and the memory is given back.
    Finished,
}

/// Why a job was not accepted.
#[derive(Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Prompt and output can never fit in memory together.
    TooLong {
        /// The most tokens that fit.
        limit: u32,
    },
}

/// Where a sequence was when it was cancelled.
#[derive(Debug, PartialEq, Eq)]
pub enum Cancelled {
    /// In the queue; it is gone at once.
    Waiting,
    /// In the batch; its place and memory are free from the next step on.
    Running,
    /// Not here: finished, or cancelled before.
    Unknown,
}

/// Names a sequence of one engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SequenceId(pub(super) u64);

/// The load of an engine at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Load {
    /// Sequences in the batch.
    pub running: usize,
    /// Sequences in the queue.
    pub waiting: usize,
    /// KV blocks in use.
    pub kv_used: u32,
    /// KV blocks in all.
    pub kv_blocks: u32,
}
