//! Anthropic messages.

use serde_json::{Value, json};

use super::{Events, Finish, Form, Identity, Outcome, TEXT, Template};

pub(super) struct Messages {
    who: Identity,
    token: Template,
}

impl Messages {
    pub(super) fn new(who: Identity) -> Self {
        let who = Identity {
            id: format!("msg_{}", who.id),
            ..who
        };
        let delta = json!({"type": "text_delta", "text": TEXT});
        let token =
            Template::new(&json!({"type": "content_block_delta", "index": 0, "delta": delta}));
        Self { who, token }
    }

    fn message(&self, content: Value, stop: Option<&str>, usage: Value) -> Value {
        json!({
            "id": self.who.id, "type": "message", "role": "assistant", "model": self.who.model,
            "content": content, "stop_reason": stop, "stop_sequence": null, "usage": usage,
        })
    }
}

fn stop_reason(finish: Finish) -> &'static str {
    match finish {
        Finish::Stop => "end_turn",
        Finish::Length => "max_tokens",
        Finish::Filtered => "refusal",
    }
}

/// Anthropic counts cached tokens beside the others, not among them.
fn usage(outcome: &Outcome, output: u32) -> Value {
    json!({
        "input_tokens": outcome.prompt.saturating_sub(outcome.cached),
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": outcome.cached,
        "output_tokens": output,
    })
}

impl Form for Messages {
    fn begin(&mut self, events: &mut Events, outcome: &Outcome) {
        let message = self.message(json!([]), None, usage(outcome, 1));
        events.typed(&json!({"type": "message_start", "message": message}));
        let block = json!({"type": "text", "text": ""});
        events.typed(&json!({"type": "content_block_start", "index": 0, "content_block": block}));
        events.typed(&json!({"type": "ping"}));
    }

    fn token(&mut self, events: &mut Events, text: &str) {
        events.event(
            "content_block_delta",
            &[&self.token.before, text, &self.token.after],
        );
    }

    fn end(&mut self, events: &mut Events, _: &str, outcome: &Outcome) {
        events.typed(&json!({"type": "content_block_stop", "index": 0}));
        events.typed(&json!({
            "type": "message_delta",
            "delta": {"stop_reason": stop_reason(outcome.finish), "stop_sequence": null},
            "usage": {"output_tokens": outcome.output},
        }));
        events.typed(&json!({"type": "message_stop"}));
    }

    fn whole(&self, text: &str, outcome: &Outcome) -> Value {
        let content = json!([{"type": "text", "text": text}]);
        self.message(
            content,
            Some(stop_reason(outcome.finish)),
            usage(outcome, outcome.output),
        )
    }
}
