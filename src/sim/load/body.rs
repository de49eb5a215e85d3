//! Request bodies for each API.

use serde_json::{Value, json};

use crate::sim::server::Api;
use crate::sim::text::{self, TOKEN_BYTES};

use super::schedule::{Item, Prompt};

/// What the bodies of one run have in common.
#[derive(Debug, Clone)]
pub(super) struct Shape {
    /// The API of the path; paths that are none get the body of chat.
    pub(super) api: Api,
    pub(super) model: String,
    pub(super) stream: bool,
}

/// Bytes that a single user message has around it in the text that the simulated engine counts.
const CHAT_FRAME: usize = "user: \nassistant: ".len();

impl Shape {
    /// The body of a request.
    pub(super) fn body(&self, item: &Item) -> Value {
        let mut body = json!({"model": self.model});
        match self.api {
            Api::Completions => body["prompt"] = text_of(&item.prompt, 0).into(),
            Api::Embeddings => body["input"] = text_of(&item.prompt, 0).into(),
            Api::Responses => body["input"] = text_of(&item.prompt, CHAT_FRAME).into(),
            Api::Chat | Api::Messages => body["messages"] = messages_of(&item.prompt),
        }
        if self.api == Api::Embeddings {
            return body;
        }
        let limit = if self.api == Api::Responses {
            "max_output_tokens"
        } else {
            "max_tokens"
        };
        if let Some(output) = item.output {
            body[limit] = output.into();
            // vLLM and SGLang generate on to the limit with it.
            body["ignore_eos"] = true.into();
        } else if self.api == Api::Messages {
            body[limit] = 1024.into();
        }
        if self.stream {
            body["stream"] = true.into();
            if matches!(self.api, Api::Chat | Api::Completions) {
                body["stream_options"] = json!({"include_usage": true});
            }
        }
        body
    }
}

fn text_of(prompt: &Prompt, frame: usize) -> String {
    match prompt {
        Prompt::Words { seed, tokens } => {
            let mut words = text::words(*seed, *tokens);
            // The frame is part of the count, so that the engine sees exactly the tokens asked for.
            words.truncate(
                (*tokens as usize * TOKEN_BYTES)
                    .saturating_sub(frame)
                    .max(1),
            );
            words
        }
        Prompt::Text(text) => text.clone(),
        Prompt::Messages(messages) => {
            let contents = messages
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|message| message["content"].as_str());
            contents.collect::<Vec<_>>().join("\n")
        }
    }
}

fn messages_of(prompt: &Prompt) -> Value {
    match prompt {
        Prompt::Messages(messages) => messages.clone(),
        other => json!([{"role": "user", "content": text_of(other, CHAT_FRAME)}]),
    }
}
