//! An answer in which the model says what somebody else wrote.

use serde_json::{Value, json};

use super::super::endpoint::Endpoint;

/// A whole answer of `model` that says `text` and took no tokens; `None` for an endpoint whose answers are no text.
pub fn said(endpoint: Endpoint, model: &str, text: &str) -> Option<Vec<u8>> {
    let id = format!("{:032x}", fastrand::u128(..));
    let created = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    let usage = json!({"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0});
    let answer: Value = match endpoint {
        Endpoint::ChatCompletions => json!({
            "id": format!("chatcmpl-{id}"), "object": "chat.completion", "created": created, "model": model,
            "choices": [{
                "index": 0,
                "message": {"role": "assistant", "content": text, "refusal": null},
                "logprobs": null,
                "finish_reason": "stop",
            }],
            "usage": usage,
        }),
        Endpoint::Completions => json!({
            "id": format!("cmpl-{id}"), "object": "text_completion", "created": created, "model": model,
            "choices": [{"index": 0, "text": text, "logprobs": null, "finish_reason": "stop"}],
            "usage": usage,
        }),
        Endpoint::Messages => json!({
            "id": format!("msg_{id}"), "type": "message", "role": "assistant", "model": model,
            "content": [{"type": "text", "text": text}],
            "stop_reason": "end_turn", "stop_sequence": null,
            "usage": {"input_tokens": 0, "output_tokens": 0},
        }),
        Endpoint::Responses => json!({
            "id": format!("resp_{id}"), "object": "response", "created_at": created, "model": model,
            "status": "completed", "error": null, "incomplete_details": null, "instructions": null,
            "metadata": {}, "parallel_tool_calls": true, "tool_choice": "auto", "tools": [],
            "temperature": null, "top_p": null,
            "output": [{
                "id": format!("msg_{id}"), "type": "message", "status": "completed", "role": "assistant",
                "content": [{"type": "output_text", "text": text, "annotations": []}],
            }],
            "usage": {
                "input_tokens": 0, "input_tokens_details": {"cached_tokens": 0},
                "output_tokens": 0, "output_tokens_details": {"reasoning_tokens": 0},
                "total_tokens": 0,
            },
        }),
        Endpoint::Embeddings => return None,
    };
    Some(answer.to_string().into_bytes())
}
