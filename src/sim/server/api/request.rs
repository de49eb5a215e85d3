//! What a request body asks for.

use serde_json::Value;

use super::prompt::{chat_prompt, completion_prompt, responses_prompt, tokens_text};
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

/// A JSON object.
pub(super) type Object = serde_json::Map<String, Value>;

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

#[cfg(test)]
mod tests {
    use super::*;

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
}
