//! What a request body asks for.

use serde_json::Value;

use super::{Api, ApiError, Encoding};

/// A request for text.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::sim::server) struct Ask {
    pub(in crate::sim::server) api: Api,
    /// The model it names; empty when it names none.
    pub(in crate::sim::server) model: String,
    /// Everything that the model reads, as one text.
    pub(in crate::sim::server) prompt: String,
    pub(in crate::sim::server) max_tokens: Option<u32>,
    /// The exact length asked for, whatever the prompt would draw.
    pub(in crate::sim::server) exact: Option<u32>,
    /// Whether the text goes on to the limit.
    pub(in crate::sim::server) ignore_eos: bool,
    pub(in crate::sim::server) stream: bool,
    pub(in crate::sim::server) include_usage: bool,
}

/// A request for embeddings.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::sim::server) struct Embed {
    pub(in crate::sim::server) model: String,
    pub(in crate::sim::server) inputs: Vec<String>,
    pub(in crate::sim::server) dimensions: usize,
    pub(in crate::sim::server) encoding: Encoding,
}

/// Reads a request for text.
///
/// # Errors
/// A 400 that says what is missing or wrong.
pub(in crate::sim::server) fn read_ask(api: Api, body: &[u8]) -> Result<Ask, ApiError> {
    let body = object(body)?;
    if body.get("n").is_some_and(|n| *n != 1) {
        return Err(ApiError::field("n", "n must be 1"));
    }
    let prompt = match api {
        Api::Completions => completion_prompt(&body)?,
        Api::Responses => responses_prompt(&body)?,
        Api::Messages | Api::Chat | Api::Embeddings => chat_prompt(&body)?,
    };
    let max_tokens = match api {
        Api::Responses => number(&body, "max_output_tokens")?,
        Api::Chat => number(&body, "max_completion_tokens")?.or(number(&body, "max_tokens")?),
        Api::Completions | Api::Messages | Api::Embeddings => number(&body, "max_tokens")?,
    };
    if api == Api::Messages && max_tokens.is_none() {
        return Err(ApiError::field("max_tokens", "max_tokens: field required"));
    }
    Ok(Ask {
        api,
        model: model(&body)?,
        prompt,
        max_tokens,
        exact: number(&body, "x-sim-output-tokens")?,
        ignore_eos: flag(&body, "ignore_eos")?,
        stream: flag(&body, "stream")?,
        include_usage: body
            .get("stream_options")
            .is_some_and(|options| options["include_usage"] == true),
    })
}

/// Reads a request for embeddings.
///
/// # Errors
/// A 400 that says what is missing or wrong.
pub(in crate::sim::server) fn read_embed(body: &[u8]) -> Result<Embed, ApiError> {
    let body = object(body)?;
    let wrong = || ApiError::field("input", "input must be a text, a list of texts, or tokens");
    let inputs = match body.get("input").ok_or_else(wrong)? {
        Value::String(text) => vec![text.clone()],
        Value::Array(items) if items.is_empty() => return Err(wrong()),
        Value::Array(items) if items[0].is_number() => vec![tokens_text(items)],
        Value::Array(items) => items
            .iter()
            .map(|item| match item {
                Value::String(text) => Ok(text.clone()),
                Value::Array(tokens) => Ok(tokens_text(tokens)),
                _ => Err(wrong()),
            })
            .collect::<Result<_, _>>()?,
        _ => return Err(wrong()),
    };
    let encoding = match body.get("encoding_format").and_then(Value::as_str) {
        None | Some("float") => Encoding::Float,
        Some("base64") => Encoding::Base64,
        Some(_) => {
            return Err(ApiError::field(
                "encoding_format",
                "encoding_format must be float or base64",
            ));
        }
    };
    let dimensions = number(&body, "dimensions")?.unwrap_or(384);
    if dimensions > 4096 {
        return Err(ApiError::field(
            "dimensions",
            "dimensions must be at most 4096",
        ));
    }
    Ok(Embed {
        model: model(&body)?,
        inputs,
        dimensions: dimensions as usize,
        encoding,
    })
}

type Object = serde_json::Map<String, Value>;

fn object(body: &[u8]) -> Result<Object, ApiError> {
    match serde_json::from_slice(body) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(ApiError::new(400, "the body must be a JSON object")),
        Err(error) => Err(ApiError::new(400, format!("the body is not JSON: {error}"))),
    }
}

fn model(body: &Object) -> Result<String, ApiError> {
    match body.get("model") {
        None | Some(Value::Null) => Ok(String::new()),
        Some(Value::String(model)) => Ok(model.clone()),
        Some(_) => Err(ApiError::field("model", "model must be a string")),
    }
}

fn number(body: &Object, name: &'static str) -> Result<Option<u32>, ApiError> {
    match body.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match value.as_u64().and_then(|number| u32::try_from(number).ok()) {
            Some(number) if number > 0 => Ok(Some(number)),
            _ => Err(ApiError::field(
                name,
                format!("{name} must be at least 1, got {value}"),
            )),
        },
    }
}

fn flag(body: &Object, name: &'static str) -> Result<bool, ApiError> {
    match body.get(name) {
        None | Some(Value::Null) => Ok(false),
        Some(Value::Bool(flag)) => Ok(*flag),
        Some(_) => Err(ApiError::field(
            name,
            format!("{name} must be true or false"),
        )),
    }
}

fn completion_prompt(body: &Object) -> Result<String, ApiError> {
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

fn responses_prompt(body: &Object) -> Result<String, ApiError> {
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

fn chat_prompt(body: &Object) -> Result<String, ApiError> {
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
fn tokens_text(tokens: &[Value]) -> String {
    tokens
        .iter()
        .map(|token| format!("{:04x}", token.as_u64().unwrap_or(0) & 0xffff))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn wrong_bodies_are_refused_with_the_field_at_fault() {
        let field = |api, body: &str| read_ask(api, body.as_bytes()).unwrap_err().param;
        assert_eq!(field(Api::Chat, "{}"), Some("messages"));
        assert_eq!(
            field(
                Api::Chat,
                r#"{"messages":[{"role":"user","content":"a"}],"n":2}"#
            ),
            Some("n")
        );
        assert_eq!(
            field(Api::Completions, r#"{"prompt":["a","b"]}"#),
            Some("prompt")
        );
        assert_eq!(
            field(Api::Completions, r#"{"prompt":"a","max_tokens":0}"#),
            Some("max_tokens")
        );
        assert_eq!(
            field(
                Api::Messages,
                r#"{"messages":[{"role":"user","content":"a"}]}"#
            ),
            Some("max_tokens")
        );
        assert_eq!(field(Api::Responses, r#"{"input":7}"#), Some("input"));
        assert_eq!(field(Api::Chat, "not json"), None);
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
