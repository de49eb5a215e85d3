//! OpenAI chat completions.

use serde_json::{Value, json};

use super::{Events, Form, Identity, Outcome, TEXT, Template, close, finish_reason, usage};

pub(super) struct Chat {
    who: Identity,
    include_usage: bool,
    token: Template,
}

impl Chat {
    pub(super) fn new(who: Identity, include_usage: bool) -> Self {
        let who = Identity {
            id: format!("chatcmpl-{}", who.id),
            ..who
        };
        let token = Template::new(&chunk(&who, json!({"content": TEXT}), None));
        Self {
            who,
            include_usage,
            token,
        }
    }
}

fn chunk(who: &Identity, delta: Value, finish: Option<&str>) -> Value {
    json!({
        "id": who.id, "object": "chat.completion.chunk", "created": who.created, "model": who.model,
        "choices": [{"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish}],
    })
}

impl Form for Chat {
    fn begin(&mut self, events: &mut Events, _: &Outcome) {
        events.event(
            "",
            &[&chunk(&self.who, json!({"role": "assistant", "content": ""}), None).to_string()],
        );
    }

    fn token(&mut self, events: &mut Events, text: &str) {
        events.event("", &[&self.token.before, text, &self.token.after]);
    }

    fn end(&mut self, events: &mut Events, _: &str, outcome: &Outcome) {
        let last = chunk(&self.who, json!({}), Some(finish_reason(outcome.finish)));
        close(events, last, self.include_usage, outcome);
    }

    fn whole(&self, text: &str, outcome: &Outcome) -> Value {
        json!({
            "id": self.who.id, "object": "chat.completion", "created": self.who.created, "model": self.who.model,
            "choices": [{
                "index": 0,
                "message": {"role": "assistant", "content": text, "refusal": null},
                "logprobs": null,
                "finish_reason": finish_reason(outcome.finish),
            }],
            "usage": usage(outcome),
        })
    }
}
