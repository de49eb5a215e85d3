//! What a meter knows of the answer so far.

use std::sync::Arc;

use super::super::endpoint::Endpoint;
use super::super::finish::Finish;
use super::super::sse::SseEvent;
use super::super::usage::{Reported, Usage};
use super::super::wire::{Chunk, MessageEvent, ResponseEvent, ResponseObject, read};
use super::Progress;
use super::alike::Alike;
use crate::util::names::shared;

/// Choices whose ends are followed; an answer with more is never called complete.
const MAX_CHOICES: usize = 4096;

/// Longest name (model, finish reason) that is kept, in bytes.
const MAX_NAME: usize = 256;

#[derive(Debug)]
pub(super) struct State {
    endpoint: Endpoint,
    reported: Reported,
    /// Output tokens of the last report that counts them so far.
    output_reported: u64,
    /// Content events since that report.
    events_since: u64,
    /// Output tokens handed out as progress.
    counted: u64,
    has_content: bool,
    choices: Vec<ChoiceState>,
    pub(super) finish: Option<Finish>,
    pub(super) reason: Option<Arc<str>>,
    pub(super) model: Option<Arc<str>>,
    pub(super) ended: bool,
    pub(super) failed: bool,
    /// Events that are not what this endpoint sends.
    unread: u64,
    alike: Alike,
}

/// What an event that was read did.
#[derive(Debug, PartialEq, Eq)]
enum Brought {
    /// One text, and nothing that the same event would do again.
    Text,
    /// Anything else.
    More,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ChoiceState {
    Unseen,
    Open,
    Done,
}

impl State {
    pub(super) fn new(endpoint: Endpoint) -> Self {
        Self {
            endpoint,
            reported: Reported::default(),
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
            alike: Alike::new(),
        }
    }

    #[cfg(test)]
    pub(super) fn read_all(&mut self) {
        self.alike = Alike::never();
    }

    #[cfg(test)]
    pub(super) fn unread(&self) -> u64 {
        self.unread
    }

    /// Its output tokens are the meter's own count, which goes on after the last report.
    pub(super) fn usage(&self) -> Option<Usage> {
        let reported = self.reported.usage(self.endpoint.dialect())?;
        Some(Usage {
            output_tokens: self.output_tokens(),
            ..reported
        })
    }

    pub(super) fn complete(&self) -> bool {
        self.ended
            && !self.failed
            && self.unread == 0
            && !self.choices.contains(&ChoiceState::Open)
            && self.finish.is_some_and(Finish::is_proper)
    }

    pub(super) fn progress(&mut self, read: impl FnOnce(&mut Self)) -> Progress {
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

    pub(super) fn output_tokens(&self) -> u64 {
        self.output_reported.saturating_add(self.events_since)
    }

    pub(super) fn event(&mut self, event: SseEvent<'_>) {
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
        if self.alike.knows(data) {
            self.content();
            return;
        }
        let read = match self.endpoint {
            Endpoint::ChatCompletions | Endpoint::Completions => self.chunk(data),
            Endpoint::Messages => self.message_event(data),
            Endpoint::Responses => self.response_event(data),
            Endpoint::Embeddings => None,
        };
        self.unread += u64::from(read.is_none());
        if read == Some(Brought::Text) {
            self.alike.learn(data);
        }
    }

    fn chunk(&mut self, data: &[u8]) -> Option<Brought> {
        let chunk: Chunk<'_> = read(data).ok()?;
        self.failed |= chunk.error.0;
        if let Some(model) = &chunk.model {
            self.see_model(&model.0);
        }
        let mut brought = match chunk.choices.as_deref() {
            Some([choice]) if choice.has_content() => Brought::Text,
            _ => Brought::More,
        };
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
                brought = Brought::More;
                self.choices[index] = ChoiceState::Done;
                self.see_finish(Finish::of_reason(reason), reason);
            }
        }
        if let Some(usage) = chunk.usage() {
            brought = Brought::More;
            if let Some(report) = Reported::parse(usage) {
                self.see_report(report);
            }
        }
        Some(brought)
    }

    fn message_event(&mut self, data: &[u8]) -> Option<Brought> {
        let event: MessageEvent<'_> = read(data).ok()?;
        match &*event.kind.0 {
            "message_start" => {
                self.restart();
                let head = event.message?;
                if let Some(model) = &head.model {
                    self.see_model(&model.0);
                }
                // Its output count is a placeholder, so only the input is taken from here.
                if let Some(report) = head.usage.and_then(Reported::parse) {
                    self.reported.update(report);
                }
            }
            "content_block_delta" if event.delta.as_ref()?.has_content() => {
                self.content();
                return Some(Brought::Text);
            }
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
        Some(Brought::More)
    }

    fn response_event(&mut self, data: &[u8]) -> Option<Brought> {
        let event: ResponseEvent<'_> = read(data).ok()?;
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
        Some(Brought::More)
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
            self.model = Some(shared(model));
        }
    }

    fn see_finish(&mut self, finish: Finish, reason: &str) {
        if self.finish.is_none_or(|worst| finish > worst) {
            self.finish = Some(finish);
            self.reason = (reason.len() <= MAX_NAME).then(|| shared(reason));
        }
    }

    fn see_report(&mut self, report: Reported) {
        if let Some(output) = report.output_tokens() {
            self.output_reported = output;
            self.events_since = 0;
        }
        self.reported.update(report);
    }
}
