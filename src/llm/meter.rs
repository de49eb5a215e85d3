//! Reads a streamed answer as it passes: tokens so far, usage, and whether it ended as it should.
//!
//! The meter sees every byte that goes to the client and changes none. One content event counts one output token until
//! the server reports usage; from then on the report counts, plus what came after it.

#[cfg(test)]
mod tests;

use super::endpoint::Endpoint;
use super::finish::Finish;
use super::sse::{MAX_EVENT_BYTES, SseEvent, SseSplitter};
use super::usage::{Reported, Usage};
use super::wire::{Chunk, MessageEvent, ResponseEvent, ResponseObject};

/// Choices whose ends are followed; an answer with more is never called complete.
const MAX_CHOICES: usize = 4096;

/// Longest name (model, finish reason) that is kept, in bytes.
const MAX_NAME: usize = 256;

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

#[derive(Debug)]
struct State {
    endpoint: Endpoint,
    reported: Reported,
    has_report: bool,
    /// Output tokens of the last report that counts them so far.
    output_reported: u64,
    /// Content events since that report.
    events_since: u64,
    /// Output tokens handed out as progress.
    counted: u64,
    has_content: bool,
    choices: Vec<ChoiceState>,
    finish: Option<Finish>,
    reason: Option<String>,
    model: Option<String>,
    ended: bool,
    failed: bool,
    /// Events that are not what this endpoint sends.
    unread: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ChoiceState {
    Unseen,
    Open,
    Done,
}

impl StreamMeter {
    /// A meter at the start of an answer of `endpoint`.
    pub fn new(endpoint: Endpoint) -> Self {
        let state = State {
            endpoint,
            reported: Reported::default(),
            has_report: false,
            output_reported: 0,
            events_since: 0,
            counted: 0,
            has_content: false,
            choices: Vec::new(),
            finish: None,
            reason: None,
            model: None,
            ended: false,
            failed: false,
            unread: 0,
        };
        Self {
            splitter: SseSplitter::new(MAX_EVENT_BYTES),
            state,
        }
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
        let reported = self.state.reported.usage(self.state.endpoint.dialect())?;
        self.state.has_report.then_some(Usage {
            output_tokens: self.output_tokens(),
            ..reported
        })
    }

    /// How it ended; of several choices the worst end. `None` until one did.
    pub fn finish(&self) -> Option<Finish> {
        self.state.finish
    }

    /// The server's word for [`Self::finish`]. The Responses API has none; there it is `stop`, `tool_calls`, the reason
    /// for being incomplete, or the status.
    pub fn finish_reason(&self) -> Option<&str> {
        self.state.reason.as_deref()
    }

    /// The model that answers, by its own word.
    pub fn model(&self) -> Option<&str> {
        self.state.model.as_deref()
    }

