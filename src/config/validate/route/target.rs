//! Paths, and what stands in front of them.

use crate::config::units::Refusal;

/// A path to ask for.
pub(in crate::config::validate) fn url_path(text: &str) -> Result<String, Refusal> {
    let clean = text.bytes().all(|b| b.is_ascii_graphic() && b != b'#');
    match text.starts_with('/') {
        true if clean => Ok(text.to_owned()),
        true => Err(Refusal::new(
            "has characters that a URL path cannot have",
            "write them as %XX",
        )),
        false => Err(Refusal::new("must begin with /", "such as /health")),
    }
}

/// The front of a path, in whole segments; without the slash at its end.
pub(super) fn prefix(text: &str) -> Result<String, Refusal> {
    let path = url_path(text)?;
    let front = path.trim_end_matches('/');
    let bad = |reason: &str| Err(Refusal::new(reason, "such as /v1"));
    match () {
        () if path.contains('?') => bad("has a query"),
        () if front.is_empty() => bad("is the whole path: there is nothing to strip or add"),
        () if front.contains('%') => bad("has an escape: paths are compared with theirs resolved"),
        () if front.contains('\\') => bad("has a backslash"),
        () if front[1..]
            .split('/')
            .any(|part| matches!(part, "" | "." | "..")) =>
        {
            bad("has an empty segment, . or ..")
        }
        () => Ok(front.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_whole_segments() {
        assert_eq!(prefix("/v1").unwrap(), "/v1");
        assert_eq!(prefix("/v1/api/").unwrap(), "/v1/api");
        for text in [
            "", "v1", "/", "//", "/a//b", "/a/../b", "/a/.", "/a?b", "/a#b", "/a b", "/%61", "/é",
            "/a\\b",
        ] {
            assert!(prefix(text).is_err(), "{text}");
        }
    }
}
