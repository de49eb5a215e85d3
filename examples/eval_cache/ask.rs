//! Asking: each way on a connection of its own, one question after the other.

use std::sync::Arc;
use std::thread;

use serde_json::{Value, json};

use crate::gateway::Gateway;
use crate::http::Connection;
use crate::sets::Question;
use crate::way::Way;

/// What became of one question.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Outcome {
    pub(crate) kind: Kind,
    /// Whether the answer was the one deserved.
    pub(crate) right: bool,
    /// Number of the question for which the answer was made.
    pub(crate) made_for: usize,
}

/// Where the answer came from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Kind {
    /// The upstream.
    Miss,
    /// The same request.
    Exact,
    /// One of like meaning, this similar.
    Meaning(f64),
}

/// A chat request, alike for all ways but for `model`.
pub(crate) fn request(model: &str, system: &str, text: &str, number: usize) -> Vec<u8> {
    let body = json!({
        "model": model, "temperature": 0, "user": number.to_string(),
        "messages": [{"role": "system", "content": system}, {"role": "user", "content": text}],
    })
    .to_string();
    format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: eval\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// Asks every way every question.
pub(crate) fn all(
    gateway: &Gateway,
    questions: &Arc<Vec<Question>>,
    ways: &[Way],
) -> Result<Vec<Vec<Outcome>>, String> {
    let threads: Vec<_> = ways
        .iter()
        .map(|way| {
            let (address, way, questions) =
                (gateway.address, way.to_string(), Arc::clone(questions));
            thread::spawn(move || {
                let mut connection = Connection::to(address).map_err(|why| why.to_string())?;
                let numbered = questions.iter().enumerate();
                numbered
                    .map(|(number, question)| {
                        one(&mut connection, &way, question, number)
                            .map_err(|why| format!("{way}: {:?}: {why}", question.text))
                    })
                    .collect::<Result<Vec<_>, String>>()
            })
        })
        .collect();
    threads
        .into_iter()
        .map(|thread| {
            thread
                .join()
                .unwrap_or_else(|_| Err("a client ended early".to_owned()))
        })
        .collect()
}

fn one(
    connection: &mut Connection,
    way: &str,
    question: &Question,
    number: usize,
) -> Result<Outcome, String> {
    let asked = request(way, &question.system, &question.text, number);
    let answer = connection.send(&asked).and_then(|()| connection.next());
    let answer = answer
        .map_err(|why| why.to_string())?
        .ok_or("the connection ended")?;
    let said: Value =
        serde_json::from_slice(&answer.body).map_err(|why| format!("{}: {why}", answer.first))?;
    let kind = match answer.header("x-cache-status") {
        Some("MISS") => Kind::Miss,
        Some("HIT") => Kind::Exact,
        Some("SEMANTIC_HIT") => {
            let similarity = answer
                .header("x-cache-similarity")
                .and_then(|text| text.parse().ok());
            Kind::Meaning(similarity.ok_or("a semantic hit without its similarity")?)
        }
        other => return Err(format!("{}: x-cache-status {other:?}", answer.first)),
    };
    let content = said
        .pointer("/choices/0/message/content")
        .and_then(Value::as_str)
        .ok_or("no answer in the body")?;
    let id = said
        .get("id")
        .and_then(Value::as_str)
        .and_then(|id| id.rsplit('-').next()?.parse().ok());
    Ok(Outcome {
        kind,
        right: content == question.class,
        made_for: id.unwrap_or(number),
    })
}