    /// The answer is whole: its terminal event came, every choice ended properly, all of it could be read, and no error
    /// came. A cut by a token limit is whole too; [`Finish::is_natural`] tells.
    pub fn complete(&self) -> bool {
        let state = &self.state;
        state.ended
            && !state.failed
            && state.unread == 0
            && self.splitter.skipped() == 0
            && !state.choices.contains(&ChoiceState::Open)
            && state.finish.is_some_and(Finish::is_proper)
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

impl State {
    fn progress(&mut self, read: impl FnOnce(&mut Self)) -> Progress {
        let had_content = self.has_content;
        read(self);
        let output_tokens = self.output_tokens();
        let new_output_tokens = output_tokens.saturating_sub(self.counted);
        self.counted = self.counted.max(output_tokens);
        Progress {
            new_output_tokens,
            first_content: self.has_content && !had_content,
        }
    }

    fn output_tokens(&self) -> u64 {
        self.output_reported.saturating_add(self.events_since)
    }

    fn event(&mut self, event: SseEvent<'_>) {
        let data = event.data.trim_ascii();
        if data == b"[DONE]" {
            // The other two end by events of their own; some servers say this as well.
            self.ended |= matches!(
                self.endpoint,
                Endpoint::ChatCompletions | Endpoint::Completions
            );
            return;
        }
        self.failed |= event.event == Some("error");
        let read = match self.endpoint {
            Endpoint::ChatCompletions | Endpoint::Completions => self.chunk(data),
            Endpoint::Messages => self.message_event(data),
            Endpoint::Responses => self.response_event(data),
            Endpoint::Embeddings => None,
        };
        self.unread += u64::from(read.is_none());
    }

    fn chunk(&mut self, data: &[u8]) -> Option<()> {
        let chunk: Chunk<'_> = serde_json::from_slice(data).ok()?;
        self.failed |= chunk.error.0;
        if let Some(model) = &chunk.model {
            self.see_model(&model.0);
        }
        for choice in chunk.choices.iter().flatten() {
            let index = choice.index.unwrap_or(0);
            if index >= MAX_CHOICES {
                return None;
            }
            if index >= self.choices.len() {
                self.choices.resize(index + 1, ChoiceState::Unseen);
            }
            if self.choices[index] == ChoiceState::Unseen {
                self.choices[index] = ChoiceState::Open;
            }
            if choice.has_content() {
                self.content();
            }
            if let Some(reason) = choice.reason() {
                self.choices[index] = ChoiceState::Done;
                self.see_finish(Finish::of_reason(reason), reason);
            }
        }
        if let Some(report) = chunk.usage().and_then(Reported::parse) {
            self.see_report(report);
        }
        Some(())
    }

    fn message_event(&mut self, data: &[u8]) -> Option<()> {
        let event: MessageEvent<'_> = serde_json::from_slice(data).ok()?;
        match &*event.kind.0 {
            "message_start" => {
                self.restart();
                let head = event.message?;
                if let Some(model) = &head.model {
                    self.see_model(&model.0);
                }
                // Its output count is a placeholder, so only the input is taken from here.
                if let Some(report) = head.usage.and_then(Reported::parse) {
                    self.has_report = true;
                    self.reported.update(report);
                }
            }
            "content_block_delta" if event.delta.as_ref()?.has_content() => self.content(),
            "message_delta" => {
                if let Some(reason) = event
                    .delta
                    .as_ref()
                    .and_then(|delta| delta.stop_reason.as_ref())
                {
                    self.see_finish(Finish::of_reason(&reason.0), &reason.0);
                }
                if let Some(report) = event.usage.and_then(Reported::parse) {
                    self.see_report(report);
                }
            }
            "message_stop" => self.ended = true,
            "error" => self.failed = true,
            _ => {}
        }
        Some(())
    }

    fn response_event(&mut self, data: &[u8]) -> Option<()> {
        let event: ResponseEvent<'_> = serde_json::from_slice(data).ok()?;
        let response = || serde_json::from_str::<ResponseObject<'_>>(event.response?.get()).ok();
        match &*event.kind.0 {
            "response.created" => {
                self.restart();
                if let Some(model) = response()?.model {
                    self.see_model(&model.0);
                }
            }
            "response.completed"
            | "response.incomplete"
            | "response.failed"
            | "response.cancelled" => {
                let response = response()?;
                self.ended = true;
                self.failed |= response.error.0 || &*event.kind.0 == "response.failed";
                if let Some(model) = &response.model {
                    self.see_model(&model.0);
                }
                if let Some((finish, reason)) = response.finish() {
                    self.see_finish(finish, reason);
                }
                if let Some(report) = response.usage.and_then(Reported::parse) {
                    self.see_report(report);
                }
            }
            "error" => self.failed = true,
            kind if kind.ends_with(".delta") && event.delta.0 => self.content(),
            _ => {}
        }
        Some(())
    }

    /// Some gateways splice two upstream answers into one stream; the last one counts.
    fn restart(&mut self) {
        self.finish = None;
        self.reason = None;
        self.ended = false;
    }

    fn content(&mut self) {
        self.has_content = true;
        self.events_since += 1;
    }

    fn see_model(&mut self, model: &str) {
        if self.model.is_none() && !model.is_empty() && model.len() <= MAX_NAME {
            self.model = Some(model.to_owned());
        }
    }

    fn see_finish(&mut self, finish: Finish, reason: &str) {
        if self.finish.is_none_or(|worst| finish > worst) {
            self.finish = Some(finish);
            self.reason = (reason.len() <= MAX_NAME).then(|| reason.to_owned());
        }
    }

    fn see_report(&mut self, report: Reported) {
        self.has_report = true;
        if let Some(output) = report.output_tokens() {
            self.output_reported = output;
            self.events_since = 0;
        }
        self.reported.update(report);
    }
}
