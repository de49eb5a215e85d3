//! Paths as routes compare them.

use std::borrow::Cow;

/// What a peer may take `path` for: escapes resolved once, runs of `/` made one, `.` and `..` followed. Routes compare this,
/// so that a request cannot hide from one behind another spelling; the peer gets the path as it was written. `None` where
/// it has no meaning: it climbs above the root, or its escapes make no text.
pub fn normal_path(path: &str) -> Option<Cow<'_, str>> {
    if is_normal(path) {
        return Some(Cow::Borrowed(path));
    }
    let plain = unescaped(path)?;
    if !plain.starts_with('/') {
        return Some(Cow::Owned(plain));
    }
    let mut parts: Vec<&str> = Vec::new();
    for part in plain.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    let mut normal = String::with_capacity(plain.len());
    for part in &parts {
        normal.push('/');
        normal.push_str(part);
    }
    // What ends in a folder stays one: `/a/` is not `/a`.
    if parts.is_empty() || plain.ends_with('/') || plain.ends_with("/.") || plain.ends_with("/..") {
        normal.push('/');
    }
    Some(Cow::Owned(normal))
}

fn is_normal(path: &str) -> bool {
    !path.contains('%') && !path.contains("//") && !path.contains("/.")
}

/// Escapes resolved once; `%` that begins none stays.
fn unescaped(path: &str) -> Option<String> {
    let mut plain = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((byte, after)) = next_byte(rest) {
        plain.push(byte);
        rest = after;
    }
    String::from_utf8(plain).ok()
}

/// The first byte of what `path` says, escaped or not, and what follows it.
pub(super) fn next_byte(path: &[u8]) -> Option<(u8, &[u8])> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    match path {
        [b'%', high, low, rest @ ..] => match (digit(*high), digit(*low)) {
            // Two digits of 16 make a byte.
            (Some(high), Some(low)) => Some(((high * 16 + low) as u8, rest)),
            _ => Some((b'%', &path[1..])),
        },
        [byte, rest @ ..] => Some((*byte, rest)),
        [] => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_ordinary_path_is_not_even_copied() {
        for path in ["/", "/v1/chat/completions", "/a/", "*", "/a.b/c-d_e~f"] {
            assert!(
                matches!(normal_path(path), Some(Cow::Borrowed(_))),
                "{path}"
            );
        }
    }

    #[test]
    fn another_spelling_is_the_same_path() {
        for (path, expected) in [
            ("/%61dmin", "/admin"),
            ("/x/../admin", "/admin"),
            ("/x/%2e%2e/admin", "/admin"),
            ("/x%2f..%2Fadmin", "/admin"),
            ("//admin", "/admin"),
            ("/./admin/.", "/admin/"),
            ("/admin/x/..", "/admin/"),
            ("/..a/.b", "/..a/.b"),
            ("/%2561", "/%61"),
            ("/%zz%4", "/%zz%4"),
            ("/.", "/"),
        ] {
            assert_eq!(normal_path(path).as_deref(), Some(expected), "{path}");
        }
    }

    #[test]
    fn a_path_without_meaning_is_none() {
        for path in ["/..", "/a/../..", "/%2e%2e/a", "/%ff"] {
            assert_eq!(normal_path(path), None, "{path}");
        }
    }

    proptest! {
        #[test]
        fn a_normal_path_has_nothing_left_to_follow(path in "/[a./%2ef]{0,12}") {
            if let Some(normal) = normal_path(&path) {
                prop_assert!(normal.starts_with('/') && !normal.contains("//"), "{}", normal);
                prop_assert!(!normal.split('/').any(|part| part == "." || part == ".."), "{}", normal);
            }
        }
    }
}
