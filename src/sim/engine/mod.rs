//! Continuous batching as a pure model: no sockets, no sleeping, the clock is an argument.
//!
//! An engine holds sequences in two places: a queue in order of arrival, and the running batch. Time passes in steps.
//! At the beginning of a step it admits from the head of the queue what fits in memory; decoding sequences emit one
//! token each, and what is left of the step's token budget computes prompts in chunks, first admitted first. A sequence
//! emits its first token at the end of the step that completes its prompt. When memory runs out, the sequence admitted
//! last is put back at the head of the queue and computed again, as vLLM does.

mod kv;
mod rates;
mod sequence;
mod stats;
#[cfg(test)]
mod tests;
mod types;

use std::collections::VecDeque;
use std::time::Duration;

use kv::KvPool;
pub use rates::{BLOCK_TOKENS, Rates};
use sequence::{Phase, Sequence};
pub use stats::{Histogram, Stats};
pub use types::{Cancelled, Job, Load, Progress, Refusal, SequenceId, Stage};

/// An engine whose sequences carry a value `T` of the caller.
#[derive(Debug)]
pub struct Engine<T> {
    rates: Rates,
    kv: KvPool,
    waiting: VecDeque<Sequence<T>>,
    running: Vec<Sequence<T>>,
    step_ends: Option<Duration>,
    next_id: u64,
    stats: Stats,
}

impl<T> Engine<T> {
    /// An idle engine.
    pub fn new(rates: Rates) -> Self {
        let kv = KvPool::new(rates.kv_blocks());
        let (waiting, running) = (VecDeque::new(), Vec::new());
        Self {
            rates,
            kv,
            waiting,
            running,
            step_ends: None,
            next_id: 0,
            stats: Stats::default(),
        }
    }

    /// Puts a job at the end of the queue; an idle engine starts a step with it at `now`. Call [`Engine::advance`] with
    /// the same `now` before.
    ///
    /// # Errors
    /// [`Refusal`] when the job can never run.
    pub fn submit(&mut self, now: Duration, job: Job, tag: T) -> Result<SequenceId, Refusal> {
        let limit = self.kv.capacity() * BLOCK_TOKENS;
        if job.prompt.saturating_add(job.output) > limit {
            return Err(Refusal::TooLong { limit });
        }
        self.next_id += 1;
        self.stats.arrived += 1;
        self.waiting
            .push_back(Sequence::new(self.next_id, now, job, tag));
        if self.step_ends.is_none() {
            self.begin_step(now);
        }
        Ok(SequenceId(self.next_id))
    }

    /// Takes a sequence out, wherever it is.
    pub fn cancel(&mut self, id: SequenceId) -> Cancelled {
        if let Some(at) = self.waiting.iter().position(|s| s.id == id.0) {
            self.waiting.remove(at);
            self.stats.cancelled += 1;
            return Cancelled::Waiting;
        }
        match self
            .running
            .iter_mut()
            .find(|s| s.id == id.0 && s.phase != Phase::Cancelled)
        {
            Some(sequence) => {
                sequence.phase = Phase::Cancelled;
                self.stats.cancelled += 1;
                Cancelled::Running
            }
            None => Cancelled::Unknown,
        }
    }

    /// Runs every step that ends at or before `now`, reporting each sequence that moved on, and begins the next. Steps
    /// follow each other without a gap however late the caller is.
    pub fn advance(&mut self, now: Duration, mut report: impl FnMut(&T, Progress)) {
        while let Some(ends) = self.step_ends.filter(|ends| *ends <= now) {
            self.end_step(ends, &mut report);
            self.begin_step(ends);
        }
    }

    /// When the step in progress ends; `None` while idle.
    pub fn next_at(&self) -> Option<Duration> {
        self.step_ends
    }

    /// The load as it is now. Cancelled sequences count until their step ends.
    pub fn load(&self) -> Load {
        Load {
            running: self.running.len(),
            waiting: self.waiting.len(),
            kv_used: self.kv.used(),
            kv_blocks: self.kv.capacity(),
        }
    }

    /// Totals since the engine was made.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    fn begin_step(&mut self, now: Duration) {
        self.grow_memory();
        self.admit(now);
        if self.running.is_empty() {
            self.step_ends = None;
            return;
        }
        let (mut decoding, mut context, mut prefill) = (0, 0, 0);
        for sequence in self.running.iter().filter(|s| s.phase == Phase::Decoding) {
            decoding += 1;
            context += u64::from(sequence.context());
        }
        let mut budget = self.rates.step_tokens.saturating_sub(decoding as u32);
        for sequence in self
            .running
            .iter_mut()
            .filter(|s| s.phase == Phase::Prefill)
        {
            let chunk = sequence.to_compute.min(budget);
            sequence.to_compute -= chunk;
            budget -= chunk;
            prefill += chunk;
        }
        self.stats.steps += 1;
        self.step_ends = Some(now + self.rates.step(decoding, context, prefill));
    }

    /// Gives every decoding sequence the room for its next token, at the cost of those admitted last.
    fn grow_memory(&mut self) {
        let mut at = 0;
        while at < self.running.len() {
            let sequence = &mut self.running[at];
            let grown = match sequence.phase {
                Phase::Decoding if sequence.next_token_needs_a_block() => {
                    self.kv.grow(&mut sequence.held)
                }
                _ => Ok(()),
            };
            if grown.is_ok() {
                at += 1;
            } else if let Some(mut last) = self.running.pop() {
                self.kv.release(std::mem::take(&mut last.held));
                last.phase = Phase::Waiting;
                self.stats.preempted += 1;
                self.waiting.push_front(last);
            }
        }
    }

    fn admit(&mut self, now: Duration) {
        while self.running.len() < self.rates.max_running {
            let Some(next) = self.waiting.front_mut() else {
                return;
            };
            // The hundredth part that stays free keeps a full engine from preempting what it has just admitted.
            let reserve = if self.running.is_empty() {
                0
            } else {
                self.kv.capacity() / 100
            };
            let Some((held, hits)) =
                self.kv
                    .admit(next.full_blocks(), next.blocks_needed(), reserve)
            else {
                return;
            };
            next.admit(held, hits);
            if let Some(mut admitted) = self.waiting.pop_front() {
                if admitted.first_admission(now) {
                    self.stats
                        .queued
                        .record(now.saturating_sub(admitted.arrived));
                    self.stats.prompt_tokens += u64::from(admitted.prompt);
                    self.stats.cached_tokens += u64::from(admitted.cached);
                }
                self.running.push(admitted);
            }
        }
    }

    fn end_step(&mut self, at: Duration, report: &mut impl FnMut(&T, Progress)) {
        let (kv, stats) = (&mut self.kv, &mut self.stats);
        self.running.retain_mut(|sequence| {
            if sequence.phase == Phase::Prefill && sequence.to_compute == 0 {
                sequence.publish(kv);
                sequence.phase = Phase::Computed;
            }
            let stage = sequence.emit(at, stats);
            if let Some(stage) = stage {
                report(&sequence.tag, sequence.progress(at, stage));
            }
            let leaves = sequence.phase == Phase::Cancelled || stage == Some(Stage::Finished);
            if leaves {
                if sequence.phase != Phase::Cancelled {
                    sequence.publish(kv);
                }
                kv.release(std::mem::take(&mut sequence.held));
            }
            !leaves
        });
    }
}
