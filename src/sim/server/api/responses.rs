//! OpenAI responses.

use serde_json::{Value, json};

use super::{Events, Finish, Form, Identity, Outcome, TEXT, Template};

pub(super) struct Responses {
    who: Identity,
    item: String,
    sequence: u64,
    token: Template,
}

impl Responses {
    pub(super) fn new(who: Identity) -> Self {
        let item = format!("msg_{}", who.id);
        let who = Identity {
            id: format!("resp_{}", who.id),
            ..who
        };
        let token = Template::new(&json!({
            "type": "response.output_text.delta", "item_id": item, "output_index": 0, "content_index": 0,
            "logprobs": [], "delta": TEXT,
        }));
        Self {
            who,
            item,
            sequence: 0,
            token,
        }
    }

    fn response(&self, status: &str, output: Value, outcome: Option<&Outcome>) -> Value {
        let cut = match outcome.map(|outcome| outcome.finish) {
            Some(Finish::Length) => Some("max_output_tokens"),
            Some(Finish::Filtered) => Some("content_filter"),
            Some(Finish::Stop) | None => None,
        };
        let usage = outcome.map(|outcome| {
            json!({
                "input_tokens": outcome.prompt,
                "input_tokens_details": {"cached_tokens": outcome.cached},
                "output_tokens": outcome.output,
                "output_tokens_details": {"reasoning_tokens": 0},
                "total_tokens": outcome.prompt + outcome.output,
            })
        });
        json!({
            "id": self.who.id, "object": "response", "created_at": self.who.created, "status": status,
            "error": null, "incomplete_details": cut.map(|reason| json!({"reason": reason})),
            "instructions": null, "metadata": {}, "model": self.who.model, "output": output,
            "parallel_tool_calls": true, "temperature": 1.0, "tool_choice": "auto", "tools": [], "top_p": 1.0,
            "usage": usage,
        })
    }

    fn part(text: &str) -> Value {
        json!({"type": "output_text", "text": text, "annotations": [], "logprobs": []})
    }

    fn message(&self, status: &str, content: Value) -> Value {
        json!({"id": self.item, "type": "message", "status": status, "role": "assistant", "content": content})
    }

    fn send(&mut self, events: &mut Events, mut event: Value) {
        event["sequence_number"] = self.sequence.into();
        self.sequence += 1;
        events.typed(&event);
    }
}

fn status(outcome: &Outcome) -> &'static str {
    match outcome.finish {
        Finish::Stop => "completed",
        Finish::Length | Finish::Filtered => "incomplete",
    }
}

impl Form for Responses {
    fn begin(&mut self, events: &mut Events, _: &Outcome) {
        let response = self.response("in_progress", json!([]), None);
        self.send(
            events,
            json!({"type": "response.created", "response": response}),
        );
        self.send(
            events,
            json!({"type": "response.in_progress", "response": response}),
        );
        let item = self.message("in_progress", json!([]));
        self.send(
            events,
            json!({"type": "response.output_item.added", "output_index": 0, "item": item}),
        );
        self.send(
            events,
            json!({
                "type": "response.content_part.added", "item_id": self.item, "output_index": 0, "content_index": 0,
                "part": Self::part(""),
            }),
        );
    }

    fn token(&mut self, events: &mut Events, text: &str) {
        // The template ends with the closing brace of the event; the number goes before it.
        let after = self.token.after.trim_end_matches('}');
        let number = format!(",\"sequence_number\":{}}}", self.sequence);
        self.sequence += 1;
        events.event(
            "response.output_text.delta",
            &[&self.token.before, text, after, &number],
        );
    }

    fn end(&mut self, events: &mut Events, text: &str, outcome: &Outcome) {
        let place = json!({"item_id": self.item, "output_index": 0, "content_index": 0});
        let mut done = place.clone();
        done["type"] = "response.output_text.done".into();
        done["text"] = text.into();
        done["logprobs"] = json!([]);
        self.send(events, done);
        let mut part = place;
        part["type"] = "response.content_part.done".into();
        part["part"] = Self::part(text);
        self.send(events, part);
        let item = self.message(status(outcome), json!([Self::part(text)]));
        self.send(
            events,
            json!({"type": "response.output_item.done", "output_index": 0, "item": item}),
        );
        let response = self.response(status(outcome), json!([item]), Some(outcome));
        self.send(
            events,
            json!({"type": format!("response.{}", status(outcome)), "response": response}),
        );
    }

    fn whole(&self, text: &str, outcome: &Outcome) -> Value {
        let item = self.message(status(outcome), json!([Self::part(text)]));
        self.response(status(outcome), json!([item]), Some(outcome))
    }
}
