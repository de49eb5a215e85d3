//! Changes of a request on its way to a peer, and of the answer on its way back.

use std::borrow::Cow;

use super::headers::HeaderEdits;
use super::path::next_byte;
use crate::config::model;

/// What a route changes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rewrite {
    strip: Option<String>,
    add: Option<String>,
    /// What of it a peer sees, as a text that is the same for the same changes only; empty where there are none.
    pub asked: String,
    /// Headers of the request.
    pub request: HeaderEdits,
    /// Headers of the answer.
    pub response: HeaderEdits,
}

/// A path that must not be put behind a prefix: it climbs with `..`, out of wherever the prefix leads to. The answer is 400.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadTarget;

impl Rewrite {
    pub(super) fn new(conf: &model::Rewrite) -> Self {
        Self {
            asked: asked(conf),
            strip: conf.strip_prefix.clone(),
            add: conf.add_prefix.clone(),
            request: HeaderEdits::new(&conf.request),
            response: HeaderEdits::new(&conf.response),
        }
    }

    /// Whether paths are changed.
    pub fn changes_path(&self) -> bool {
        self.strip.is_some() || self.add.is_some()
    }

    /// The path and query to ask a peer for. Only the front of the path is touched; the rest goes on as it was written. A path
    /// that does not begin with the prefix, as whole segments, keeps its front. `*`, the target of `OPTIONS *`, stays.
    ///
    /// # Errors
    /// Where the route changes paths and this one has a `..` segment, escaped or not.
    pub fn target<'a>(&self, path_and_query: &'a str) -> Result<Cow<'a, str>, BadTarget> {
        if !self.changes_path() || !path_and_query.starts_with('/') {
            return Ok(Cow::Borrowed(path_and_query));
        }
        let path = path_and_query.split(['?', '#']).next().unwrap_or_default();
        if climbs(path) {
            return Err(BadTarget);
        }
        let strip = self.strip.as_deref().unwrap_or_default();
        let rest = match after(path.as_bytes(), strip.as_bytes()) {
            // The front is ASCII, so what is left begins at a character.
            Some(left) => &path_and_query[path.len() - left..],
            None => path_and_query,
        };
        let add = self.add.as_deref().unwrap_or_default();
        // `//x` would be read as a host.
        let rest = match rest.strip_prefix('/') {
            Some(after) => after.trim_start_matches('/'),
            None if add.is_empty() => rest,
            None => return Ok(Cow::Owned(format!("{add}{rest}"))),
        };
        Ok(Cow::Owned(format!("{add}/{rest}")))
    }
}

/// How many bytes of `path` follow `prefix`, where it begins with it as whole segments. Escapes and runs of `/` in the path are
/// taken for what they mean, as they are when its route is found.
fn after(mut path: &[u8], prefix: &[u8]) -> Option<usize> {
    for expected in prefix {
        let (byte, rest) = next_byte(path)?;
        if byte != *expected {
            return None;
        }
        path = rest;
        while byte == b'/' && path.first() == Some(&b'/') {
            path = &path[1..];
        }
    }
    matches!(path.first(), None | Some(b'/')).then_some(path.len())
}

fn climbs(path: &str) -> bool {
    let (mut dots, mut others) = (0, 0);
    let mut rest = path.as_bytes();
    while let Some((byte, after)) = next_byte(rest) {
        rest = after;
        match byte {
            // Some peers read a backslash as a slash.
            b'/' | b'\\' if dots == 2 && others == 0 => return true,
            b'/' | b'\\' => (dots, others) = (0, 0),
            b'.' => dots += 1,
            _ => others += 1,
        }
    }
    dots == 2 && others == 0
}

fn asked(conf: &model::Rewrite) -> String {
    let mut asked = String::new();
    let prefixes = [("strip", &conf.strip_prefix), ("add", &conf.add_prefix)];
    for (what, prefix) in prefixes {
        if let Some(prefix) = prefix {
            asked += &format!("{what} {prefix:?}\n");
        }
    }
    for name in &conf.request.remove {
        asked += &format!("remove {name}\n");
    }
    for (what, pairs) in [("set", &conf.request.set), ("append", &conf.request.add)] {
        for (name, value) in pairs {
            asked += &format!("{what} {name}: {}\n", value.as_bytes().escape_ascii());
        }
    }
    asked
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rewrite(strip: &str, add: &str) -> Rewrite {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Rewrite {
            strip: some(strip),
            add: some(add),
            ..Rewrite::default()
        }
    }

    #[test]
    fn a_prefix_is_stripped_and_another_added() {
        let both = rewrite("/v1", "/api");
        for (from, to) in [
            ("/v1/chat?x=/v1", "/api/chat?x=/v1"),
            ("/v1", "/api"),
            ("/v1?x", "/api?x"),
            ("/v1/", "/api/"),
            ("/v1//chat", "/api/chat"),
            ("/v1x/chat", "/api/v1x/chat"),
            ("/other", "/api/other"),
            ("/%76%31/a%2Fb", "/api/a%2Fb"),
            ("//v1/chat", "/api/chat"),
            ("/v1%2Fchat", "/api/v1%2Fchat"),
            ("/v1/é?ü", "/api/é?ü"),
        ] {
            assert_eq!(both.target(from).as_deref(), Ok(to), "{from}");
        }
    }

    #[test]
    fn what_is_stripped_whole_leaves_the_root() {
        let strip = rewrite("/v1", "");
        for (from, to) in [
            ("/v1", "/"),
            ("/v1?x=1", "/?x=1"),
            ("/v1//evil.example", "/evil.example"),
            ("/v1/a", "/a"),
        ] {
            assert_eq!(strip.target(from).as_deref(), Ok(to), "{from}");
        }
    }

    #[test]
    fn without_a_path_rewrite_nothing_is_touched() {
        let none = Rewrite::default();
        for target in ["/a/../b", "//x", "*", "/"] {
            assert!(matches!(none.target(target), Ok(Cow::Borrowed(same)) if same == target));
        }
        assert_eq!(rewrite("/v1", "/x").target("*").as_deref(), Ok("*"));
    }

    #[test]
    fn nobody_climbs_out_of_a_prefix() {
        for target in [
            "/v1/../admin",
            "/v1/%2e%2E/admin",
            "/v1/..%2fadmin",
            "/v1/..",
            "/v1/..\\admin",
            "/v1/..?x",
        ] {
            assert_eq!(
                rewrite("/v1", "/api").target(target),
                Err(BadTarget),
                "{target}"
            );
        }
        assert!(rewrite("/v1", "/api").target("/v1/..a/...?x=/../").is_ok());
    }

    proptest! {
        #[test]
        fn what_comes_out_is_a_target_and_keeps_its_query(
            path in "/[v1/a.%2]{0,10}",
            query in "(\\?[a/?.]{0,5})?",
            strip in prop::sample::select(vec!["", "/v1", "/v1/a"]),
            add in prop::sample::select(vec!["", "/api"]),
        ) {
            let from = format!("{path}{query}");
            if let Ok(to) = rewrite(strip, add).target(&from) {
                prop_assert!(to.starts_with('/') && to.ends_with(&query), "{} {}", from, to);
                prop_assert!(strip.is_empty() && add.is_empty() || !to.starts_with("//"), "{} {}", from, to);
                prop_assert!(to.starts_with(add), "{} {}", from, to);
            }
        }
    }
}
