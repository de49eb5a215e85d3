//! What a call brings along.

use std::time::Duration;

use http::{StatusCode, header};
use pingora::protocols::http::ServerSession;
use serde::de::DeserializeOwned;

use super::answer::Refusal;

/// Largest body of a call, in bytes.
const MOST: usize = 64 << 10;
/// Time that a body may take.
const LIMIT: Duration = Duration::from_secs(10);

/// The body of a call, whole.
pub(super) async fn read(session: &mut ServerSession) -> Result<Vec<u8>, Refusal> {
    let expects = session.req_header().headers.contains_key(header::EXPECT);
    if expects {
        let _ = session.write_continue_response().await;
    }
    match tokio::time::timeout(LIMIT, gather(session)).await {
        Ok(read) => read,
        Err(_) => Err(Refusal::new(
            StatusCode::REQUEST_TIMEOUT,
            format!("the body did not come within {LIMIT:?}"),
        )),
    }
}

async fn gather(session: &mut ServerSession) -> Result<Vec<u8>, Refusal> {
    let mut body = Vec::new();
    loop {
        let part = session
            .read_request_body()
            .await
            .map_err(|error| Refusal::at("", format!("the body cannot be read: {error}")))?;
        let Some(part) = part else { return Ok(body) };
        if body.len() + part.len() > MOST {
            return Err(Refusal::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                format!("the body is larger than {MOST} bytes"),
            ));
        }
        body.extend_from_slice(&part);
    }
}

/// What a JSON body says. An empty one is an empty object.
pub(super) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    let text = match body.trim_ascii() {
        b"" => b"{}",
        text => text,
    };
    if !text.starts_with(b"{") {
        return Err(Refusal::at("", "must be a JSON object"));
    }
    let mut reader = serde_json::Deserializer::from_slice(text);
    let parsed = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let at = match error.path().to_string() {
            at if at == "." || at == "?" => String::new(),
            at => at,
        };
        Refusal::at(at, error.inner().to_string())
    })?;
    reader
        .end()
        .map_err(|error| Refusal::at("", error.to_string()))?;
    Ok(parsed)
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Default, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields, default)]
    struct Body {
        name: Option<String>,
        inner: Vec<u8>,
    }

    #[test]
    fn an_empty_body_says_nothing() {
        for empty in [&b""[..], b" \n", b"{}"] {
            assert_eq!(parse::<Body>(empty), Ok(Body::default()));
        }
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        for (body, at, why) in [
            (r#"{"name": 1}"#, Some("name"), "invalid type"),
            (r#"{"inner": [1, 300]}"#, Some("inner[1]"), "invalid value"),
            (r#"{"nam": "x"}"#, Some("nam"), "unknown field"),
            (r#"{"name": "x"} {}"#, None, "trailing"),
            ("[]", None, "must be a JSON object"),
            ("{", None, "EOF"),
        ] {
            let refusal = parse::<Body>(body.as_bytes()).unwrap_err();
            let shown = format!("{refusal:?}");
            assert!(shown.contains(why), "{shown}");
            assert!(shown.contains(&format!("at: {at:?}")), "{shown}");
        }
    }
}
