//! The same facts off a flat document, for answers of the usual form. Of anything else nothing is said here.

use bytes::Bytes;

use super::AnswerFacts;
use crate::llm::document::{Document, Kind, Node, Number};
use crate::llm::endpoint::Endpoint;
use crate::llm::finish::Finish;
use crate::llm::usage::Reported;

/// Largest answer that is read this way, in bytes.
const MOST: usize = 256 * 1024;

/// `None` for an answer that has to be read in full.
pub(super) fn facts(endpoint: Endpoint, answer: &Bytes) -> Option<AnswerFacts> {
    let choices = match endpoint {
        Endpoint::ChatCompletions | Endpoint::Completions => true,
        Endpoint::Messages => false,
        Endpoint::Embeddings | Endpoint::Responses => return None,
    };
    if answer.len() > MOST {
        return None;
    }
    let document = Document::parse(answer).ok()?;
    let root = document.root();
    if document.repeats_a_name() || !root.is_object() {
        return None;
    }
    let (mut model, mut usage, mut error) = (None, None, false);
    let (mut found, mut content, mut stop) = (None, None, None);
    for (name, value) in root.fields() {
        match name {
            b"model" => model = text(value)?,
            b"usage" if !value.is_null() => usage = Some(Reported::of(value)?),
            b"error" => error = filled(value),
            b"choices" => found = list(value)?,
            b"content" => content = Some(value),
            b"stop_reason" => stop = text(value)?,
            _ => {}
        }
    }
    let mut worst: Option<(Finish, &str)> = None;
    let mut whole = match content.map(Node::kind) {
        Some(Kind::Array(_)) => !choices,
        _ => false,
    };
    let mut ends = |reason| {
        let end = (Finish::of_reason(reason), reason);
        worst = worst.filter(|worst| worst.0 > end.0).or(Some(end));
    };
    if choices {
        let all = found.map(Node::items);
        whole = all.as_ref().is_some_and(|all| all.len() > 0);
        for choice in all.into_iter().flatten() {
            let (reason, full) = choice_of(choice)?;
            whole &= full && reason.is_some();
            reason.into_iter().for_each(&mut ends);
        }
    } else {
        // Read as choices too where there are any, and refused with them.
        if let Some(found) = found {
            for choice in found.items() {
                choice_of(choice)?;
            }
        }
        stop.into_iter().for_each(&mut ends);
    }
    let proper = worst.is_some_and(|(finish, _)| finish.is_proper());
    Some(AnswerFacts {
        usage: usage.and_then(|usage| usage.usage(endpoint.dialect())),
        finish: worst.map(|(finish, _)| finish),
        finish_reason: worst.map(|(_, reason)| reason.to_owned()),
        model: model.filter(|model| !model.is_empty()).map(str::to_owned),
        complete: whole && proper && !error,
    })
}

/// Why a choice ended, if it did, and whether it has what a choice of a whole answer has.
fn choice_of(choice: Node<'_>) -> Option<(Option<&str>, bool)> {
    if !choice.is_object() {
        return None;
    }
    let (mut reason, mut full) = (None, false);
    for (name, value) in choice.fields() {
        match name {
            b"finish_reason" => reason = text(value)?,
            b"message" | b"text" => full |= !value.is_null(),
            b"index" => match value.kind() {
                Kind::Null | Kind::Number(Number::Unsigned(_)) => {}
                _ => return None,
            },
            b"delta" if !value.is_null() && !value.is_object() => return None,
            _ => {}
        }
    }
    Some((reason.filter(|reason| !reason.is_empty()), full))
}

/// A text or `null`.
fn text(value: Node<'_>) -> Option<Option<&str>> {
    match value.is_null() {
        true => Some(None),
        false => value.as_str().map(Some),
    }
}

/// An array or `null`.
fn list(value: Node<'_>) -> Option<Option<Node<'_>>> {
    match value.kind() {
        Kind::Null => Some(None),
        Kind::Array(_) => Some(Some(value)),
        _ => None,
    }
}

fn filled(value: Node<'_>) -> bool {
    match value.kind() {
        Kind::Null => false,
        Kind::Bool(value) => value,
        Kind::Number(_) => true,
        Kind::Text(text) => !text.is_empty(),
        Kind::Array(items) => items.len() > 0,
        Kind::Object(fields) => fields.len() > 0,
    }
}
