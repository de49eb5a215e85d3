//! A request body is read or refused, never a panic, and what is read of it is what a plain JSON reader sees.

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use tollgate::llm::{Endpoint, RequestView};

fn readable(body: &Value) -> bool {
    body.is_object()
        && body.get("model").is_none_or(Value::is_string)
        && body
            .get("stream")
            .is_none_or(|stream| stream.is_boolean() || stream.is_null())
}

fuzz_target!(|input: &[u8]| {
    let plain = serde_json::from_slice::<Value>(input).ok().filter(readable);
    let bytes = Bytes::copy_from_slice(input);
    for endpoint in Endpoint::ALL {
        let view = match (RequestView::parse(endpoint, &bytes), &plain) {
            (Ok(view), Some(_)) => view,
            (Err(malformed), None) => {
                assert!(!malformed.to_string().is_empty());
                continue;
            }
            (view, _) => panic!("{endpoint:?}: {view:?} of {plain:?}"),
        };
        let Some(body) = &plain else { return };
        assert_eq!(view.model.as_deref(), body["model"].as_str());
        assert_eq!(view.stream, body["stream"] == true);
        assert_eq!(view.n, body["n"].as_u64().unwrap_or(1).max(1));
        assert_eq!(view.temperature, body["temperature"].as_f64());
        assert!(view.non_ascii_bytes <= view.prompt_text_bytes);
        assert!(view.prompt_text_bytes <= 8 * input.len() as u64);
    }
});
