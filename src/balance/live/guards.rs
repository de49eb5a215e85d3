//! What a request takes from a peer, as values whose drop gives it back.

use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use super::Live;

/// One request in flight.
#[derive(Debug)]
pub(in crate::balance) struct Seat(Arc<Live>);

impl Seat {
    /// Takes a seat unless `max` are taken; the check and the taking are one step.
    pub(in crate::balance) fn take(live: &Arc<Live>, max: Option<u32>) -> Option<Self> {
        let max = max.unwrap_or(u32::MAX);
        live.in_flight
            .fetch_update(Relaxed, Relaxed, |taken| (taken < max).then(|| taken + 1))
            .ok()?;
        Some(Self(Arc::clone(live)))
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Relaxed);
    }
}

/// The right to be the one trial request of a half-open peer.
#[derive(Debug)]
pub(in crate::balance) struct Trial(Arc<Live>);

impl Trial {
    /// Takes the right if nobody has it.
    pub(in crate::balance) fn take(live: &Arc<Live>) -> Option<Self> {
        live.trial
            .compare_exchange(false, true, Acquire, Relaxed)
            .ok()?;
        Some(Self(Arc::clone(live)))
    }
}

impl Drop for Trial {
    fn drop(&mut self) {
        self.0.trial.store(false, Release);
    }
}

/// Tokens a request has put on a peer and not yet taken off again.
#[derive(Debug)]
pub(in crate::balance) struct Charge {
    live: Arc<Live>,
    prompt: u64,
    output: u64,
    floor: u64,
}

impl Charge {
    /// Charges the peer with `prompt` + `output` tokens, at most 2^32 each so that no sum overflows.
    pub(in crate::balance) fn put(live: &Arc<Live>, prompt: u64, output: u64) -> Self {
        let (prompt, output) = (prompt.min(1 << 32), output.min(1 << 32));
        live.queued_tokens.fetch_add(prompt + output, Relaxed);
        Self {
            live: Arc::clone(live),
            prompt,
            output,
            floor: output.div_ceil(20),
        }
    }

    /// Takes the prompt off.
    pub(in crate::balance) fn prompt_done(&mut self) {
        let prompt = std::mem::take(&mut self.prompt);
        if prompt > 0 {
            self.live.queued_tokens.fetch_sub(prompt, Relaxed);
        }
    }

    /// Takes output off until `left` remain, or a twentieth of what was charged.
    pub(in crate::balance) fn output_left(&mut self, left: u64) {
        let left = left.max(self.floor);
        if left < self.output {
            self.live
                .queued_tokens
                .fetch_sub(self.output - left, Relaxed);
            self.output = left;
        }
    }

    /// Tokens still charged.
    pub(in crate::balance) fn tokens(&self) -> u64 {
        self.prompt + self.output
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.live.queued_tokens.fetch_sub(self.tokens(), Relaxed);
    }
}
