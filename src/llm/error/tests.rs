use proptest::prelude::*;

use super::*;
use crate::llm::sse::SseSplitter;

const SECOND: Duration = Duration::from_secs(1);

fn all() -> Vec<ApiError> {
    vec![
        ApiError::bad_request("x", Some("model")),
        ApiError::body_too_large(7),
        ApiError::missing_key(),
        ApiError::unknown_key(),
        ApiError::forbidden("x"),
        ApiError::no_route("/v1/chat/completions", Some("m")),
        ApiError::no_route("/x", None),
        ApiError::rate_limited("requests per minute of key 'a'", SECOND),
        ApiError::queue_full("chat", SECOND),
        ApiError::queue_timeout("chat", SECOND, SECOND),
        ApiError::no_peer("chat", SECOND),
        ApiError::all_paused(429, "chat", SECOND),
        ApiError::all_paused(503, "chat", SECOND),
        ApiError::upstream_broke("connection reset"),
        ApiError::upstream_timed_out("first byte", SECOND),
        ApiError::not_cached(),
        ApiError::internal("x"),
    ]
}

fn parsed(error: &ApiError, dialect: Dialect) -> Value {
    serde_json::from_slice(&error.body(dialect)).unwrap()
}

#[test]
fn openai_errors_have_the_four_fields_clients_read() {
    for error in all() {
        let body = parsed(&error, Dialect::OpenAi);
        let inner = body["error"].as_object().unwrap();
        assert_eq!(
            inner.keys().collect::<Vec<_>>(),
            ["code", "message", "param", "type"],
            "{error}"
        );
        assert!(!inner["message"].as_str().unwrap().is_empty() && inner["code"].is_string());
    }
    let unknown = parsed(
        &ApiError::no_route("/v1/embeddings", Some("m")),
        Dialect::OpenAi,
    );
    assert_eq!(
        (&unknown["error"]["param"], &unknown["error"]["code"]),
        (&json!("model"), &json!("model_not_found"))
    );
}

#[test]
fn anthropic_errors_have_the_type_names_of_its_api() {
    let expected = [
        (400, "invalid_request_error"),
        (413, "request_too_large"),
        (401, "authentication_error"),
        (401, "authentication_error"),
        (403, "permission_error"),
        (404, "not_found_error"),
        (404, "not_found_error"),
        (429, "rate_limit_error"),
        (429, "rate_limit_error"),
        (503, "overloaded_error"),
        (503, "overloaded_error"),
        (429, "rate_limit_error"),
        (503, "overloaded_error"),
        (502, "api_error"),
        (504, "timeout_error"),
        (504, "invalid_request_error"),
        (500, "api_error"),
    ];
    for (error, (status, name)) in all().into_iter().zip(expected) {
        let body = parsed(&error, Dialect::Anthropic);
        assert_eq!(
            (
                error.status,
                body["type"].as_str(),
                body["error"]["type"].as_str()
            ),
            (status, Some("error"), Some(name))
        );
    }
}

#[test]
fn who_is_told_to_come_back_is_told_when() {
    for error in all() {
        assert_eq!(
            error.retry_after.is_some(),
            matches!(error.status, 429 | 503),
            "{error}"
        );
    }
    let error = ApiError::rate_limited("x", Duration::from_millis(1200));
    assert_eq!(error.retry_after_seconds(), Some(2));
    assert_eq!(
        ApiError::queue_full("x", Duration::ZERO).retry_after_seconds(),
        Some(1)
    );
}

#[test]
fn a_name_as_long_as_a_body_is_not_sent_back_whole() {
    let name = "é".repeat(100_000);
    assert!(
        ApiError::no_route(&name, Some(&name))
            .body(Dialect::OpenAi)
            .len()
            < 1000
    );
}

proptest! {
    #[test]
    fn an_error_event_is_one_event_whatever_the_message_says(message in any::<String>()) {
        let error = ApiError::internal(message.clone());
        for dialect in [Dialect::OpenAi, Dialect::Anthropic] {
            let mut seen = Vec::new();
            let mut splitter = SseSplitter::new(1 << 20);
            splitter.push(&error.sse_event(dialect), |event| seen.push((event.event.map(str::to_owned), event.data.to_vec())));
            prop_assert!(splitter.at_boundary());
            prop_assert_eq!(seen.len(), 1);
            let body: Value = serde_json::from_slice(&seen[0].1).unwrap();
            prop_assert_eq!(&body["error"]["message"], &json!(message));
            prop_assert_eq!(seen[0].0.as_deref(), (dialect == Dialect::Anthropic).then_some("error"));
        }
    }
}
