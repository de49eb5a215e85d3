//! Requests whose Transfer-Encoding is written in ways that some servers read and others do not.

use serde_json::Value;

use super::lab::{Case, May};
use crate::support::data;
use crate::support::recorded::text;

/// What the standard lets become of a mutation: the body by its length where there is no Transfer-Encoding, the decoded one
/// where it is exactly `chunked`, and a refusal else. A field that is no field at all may also be dropped.
fn lawful(header: &[u8], length: usize, body: &[u8]) -> May {
    let by_length = May::ArriveWith(body[..length].to_vec());
    let lines: Vec<&[u8]> = split(header, b"\r\n");
    let mut codings = Vec::new();
    for line in lines {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else {
            return by_length;
        };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if name.eq_ignore_ascii_case(b"transfer-encoding") {
            codings.push(value);
        }
    }
    match codings.as_slice() {
        [] => by_length,
        [coding] if coding.eq_ignore_ascii_case(b"chunked") => match decoded(body) {
            Some(body) => May::ArriveWith(body),
            None => May::BeRefused,
        },
        _ => May::BeRefused,
    }
}

fn split<'a>(bytes: &'a [u8], at: &[u8]) -> Vec<&'a [u8]> {
    let mut parts = Vec::new();
    let mut rest = bytes;
    while let Some(found) = rest.windows(at.len()).position(|window| window == at) {
        parts.push(&rest[..found]);
        rest = &rest[found + at.len()..];
    }
    parts.push(rest);
    parts
}

/// The chunks of the payloads: one digit each.
fn decoded(body: &[u8]) -> Option<Vec<u8>> {
    match body {
        [b'0', b'\r', b'\n', b'\r', b'\n', ..] => Some(Vec::new()),
        _ => None,
    }
}

fn base64(text: &str) -> Vec<u8> {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = Vec::new();
    let (mut bits, mut count) = (0_u32, 0);
    for digit in text
        .bytes()
        .filter_map(|byte| alphabet.iter().position(|known| *known == byte))
    {
        bits = (bits << 6 | digit as u32) & 0xffff;
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push((bits >> count) as u8);
        }
    }
    out
}

/// Both requests of each mutation.
pub(super) fn mutations() -> Option<Vec<Case>> {
    let folder = data("smuggler_payloads")?;
    let mut cases = Vec::new();
    for line in text(&folder.join("te_mutations.jsonl")).lines() {
        let line: Value = serde_json::from_str(line).expect("JSON");
        let name = line["name"].as_str().expect("a name");
        let header = base64(line["header_b64"].as_str().expect("base64"));
        for (kind, length) in [("clte", 4), ("tecl", 6)] {
            let field = format!("{kind}_request_b64");
            let bytes = base64(line[&field].as_str().expect("base64"));
            let body = split(&bytes, b"\r\n\r\n")[0].len() + 4;
            cases.push(Case {
                name: format!("{kind} {name}"),
                may: lawful(&header, length, &bytes[body..]),
                bytes,
            });
        }
    }
    Some(cases)
}
