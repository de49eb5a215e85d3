//! Reads an answer to its end: when its text began, and what it was.

use std::time::{Duration, Instant};

use http::Response;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::Value;

/// Time to the first text, and all of the text.
pub(super) async fn stream(
    response: Response<Incoming>,
    start: Instant,
) -> Result<(Duration, String), String> {
    let mut body = response.into_body();
    let (mut first, mut events) = (None, Events::default());
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| format!("the stream broke off: {error}"))?;
        events.push(frame.data_ref().map_or(&[][..], |data| data));
        if !events.text.is_empty() {
            first.get_or_insert_with(|| start.elapsed());
        }
    }
    match events.done {
        true => Ok((first.unwrap_or_else(|| start.elapsed()), events.text)),
        false => Err("the stream ended without [DONE]".to_owned()),
    }
}

/// Time to the body, and its text: that of the answer, or of the error it tells.
pub(super) async fn json(
    response: Response<Incoming>,
    start: Instant,
) -> Result<(Duration, String), String> {
    let mut body = response.into_body();
    let mut first = None;
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| format!("the answer broke off: {error}"))?;
        first.get_or_insert_with(|| start.elapsed());
        bytes.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data));
    }
    let answer: Value =
        serde_json::from_slice(&bytes).map_err(|_| "the answer is no JSON".to_owned())?;
    let text = answer["choices"][0]["message"]["content"]
        .as_str()
        .or_else(|| answer["error"]["message"].as_str())
        .ok_or("the answer has no text")?;
    Ok((first.unwrap_or_else(|| start.elapsed()), text.to_owned()))
}

/// The text of a stream, however its bytes are cut.
#[derive(Debug, Default)]
struct Events {
    partial: Vec<u8>,
    text: String,
    done: bool,
}

impl Events {
    fn push(&mut self, bytes: &[u8]) {
        self.partial.extend_from_slice(bytes);
        while let Some(end) = self.partial.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.partial.drain(..=end).collect();
            let Some(data) = line.strip_prefix(b"data:").map(<[u8]>::trim_ascii) else {
                continue;
            };
            self.done |= data == b"[DONE]";
            if let Ok(event) = serde_json::from_slice::<Value>(data) {
                let text = event["choices"][0]["delta"]["content"].as_str();
                self.text.push_str(text.unwrap_or_default());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const STREAM: &str = concat!(
        "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n",
        "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\r\n\r\n: ping\n\n",
        "data:{\"choices\":[{\"delta\":{\"content\":\" b\"}}]}\n\ndata: [DONE]\n\n",
    );

    proptest! {
        #[test]
        fn a_stream_reads_the_same_however_it_is_cut(at in 0..STREAM.len()) {
            let mut events = Events::default();
            events.push(&STREAM.as_bytes()[..at]);
            events.push(&STREAM.as_bytes()[at..]);
            prop_assert_eq!((events.text.as_str(), events.done), ("a b", true));
        }
    }

    #[test]
    fn a_stream_without_its_mark_is_not_done() {
        let mut events = Events::default();
        events.push(&STREAM.as_bytes()[..STREAM.len() - "[DONE]\n\n".len()]);
        assert_eq!((events.text.as_str(), events.done), ("a b", false));
    }
}
