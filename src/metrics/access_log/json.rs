//! A line as a JSON object.

use std::net::IpAddr;

use serde::Serializer;

use super::Line;
use super::stamp::Stamps;

pub(super) fn render(line: &Line<'_>, stamps: &mut Stamps, text: &mut Vec<u8>) {
    let before = text.len();
    text.extend_from_slice(b"{\"time\":\"");
    stamps.utc(line.arrived, text);
    text.push(b'"');
    let joint = text.len();
    if serde_json::to_writer(&mut *text, line).is_err() {
        text.truncate(before);
        return;
    }
    // The object continues the one that begins with the time, which is not a field of the line: it is made here.
    text[joint] = b',';
    text.push(b'\n');
}

pub(super) fn address<S: Serializer>(
    client: &Option<IpAddr>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match client {
        Some(ip) => serializer.collect_str(ip),
        None => serializer.serialize_str(""),
    }
}

/// The query stays out: it may hold anything.
pub(super) fn path<S: Serializer>(target: &str, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(target.split('?').next().unwrap_or_default())
}
