//! Reads a streamed answer as it passes: tokens so far, usage, and whether it ended as it should.
//!
//! The meter sees every byte that goes to the client and changes none. One content event counts one output token until
//! the server reports usage; from then on the report counts, plus what came after it.

mod alike;
mod state;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use state::State;

use super::endpoint::Endpoint;
use super::finish::Finish;
use super::sse::{MAX_EVENT_BYTES, SseSplitter};
use super::usage::Usage;

/// What one chunk brought.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Output tokens not counted before. Their sum is never less than [`StreamMeter::output_tokens`], and more where
    /// events turned out to be fewer tokens than were counted for them.
    pub new_output_tokens: u64,
    /// This chunk brought the first content.
    pub first_content: bool,
}

/// Follows one streamed answer.
#[derive(Debug)]
pub struct StreamMeter {
    splitter: SseSplitter,
    state: State,
}

impl StreamMeter {
    /// A meter at the start of an answer of `endpoint`.
    pub fn new(endpoint: Endpoint) -> Self {
        Self {
            splitter: SseSplitter::new(MAX_EVENT_BYTES),
            state: State::new(endpoint),
        }
    }

    /// A meter that reads each event in full, however alike they are.
    #[cfg(test)]
    pub(in crate::llm) fn thorough(endpoint: Endpoint) -> Self {
        let mut meter = Self::new(endpoint);
        meter.state.read_all();
        meter
    }

    /// Reads the next chunk.
    pub fn push(&mut self, chunk: &[u8]) -> Progress {
        let Self { splitter, state } = self;
        state.progress(|state| splitter.push(chunk, |event| state.event(event)))
    }

    /// Reads what is left when the stream has ended: a last event without its blank line.
    pub fn end(&mut self) -> Progress {
        let Self { splitter, state } = self;
        state.progress(|state| splitter.finish(|event| state.event(event)))
    }

    /// Output tokens so far: as reported, plus one for each content event since.
    pub fn output_tokens(&self) -> u64 {
        self.state.output_tokens()
    }

    /// Usage so far; `None` until the server reported any. Its output tokens are [`Self::output_tokens`].
    pub fn usage(&self) -> Option<Usage> {
        self.state.usage()
    }

    /// How it ended; of several choices the worst end. `None` until one did.
    pub fn finish(&self) -> Option<Finish> {
        self.state.finish
    }

    /// The server's word for [`Self::finish`]. The Responses API has none; there it is `stop`, `tool_calls`, the reason
    /// for being incomplete, or the status.
    pub fn finish_reason(&self) -> Option<&Arc<str>> {
        self.state.reason.as_ref()
    }

    /// The model that answers, by its own word.
    pub fn model(&self) -> Option<&Arc<str>> {
        self.state.model.as_ref()
    }

    /// The answer is whole: its terminal event came, every choice ended properly, all of it could be read, and no error
    /// came. A cut by a token limit is whole too; [`Finish::is_natural`] tells.
    pub fn complete(&self) -> bool {
        self.splitter.skipped() == 0 && self.state.complete()
    }

    /// The server sent an error in the stream.
    pub fn failed(&self) -> bool {
        self.state.failed
    }

    /// The terminal event came: nothing more is to be expected.
    pub fn ended(&self) -> bool {
        self.state.ended
    }

    /// What must be sent to the client before a further event; see [`SseSplitter::closing`].
    pub fn closing(&self) -> &'static [u8] {
        self.splitter.closing()
    }
}
