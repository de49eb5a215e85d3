//! An answer that sends the client elsewhere.

use http::{HeaderValue, StatusCode};

use super::host::bare;
use crate::config::model;

/// Where to, and with which status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redirect {
    /// 301, 302, 303, 307 or 308.
    pub status: StatusCode,
    /// What stands before and after the request's host; `None` where that plays no part.
    before: String,
    after: Option<String>,
    keep_path: bool,
}

impl Redirect {
    pub(super) fn new(conf: &model::Redirect) -> Self {
        // The request's path begins with a slash of its own.
        let to = match conf.keep_path {
            true => conf.to.trim_end_matches('/'),
            false => &conf.to,
        };
        let (before, after) = match to.split_once("{host}") {
            Some((before, after)) => (before, Some(after.to_owned())),
            None => (to, None),
        };
        Self {
            status: conf.status,
            before: before.to_owned(),
            after,
            keep_path: conf.keep_path,
        }
    }

    /// The value of `Location` for a request of `host` (as it came, with or without port) and this path and query. `None`,
    /// for which the answer is 400, where it needs a host and the request names none that is one.
    pub fn location(&self, host: Option<&str>, path_and_query: &str) -> Option<HeaderValue> {
        let mut location = self.before.clone();
        if let Some(after) = &self.after {
            push_host(&mut location, host?)?;
            location.push_str(after);
        }
        if self.keep_path {
            // Read after nothing but a path, `//x` and `/\x` would be hosts: `Location` must not be the client's to choose.
            let path = path_and_query.trim_start_matches(['/', '\\']);
            location.push('/');
            // `*` is the target of `OPTIONS *`, not a path.
            push_path(&mut location, if path == "*" { "" } else { path });
        }
        HeaderValue::from_str(&location).ok()
    }
}

/// Appends a path and query, with whatever a URL cannot have escaped.
fn push_path(to: &mut String, path: &str) {
    for byte in path.bytes() {
        match byte.is_ascii_graphic() {
            true => to.push(char::from(byte)),
            false => to.extend(
                [
                    b'%',
                    HEX[usize::from(byte >> 4)],
                    HEX[usize::from(byte & 15)],
                ]
                .map(char::from),
            ),
        }
    }
}

const HEX: &[u8; 16] = b"0123456789ABCDEF";

/// Appends a host without its port, an IPv6 address in brackets.
fn push_host(to: &mut String, host: &str) -> Option<()> {
    let host = bare(host);
    if host.parse::<std::net::Ipv6Addr>().is_ok() {
        to.push('[');
        to.push_str(host);
        to.push(']');
        return Some(());
    }
    let name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    if host.is_empty() || !host.bytes().all(name) {
        return None;
    }
    to.push_str(host);
    Some(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn location(to: &str, keep_path: bool, host: Option<&str>, path: &str) -> Option<String> {
        let redirect = Redirect::new(&model::Redirect {
            to: to.to_owned(),
            status: StatusCode::PERMANENT_REDIRECT,
            keep_path,
        });
        let value = redirect.location(host, path)?;
        Some(value.to_str().unwrap().to_owned())
    }

    #[test]
    fn the_path_is_kept_where_it_should_be() {
        for (to, keep, path, expected) in [
            (
                "https://b.example",
                true,
                "/v1/x?y=1",
                "https://b.example/v1/x?y=1",
            ),
            ("https://b.example/", true, "/", "https://b.example/"),
            (
                "https://b.example/base/",
                true,
                "/x",
                "https://b.example/base/x",
            ),
            ("https://b.example/x", false, "/v1?y", "https://b.example/x"),
            ("/new", true, "/v1", "/new/v1"),
            ("https://b.example", true, "*", "https://b.example/"),
            ("/x", true, "/é b", "/x/%C3%A9%20b"),
        ] {
            assert_eq!(location(to, keep, None, path).as_deref(), Some(expected));
        }
    }

    #[test]
    fn the_host_is_put_in_without_its_port() {
        let to = |host| location("https://{host}:8443", true, host, "/a");
        assert_eq!(
            to(Some("a.example:80")).as_deref(),
            Some("https://a.example:8443/a")
        );
        assert_eq!(
            to(Some("[::1]:80")).as_deref(),
            Some("https://[::1]:8443/a")
        );
        for bad in [
            None,
            Some(""),
            Some("a/b"),
            Some("a@b"),
            Some("a b"),
            Some("a?x"),
        ] {
            assert_eq!(to(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_client_cannot_choose_the_host() {
        for path in [
            "//evil.example/x",
            "/\\evil.example/x",
            "/\\/evil.example/x",
            "\\\\evil.example/x",
        ] {
            let found = location("/{host}", true, Some("a"), path);
            assert_eq!(found.as_deref(), Some("/a/evil.example/x"));
            assert_eq!(
                location("/x/", true, None, path).as_deref(),
                Some("/x/evil.example/x")
            );
        }
    }

    proptest! {
        #[test]
        fn no_request_makes_another_origin(host in "\\PC{0,12}", path in "/\\PC{0,20}") {
            if let Some(found) = location("https://b.example", true, Some(&host), &path) {
                prop_assert!(found.starts_with("https://b.example/"), "{}", found);
            }
        }
    }
}
