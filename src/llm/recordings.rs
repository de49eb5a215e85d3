//! Recorded exchanges with real model APIs, for tests. They live outside the repository: in the folder that
//! `TOLLGATE_DATA` names, else in `../shared/data` beside it. Where there are none, the tests say so and pass.

mod tests;

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use serde_json::Value;

use super::endpoint::Endpoint;

/// One recorded exchange.
pub(super) struct Recording {
    pub(super) name: String,
    pub(super) endpoint: Endpoint,
    pub(super) status: u16,
    pub(super) request: Option<Vec<u8>>,
    pub(super) streamed: bool,
    pub(super) answer: Vec<u8>,
}

fn folder() -> PathBuf {
    std::env::var_os("TOLLGATE_DATA").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data"),
        PathBuf::from,
    )
}

/// All recordings of the five endpoints; `None` where the folder is absent.
pub(super) fn load() -> Option<Vec<Recording>> {
    let root = folder();
    if !root.is_dir() {
        println!("skipped: ../shared/data is absent");
        return None;
    }
    let mut all = Vec::new();
    for cassette in [
        "envoy_aigw_openai_cassettes/interactions.jsonl",
        "pydantic_ai_cassettes/interactions.jsonl.gz",
    ] {
        let text = read(&root.join(cassette)).unwrap_or_default();
        all.extend(text.lines().filter_map(interaction));
    }
    for set in [
        "vercel_ai_recordings",
        "anthropic_sdk_streams",
        "agentgateway_llm_fixtures/response",
    ] {
        for path in files(&root.join(set)) {
            let name = path
                .strip_prefix(&root)
                .unwrap_or(&path)
                .display()
                .to_string();
            all.extend(read(&path).and_then(|text| single(name, &text)));
        }
    }
    Some(all)
}

/// The text of a file, unpacked where it is packed; `None` when it is absent or no text.
pub(super) fn read(path: &Path) -> Option<String> {
    let bytes = fs::read(path).ok()?;
    if path.extension().is_some_and(|ending| ending == "gz") {
        let mut text = String::new();
        GzDecoder::new(bytes.as_slice())
            .read_to_string(&mut text)
            .ok()?;
        return Some(text);
    }
    String::from_utf8(bytes).ok()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn interaction(line: &str) -> Option<Recording> {
    let line: Value = serde_json::from_str(line).unwrap();
    let uri = line["uri"].as_str()?;
    let path = uri.split('?').next()?;
    // Longer endings first: "/completions" ends the other one too.
    let endpoint = Endpoint::ALL
        .into_iter()
        .find(|endpoint| path.ends_with(endpoint.path().trim_start_matches("/v1")))?;
    let bytes = |value: &Value| match value {
        Value::String(text) => text.clone().into_bytes(),
        other => other.to_string().into_bytes(),
    };
    Some(Recording {
        name: line["id"].as_str()?.to_owned(),
        endpoint,
        status: u16::try_from(line["status"].as_u64()?).ok()?,
        request: Some(bytes(&line["request_body"])),
        streamed: line["kind"] == "sse",
        answer: bytes(&line["response_body"]),
    })
}

/// A file that holds one answer: JSON, a stream, or the events of a stream without their framing.
fn single(name: String, text: &str) -> Option<Recording> {
    let recording = |endpoint, streamed, answer: &str| Recording {
        name: name.clone(),
        endpoint,
        status: 200,
        request: None,
        streamed,
        answer: answer.as_bytes().to_vec(),
    };
    if text.starts_with("event:") {
        return Some(recording(Endpoint::Messages, true, text));
    }
    if !name.contains(".chunks.") {
        let answer: Value = serde_json::from_str(text).ok()?;
        let endpoint = match (answer["object"].as_str(), answer["type"].as_str()) {
            (Some("chat.completion"), _) => Endpoint::ChatCompletions,
            (Some("text_completion"), _) => Endpoint::Completions,
            (Some("response"), _) => Endpoint::Responses,
            (_, Some("message")) => Endpoint::Messages,
            (Some("list"), _) if answer["data"][0]["embedding"].is_array() => Endpoint::Embeddings,
            _ => return None,
        };
        return Some(recording(endpoint, false, text));
    }
    let lines: Vec<&str> = text.lines().filter(|line| !line.is_empty()).collect();
    let first: Value = serde_json::from_str(lines.first()?).ok()?;
    let kind = first["type"].as_str().unwrap_or("");
    let endpoint = match first["object"].as_str() {
        Some("text_completion") => Endpoint::Completions,
        _ if first["choices"].is_array() => Endpoint::ChatCompletions,
        _ if kind == "message_start" => Endpoint::Messages,
        _ if kind.starts_with("response.") => Endpoint::Responses,
        _ => return None,
    };
    let mut framed: String = lines
        .iter()
        .map(|line| format!("data: {line}\n\n"))
        .collect();
    if matches!(endpoint, Endpoint::ChatCompletions | Endpoint::Completions) {
        framed.push_str("data: [DONE]\n\n");
    }
    Some(recording(endpoint, true, &framed))
}
