//! Reads answers as they come: which events carry text, what was used, whether the end was a proper one.

use serde_json::Value;

use crate::sim::server::Api;

/// What an answer has said so far.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Heard {
    /// Events that carried text.
    pub(super) texts: u64,
    /// Prompt tokens, as the answer counts them.
    pub(super) input: Option<u64>,
    /// Output tokens, as the answer counts them.
    pub(super) output: Option<u64>,
    pub(super) end: Ending,
}

/// How a stream has ended.
#[derive(Debug, Default, PartialEq, Eq, Clone, Copy)]
pub(super) enum Ending {
    /// It has not.
    #[default]
    Open,
    /// With the mark of its API.
    Proper,
    /// With an error event.
    Error,
}

/// Splits a stream into events, however its bytes are cut.
#[derive(Debug)]
pub(super) struct StreamReader {
    api: Api,
    partial: Vec<u8>,
    pub(super) heard: Heard,
}

impl StreamReader {
    pub(super) fn new(api: Api) -> Self {
        Self {
            api,
            partial: Vec::new(),
            heard: Heard::default(),
        }
    }

    /// Takes the next bytes.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let Some(line) = piece.strip_suffix(b"\n") else {
                self.partial.extend_from_slice(piece);
                continue;
            };
            if self.partial.is_empty() {
                self.line(line);
            } else {
                let mut whole = std::mem::take(&mut self.partial);
                whole.extend_from_slice(line);
                self.line(&whole);
                whole.clear();
                self.partial = whole;
            }
        }
    }

    fn line(&mut self, line: &[u8]) {
        let Some(data) = line.strip_prefix(b"data:") else {
            return;
        };
        let data = data.trim_ascii();
        if data == b"[DONE]" {
            self.heard.end = Ending::Proper;
        } else if let Ok(event) = serde_json::from_slice::<Value>(data) {
            self.heard.event(self.api, &event);
        }
    }
}

impl Heard {
    /// Reads a whole answer.
    pub(super) fn whole(answer: &Value) -> Self {
        let mut heard = Self {
            end: Ending::Proper,
            ..Self::default()
        };
        heard.usage(&answer["usage"]);
        heard
    }

    fn event(&mut self, api: Api, event: &Value) {
        let kind = event["type"].as_str().unwrap_or_default();
        if event["error"].is_object() || kind == "error" || kind == "response.failed" {
            self.end = Ending::Error;
            return;
        }
        let text = match api {
            Api::Chat | Api::Embeddings => &event["choices"][0]["delta"]["content"],
            Api::Completions => &event["choices"][0]["text"],
            Api::Messages => &event["delta"]["text"],
            Api::Responses => &event["delta"],
        };
        if text.as_str().is_some_and(|text| !text.is_empty()) {
            self.texts += 1;
        }
        self.usage(&event["usage"]);
        match kind {
            "message_start" => self.usage(&event["message"]["usage"]),
            "response.completed" | "response.incomplete" => {
                self.usage(&event["response"]["usage"]);
                self.end = Ending::Proper;
            }
            "message_stop" => self.end = Ending::Proper,
            _ => {}
        }
    }

    fn usage(&mut self, usage: &Value) {
        let number = |names: [&str; 2]| names.iter().find_map(|name| usage[name].as_u64());
        let cached = usage["cache_read_input_tokens"].as_u64().unwrap_or(0);
        self.input = number(["prompt_tokens", "input_tokens"])
            .map(|tokens| tokens + cached)
            .or(self.input);
        self.output = number(["completion_tokens", "output_tokens"]).or(self.output);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const CHAT: &str = concat!(
        "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n",
        "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\r\n\r\n",
        ": ping\n\n",
        "data:{\"choices\":[{\"delta\":{\"content\":\"b\\n\"}}]}\n\n",
        "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":2}}\n\n",
        "data: [DONE]\n\n",
    );

    #[test]
    fn an_error_event_is_no_proper_end() {
        let mut reader = StreamReader::new(Api::Chat);
        reader.push(b"data: {\"error\":{\"message\":\"gone\"}}\n\n");
        assert_eq!(reader.heard.end, Ending::Error);
    }

    #[test]
    fn anthropics_counts_are_found_where_they_are() {
        let mut reader = StreamReader::new(Api::Messages);
        reader.push(b"data: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":4,\"cache_read_input_tokens\":16,\"output_tokens\":1}}}\n");
        reader.push(b"data: {\"type\":\"content_block_delta\",\"delta\":{\"text\":\"x\"}}\n");
        reader.push(
            b"data: {\"type\":\"message_delta\",\"delta\":{},\"usage\":{\"output_tokens\":9}}\n",
        );
        assert_eq!(reader.heard.end, Ending::Open);
        reader.push(b"data: {\"type\":\"message_stop\"}\n");
        assert_eq!(
            reader.heard,
            Heard {
                texts: 1,
                input: Some(20),
                output: Some(9),
                end: Ending::Proper
            }
        );
    }

    proptest! {
        #[test]
        fn a_stream_says_the_same_however_it_is_cut(cuts in prop::collection::vec(0..CHAT.len(), 0..12)) {
            let (mut cuts, mut reader, mut from) = (cuts, StreamReader::new(Api::Chat), 0);
            cuts.sort_unstable();
            for cut in cuts.into_iter().chain([CHAT.len()]) {
                reader.push(&CHAT.as_bytes()[from..cut]);
                from = cut;
            }
            prop_assert_eq!(reader.heard, Heard { texts: 2, input: Some(7), output: Some(2), end: Ending::Proper });
        }
    }
}
