//! OpenAI completions.

use serde_json::{Value, json};

use super::{Events, Form, Identity, Outcome, TEXT, Template, close, finish_reason, usage};

pub(super) struct Completions {
    who: Identity,
    include_usage: bool,
    token: Template,
}

impl Completions {
    pub(super) fn new(who: Identity, include_usage: bool) -> Self {
        let who = Identity {
            id: format!("cmpl-{}", who.id),
            ..who
        };
        let token = Template::new(&document(&who, TEXT, None));
        Self {
            who,
            include_usage,
            token,
        }
    }
}

fn document(who: &Identity, text: &str, finish: Option<&str>) -> Value {
    json!({
        "id": who.id, "object": "text_completion", "created": who.created, "model": who.model,
        "choices": [{"index": 0, "text": text, "logprobs": null, "finish_reason": finish}],
    })
}

impl Form for Completions {
    fn begin(&mut self, _: &mut Events, _: &Outcome) {}

    fn token(&mut self, events: &mut Events, text: &str) {
        events.event("", &[&self.token.before, text, &self.token.after]);
    }

    fn end(&mut self, events: &mut Events, _: &str, outcome: &Outcome) {
        let last = document(&self.who, "", Some(finish_reason(outcome.finish)));
        close(events, last, self.include_usage, outcome);
    }

    fn whole(&self, text: &str, outcome: &Outcome) -> Value {
        let mut whole = document(&self.who, text, Some(finish_reason(outcome.finish)));
        whole["usage"] = usage(outcome);
        whole
    }
}
