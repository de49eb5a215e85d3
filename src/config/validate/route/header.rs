//! Names and values of headers, and which of them are not the operator's to change.

use std::collections::HashSet;

use http::{HeaderName, HeaderValue};

use crate::config::raw::{Leaf, Named};
use crate::config::units::Refusal;
use crate::config::validate::section::Section;

/// Headers of one connection or of a message's framing: Tollgate writes them itself on either side, and a second opinion is
/// how requests are smuggled. RFC 9110, 7.6.1, and RFC 9112, 6.
const OWN: &[&str] = &[
    "connection",
    "content-length",
    "expect",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// A name as it is on the wire, in any case.
pub(super) fn name(text: &str) -> Result<HeaderName, Refusal> {
    HeaderName::from_bytes(text.as_bytes()).map_err(|_| {
        let why = "letters, digits and - only, such as x-team";
        Refusal::new("is not a header name", why)
    })
}

/// The name of a header that may be changed.
pub(super) fn changeable(text: &str) -> Result<HeaderName, Refusal> {
    let name = name(text)?;
    match OWN.contains(&name.as_str()) {
        true => Err(Refusal::new(
            "cannot be changed: it belongs to the connection or to how the message is framed",
            "",
        )),
        false => Ok(name),
    }
}

pub(super) fn value(text: &str) -> Result<HeaderValue, Refusal> {
    let value = HeaderValue::from_str(text).ok();
    value.filter(|_| text.is_ascii()).ok_or_else(|| {
        Refusal::new(
            "is not a header value",
            "one line of visible ASCII characters",
        )
    })
}

/// Names and values under `key`, names told apart whatever their case.
pub(super) fn pairs(
    s: &mut Section<'_>,
    key: &str,
    raw: Option<&Named<Leaf>>,
    accept: impl Fn(&str) -> Result<HeaderName, Refusal>,
) -> Vec<(HeaderName, HeaderValue)> {
    let mut s = s.key(key);
    let mut seen = HashSet::new();
    let mut pairs = Vec::new();
    for (text, leaf) in raw.map(|raw| raw.0.as_slice()).unwrap_or_default() {
        let name = match accept(text) {
            Ok(name) => name,
            Err(refusal) => {
                s.refuse(text, leaf.as_ref(), refusal.reason, &refusal.hint);
                continue;
            }
        };
        if !seen.insert(name.clone()) {
            s.refuse(text, leaf.as_ref(), "is there twice, in another case", "");
        }
        pairs.extend(
            s.read(text, leaf.as_ref(), value)
                .map(|value| (name, value)),
        );
    }
    pairs
}
