//! Secrets in a query, blanked: what is logged is read by many.

use std::borrow::Cow;

/// Names whose value is a secret, with `-` read as `_`.
const NAMES: [&str; 10] = [
    "key", "sig", "auth", "code", "jwt", "pass", "pwd", "session", "sid", "state",
];
/// Parts of names whose value is a secret.
const PARTS: [&str; 9] = [
    "token",
    "secret",
    "password",
    "passwd",
    "signature",
    "credential",
    "apikey",
    "_key",
    "authorization",
];
/// What stands in place of a secret.
const BLANK: &[u8] = b"***";

/// A request target or a URL with the values of secret parameters blanked. Everything else stays as it came.
pub(super) fn redacted(url: &[u8]) -> Cow<'_, [u8]> {
    let Some(query) = url.iter().position(|byte| *byte == b'?') else {
        return Cow::Borrowed(url);
    };
    let (path, query) = url.split_at(query + 1);
    let mut clean = path.to_vec();
    for parameter in query.split_inclusive(|byte| matches!(byte, b'&' | b';' | b'#' | b'?')) {
        let (body, end) = match parameter.split_last() {
            Some((end, body)) if matches!(end, b'&' | b';' | b'#' | b'?') => (body, Some(*end)),
            _ => (parameter, None),
        };
        match body.iter().position(|byte| *byte == b'=') {
            Some(equals) if is_secret(&body[..equals]) => {
                clean.extend_from_slice(&body[..=equals]);
                clean.extend_from_slice(BLANK);
            }
            _ => clean.extend_from_slice(body),
        }
        clean.extend(end);
    }
    Cow::Owned(clean)
}

fn is_secret(name: &[u8]) -> bool {
    let name = plain(name);
    NAMES.contains(&name.as_str()) || PARTS.iter().any(|part| name.contains(part))
}

/// The name as whoever reads the query takes it: escapes resolved, in small letters.
fn plain(name: &[u8]) -> String {
    let hex = |byte: Option<&u8>| char::from(*byte?).to_digit(16);
    let (mut plain, mut at) = (String::with_capacity(name.len()), 0);
    while let Some(byte) = name.get(at) {
        let byte = match (byte, hex(name.get(at + 1)), hex(name.get(at + 2))) {
            (b'%', Some(high), Some(low)) => {
                at += 2;
                (high * 16 + low) as u8
            }
            _ => *byte,
        };
        plain.push(match byte {
            b'-' => '_',
            byte => char::from(byte.to_ascii_lowercase()),
        });
        at += 1;
    }
    plain
}
