//! What became of a case, from what came back and what the peer got.

use super::lab::{Case, May};
use crate::support::strict::{Framing, Message};

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Outcome {
    Refused(u16),
    Closed,
    ArrivedByLength,
    ArrivedChunked,
    ArrivedWithoutBody,
    Wrong(String),
}

pub(super) fn judge(
    id: usize,
    case: &Case,
    said: &[u8],
    got: &[Result<Message, String>],
) -> Outcome {
    let mark = format!("case={id}");
    let arrived: Vec<&Message> = got
        .iter()
        .flatten()
        .filter(|request| {
            let target = request.start.split(' ').nth(1).unwrap_or("");
            target.split(['?', '&']).any(|part| part == mark)
        })
        .collect();
    let (second, first): (Vec<&Message>, Vec<&Message>) = arrived
        .into_iter()
        .partition(|request| request.start == format!("GET /second?case={id} HTTP/1.1"));
    if second.len() > 1 || second.iter().any(|request| !request.body.is_empty()) {
        return Outcome::Wrong(format!(
            "the second request arrived as {}",
            second.iter().map(|one| brief(one)).collect::<String>()
        ));
    }
    let status = std::str::from_utf8(said.get(9..12).unwrap_or(b""))
        .ok()
        .and_then(|status| status.parse::<u16>().ok());
    let shown = |bytes: &[u8]| bytes.escape_ascii().to_string();
    let Some(request) = first.first() else {
        return match (status, &case.may) {
            (_, May::OnlyArriveWith(_)) => Outcome::Wrong(format!(
                "was refused: {}",
                shown(&said[..said.len().min(300)])
            )),
            (Some(status @ 400..=599), _) => Outcome::Refused(status),
            (None, _) if said.is_empty() => Outcome::Closed,
            _ => Outcome::Wrong(format!(
                "was not sent on, and the answer is {}",
                shown(said)
            )),
        };
    };
    let body = match &case.may {
        _ if first.len() > 1 => {
            return Outcome::Wrong(format!(
                "became several: {}",
                first.iter().map(|one| brief(one)).collect::<String>()
            ));
        }
        May::BeRefused => {
            return Outcome::Wrong(format!("was sent on: {}", brief(request)));
        }
        May::ArriveWith(body) | May::OnlyArriveWith(body) => body,
    };
    if request.body != *body {
        return Outcome::Wrong(format!(
            "arrived with the body {} instead of {}",
            shown(&request.body),
            shown(body)
        ));
    }
    match request.framing {
        Framing::Chunked => Outcome::ArrivedChunked,
        Framing::Length => Outcome::ArrivedByLength,
        _ => Outcome::ArrivedWithoutBody,
    }
}

fn brief(request: &Message) -> String {
    let (start, framing, body) = (&request.start, request.framing, request.body.escape_ascii());
    format!("[{start}] {framing:?} [{body}] ")
}
