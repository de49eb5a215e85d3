//! Everything that the model reads, as one text: a line `role: content` for each turn, then the turn of the model.

use serde_json::Value;

use super::ApiError;
use super::request::Object;

pub(super) fn completion_prompt(body: &Object) -> Result<String, ApiError> {
    let wrong = || ApiError::field("prompt", "prompt must be one text or one list of tokens");
    match body.get("prompt").ok_or_else(wrong)? {
        Value::String(text) => Ok(text.clone()),
        Value::Array(items) => match items.as_slice() {
            [Value::String(text)] => Ok(text.clone()),
            [Value::Array(tokens)] => Ok(tokens_text(tokens)),
            [Value::Number(_), ..] => Ok(tokens_text(items)),
            _ => Err(wrong()),
        },
        _ => Err(wrong()),
    }
}

pub(super) fn responses_prompt(body: &Object) -> Result<String, ApiError> {
    let mut prompt = String::new();
    if let Some(instructions) = body.get("instructions").filter(|value| !value.is_null()) {
        turn(&mut prompt, "system", instructions);
    }
    match body.get("input") {
        Some(text @ Value::String(_)) => turn(&mut prompt, "user", text),
        Some(Value::Array(items)) if !items.is_empty() => turns(&mut prompt, items),
        _ => {
            return Err(ApiError::field(
                "input",
                "input must be a text or a list of items",
            ));
        }
    }
    Ok(prompt + ANSWER)
}

pub(super) fn chat_prompt(body: &Object) -> Result<String, ApiError> {
    let mut prompt = String::new();
    if let Some(tools) = body.get("tools").filter(|value| !value.is_null()) {
        turn(&mut prompt, "tools", tools);
    }
    if let Some(system) = body.get("system").filter(|value| !value.is_null()) {
        turn(&mut prompt, "system", system);
    }
    match body.get("messages") {
        Some(Value::Array(messages)) if !messages.is_empty() => turns(&mut prompt, messages),
        _ => {
            return Err(ApiError::field(
                "messages",
                "messages must be a list that is not empty",
            ));
        }
    }
    Ok(prompt + ANSWER)
}

/// Where the model begins to speak; its answer continues the prompt, so that the next turn of a conversation has it as
/// a prefix.
const ANSWER: &str = "assistant: ";

fn turns(prompt: &mut String, messages: &[Value]) {
    for message in messages {
        let role = message
            .get("role")
            .and_then(Value::as_str)
            .unwrap_or("item");
        match message.get("content") {
            Some(content) if message.get("tool_calls").is_none() => turn(prompt, role, content),
            _ => turn(prompt, role, message),
        }
    }
}

fn turn(prompt: &mut String, role: &str, content: &Value) {
    prompt.push_str(role);
    prompt.push_str(": ");
    write_content(prompt, content);
    prompt.push('\n');
}

/// Texts as they are, all else as its JSON.
fn write_content(prompt: &mut String, content: &Value) {
    match content {
        Value::String(text) => prompt.push_str(text),
        Value::Array(parts) => {
            for part in parts {
                match part.get("text") {
                    Some(Value::String(text)) => prompt.push_str(text),
                    _ => prompt.push_str(&part.to_string()),
                }
            }
        }
        other => prompt.push_str(&other.to_string()),
    }
}

/// Four bytes for each token id, so that the counting rule gives their number.
pub(super) fn tokens_text(tokens: &[Value]) -> String {
    tokens
        .iter()
        .map(|token| format!("{:04x}", token.as_u64().unwrap_or(0) & 0xffff))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::server::api::Api;
    use crate::sim::server::api::read_ask;

    fn prompt(api: Api, body: Value) -> String {
        read_ask(api, body.to_string().as_bytes()).unwrap().prompt
    }

    #[test]
    fn an_answer_becomes_a_prefix_of_the_next_turn() {
        let question = serde_json::json!({"role": "user", "content": "why?"});
        let first = prompt(Api::Chat, serde_json::json!({"messages": [question]}));
        let answer = serde_json::json!({"role": "assistant", "content": "the sea."});
        let next =
            serde_json::json!({"role": "user", "content": [{"type": "text", "text": "and?"}]});
        let second = prompt(
            Api::Chat,
            serde_json::json!({"messages": [question, answer, next]}),
        );
        assert!(second.starts_with(&format!("{first}the sea.")), "{second}");
        assert!(second.ends_with("user: and?\nassistant: "));
    }

    #[test]
    fn token_ids_count_as_that_many_tokens() {
        let text = prompt(
            Api::Completions,
            serde_json::json!({"prompt": [1, 2, 70_000]}),
        );
        assert_eq!(crate::sim::text::count(&text), 3);
    }
}
