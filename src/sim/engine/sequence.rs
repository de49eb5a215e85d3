//! One sequence of an engine, from its arrival to its last token.

use std::time::Duration;

use super::kv::{Held, KvPool};
use super::{BLOCK_TOKENS, Job, Progress, Stage, Stats};

/// What a sequence does in the current step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// In the queue.
    Waiting,
    /// Its prompt is being computed.
    Prefill,
    /// Its prompt was completed in the step that is ending.
    Computed,
    /// It emits a token a step.
    Decoding,
    /// It leaves when the step ends.
    Cancelled,
}

#[derive(Debug)]
pub(super) struct Sequence<T> {
    pub(super) id: u64,
    pub(super) tag: T,
    pub(super) phase: Phase,
    pub(super) prompt: u32,
    pub(super) cached: u32,
    /// Tokens that still have to be computed before the next one can be emitted.
    pub(super) to_compute: u32,
    pub(super) held: Held,
    pub(super) arrived: Duration,
    output: u32,
    emitted: u32,
    blocks: Vec<u64>,
    admitted: Option<Duration>,
    first_token: Option<Duration>,
}

impl<T> Sequence<T> {
    pub(super) fn new(id: u64, arrived: Duration, job: Job, tag: T) -> Self {
        Self {
            id,
            tag,
            phase: Phase::Waiting,
            prompt: job.prompt.max(1),
            cached: 0,
            to_compute: 0,
            held: Held::default(),
            arrived,
            output: job.output,
            emitted: 0,
            blocks: job.blocks,
            admitted: None,
            first_token: None,
        }
    }

    /// Tokens that are or will be in memory when the next one is computed.
    pub(super) fn context(&self) -> u32 {
        self.prompt + self.emitted
    }

    pub(super) fn blocks_needed(&self) -> u32 {
        self.context().div_ceil(BLOCK_TOKENS)
    }

    pub(super) fn next_token_needs_a_block(&self) -> bool {
        self.held.blocks() < (self.context() + 1).div_ceil(BLOCK_TOKENS)
    }

    /// Hashes of the blocks that the tokens so far fill.
    pub(super) fn full_blocks(&self) -> &[u64] {
        let full = (self.context() / BLOCK_TOKENS) as usize;
        &self.blocks[..full.min(self.blocks.len())]
    }

    /// Lets others find the blocks that are full by now.
    pub(super) fn publish(&mut self, kv: &mut KvPool) {
        let mut held = std::mem::take(&mut self.held);
        kv.publish(&mut held, self.full_blocks());
        self.held = held;
    }

    pub(super) fn admit(&mut self, held: Held, hits: u32) {
        // The last token is always computed: its result is the next one.
        let found = (hits * BLOCK_TOKENS).min(self.context() - 1);
        self.to_compute = self.context() - found;
        if self.admitted.is_none() {
            self.cached = found;
        }
        self.held = held;
        self.phase = Phase::Prefill;
    }

    /// Notes the admission; whether it is the first one, not the return of a preempted sequence.
    pub(super) fn first_admission(&mut self, now: Duration) -> bool {
        let first = self.admitted.is_none();
        self.admitted.get_or_insert(now);
        first
    }

    /// Emits the token of the step that ends, if there is one.
    pub(super) fn emit(&mut self, at: Duration, stats: &mut Stats) -> Option<Stage> {
        if !matches!(self.phase, Phase::Computed | Phase::Decoding) {
            return None;
        }
        self.phase = Phase::Decoding;
        if self.emitted < self.output {
            self.emitted += 1;
            stats.generated_tokens += 1;
        }
        let first = *self.first_token.get_or_insert_with(|| {
            stats.first_token.record(at.saturating_sub(self.arrived));
            at
        });
        if self.emitted < self.output {
            return Some(Stage::Running);
        }
        stats.finished += 1;
        stats.total.record(at.saturating_sub(self.arrived));
        if self.emitted > 1 {
            stats
                .per_token
                .record(at.saturating_sub(first) / (self.emitted - 1));
        }
        Some(Stage::Finished)
    }

    pub(super) fn progress(&self, at: Duration, stage: Stage) -> Progress {
        Progress {
            at,
            emitted: self.emitted,
            cached: self.cached,
            stage,
        }
    }
}
