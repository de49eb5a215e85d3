//! Recorded exchanges with model APIs, of any endpoint, read from the folder of data.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use serde_json::Value;

/// What was sent and what came back.
pub struct Exchange {
    pub name: String,
    pub method: String,
    /// Path and query.
    pub target: String,
    pub request: Vec<u8>,
    pub status: u16,
    pub content_type: String,
    pub answer: Vec<u8>,
}

impl Exchange {
    pub fn streamed(&self) -> bool {
        self.content_type.starts_with("text/event-stream")
    }

    /// The answer cut behind each of its events.
    pub fn events(&self) -> Vec<&[u8]> {
        let mut events = Vec::new();
        let mut from = 0;
        for at in 1..self.answer.len() {
            if self.answer[..=at].ends_with(b"\n\n") || self.answer[..=at].ends_with(b"\n\r\n") {
                events.push(&self.answer[from..=at]);
                from = at + 1;
            }
        }
        if from < self.answer.len() {
            events.push(&self.answer[from..]);
        }
        events
    }
}

/// Everything in one set.
pub fn read_set(folder: &Path) -> Vec<Exchange> {
    let mut all = Vec::new();
    for path in files(folder) {
        let name = path
            .strip_prefix(folder.parent().unwrap_or(folder))
            .unwrap_or(&path)
            .display()
            .to_string();
        let text = text(&path);
        if name.contains(".jsonl") {
            all.extend(text.lines().map(interaction));
        } else {
            all.push(single(name, &text));
        }
    }
    all
}

/// The text of a file, unpacked where it is packed.
pub fn text(path: &Path) -> String {
    let bytes = fs::read(path).expect("readable");
    let mut text = String::new();
    if path.extension().is_some_and(|ending| ending == "gz") {
        GzDecoder::new(bytes.as_slice())
            .read_to_string(&mut text)
            .expect("packed text");
        return text;
    }
    String::from_utf8(bytes).expect("text")
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn interaction(line: &str) -> Exchange {
    let line: Value = serde_json::from_str(line).expect("JSON");
    let bytes = |value: &Value| match value {
        Value::String(text) => text.clone().into_bytes(),
        Value::Null => Vec::new(),
        other => other.to_string().into_bytes(),
    };
    let uri = line["uri"].as_str().expect("a URI");
    let after_scheme = uri.split_once("://").map_or(uri, |(_, rest)| rest);
    let target = after_scheme
        .split_once('/')
        .map_or("/".to_owned(), |(_, path)| format!("/{path}"));
    let streamed = line["kind"] == "sse";
    Exchange {
        name: line["id"].as_str().expect("an id").to_owned(),
        method: line["method"].as_str().unwrap_or("POST").to_owned(),
        target: target.split('#').next().unwrap_or("/").to_owned(),
        request: bytes(&line["request_body"]),
        status: u16::try_from(line["status"].as_u64().expect("a status")).expect("a status"),
        content_type: content_type(&line["response_headers"], streamed),
        answer: bytes(&line["response_body"]),
    }
}

fn content_type(headers: &Value, streamed: bool) -> String {
    let recorded = headers
        .as_object()
        .into_iter()
        .flatten()
        .find(|(name, _)| name.eq_ignore_ascii_case("content-type"))
        .and_then(|(_, value)| value.as_str().or(value[0].as_str()));
    let usual = if streamed {
        "text/event-stream"
    } else {
        "application/json"
    };
    recorded.unwrap_or(usual).to_owned()
}

/// A file that holds one answer: JSON, a stream, or the events of a stream without their framing.
fn single(name: String, text: &str) -> Exchange {
    let bare = name.contains(".chunks.");
    let streamed = bare || text.starts_with("event:");
    let answer = if bare {
        let lines = text.lines().filter(|line| !line.is_empty());
        lines.map(|line| format!("data: {line}\n\n")).collect()
    } else {
        text.to_owned()
    };
    let target = if answer.contains("message_start") {
        "/v1/messages"
    } else if answer.contains("\"response.") || answer.contains("\"object\":\"response\"") {
        "/v1/responses"
    } else {
        "/v1/chat/completions"
    };
    Exchange {
        name,
        method: "POST".to_owned(),
        target: target.to_owned(),
        request: format!(r#"{{"model":"m","stream":{streamed},"messages":[]}}"#).into_bytes(),
        status: 200,
        content_type: content_type(&Value::Null, streamed),
        answer: answer.into_bytes(),
    }
}
