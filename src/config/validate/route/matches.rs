//! `match`: what a request must be.

use std::net::{IpAddr, Ipv6Addr};

use globset::{GlobBuilder, GlobMatcher};
use http::Method;

use super::header;
use crate::config::model::{HeaderMatch, HostPattern, Match};
use crate::config::raw::{Leaf, Named, OneOrMore, RawMatch};
use crate::config::units::Refusal;
use crate::config::validate::address::host_is_good;
use crate::config::validate::section::Section;

pub(super) fn matches(mut s: Section<'_>, raw: Option<&RawMatch>) -> Match {
    let Some(raw) = raw else {
        return Match::default();
    };
    let path = raw.path.as_ref().and_then(Leaf::text).unwrap_or_default();
    if ["//", "/./", "/../", "%"]
        .iter()
        .any(|part| path.contains(part))
    {
        let text = "never matches: paths are compared with escapes, //, . and .. resolved";
        s.warn("path", text);
    }
    Match {
        hosts: each(&mut s, "host", raw.host.as_ref(), host),
        path: s.read("path", raw.path.as_ref(), |text| {
            match text.starts_with(['/', '*', '{', '[', '?']) {
                true => glob(text),
                false => Err(Refusal::new(
                    "must begin with / or a wildcard",
                    format!("write /{text}"),
                )),
            }
        }),
        methods: each(&mut s, "method", raw.method.as_ref(), method),
        headers: headers(s.key("headers"), raw.headers.as_ref()),
        model: s.read("model", raw.model.as_ref(), glob),
        tenant: s.read("tenant", raw.tenant.as_ref(), glob),
    }
}

/// One value or a list of them under `key`.
fn each<T>(
    s: &mut Section<'_>,
    key: &str,
    raw: Option<&OneOrMore>,
    parse: impl Fn(&str) -> Result<T, Refusal>,
) -> Vec<T> {
    let Some(raw) = raw else { return Vec::new() };
    if raw.is_empty() {
        s.refuse(key, None, "is empty", "leave it out to match all");
    }
    let at = s.at.key(key);
    let read = |(n, leaf): (Option<usize>, Leaf)| {
        let at = n.map_or_else(|| at.clone(), |n| at.index(n));
        s.read_at(&at, Some(&leaf), &parse)
    };
    raw.each().into_iter().filter_map(read).collect()
}

fn host(text: &str) -> Result<HostPattern, Refusal> {
    const SUCH_AS: &str = "such as api.example.com or \"*.example.com\"";
    let lower = text.to_ascii_lowercase();
    let lower = lower.strip_suffix('.').unwrap_or(&lower);
    if let Some(suffix) = lower.strip_prefix("*.") {
        return match host_is_good(suffix) && suffix.parse::<IpAddr>().is_err() {
            true => Ok(HostPattern::Under(suffix.to_owned())),
            false => Err(Refusal::new("is not *. and a name", SUCH_AS)),
        };
    }
    let bare = lower
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(lower);
    if let Ok(ip) = bare.parse::<Ipv6Addr>() {
        return Ok(HostPattern::Exact(ip.to_string()));
    }
    match host_is_good(lower) {
        true => Ok(HostPattern::Exact(lower.to_owned())),
        false if lower == "*" => Err(Refusal::new("is any host", "leave it out to match all")),
        false if lower.contains("://") => Err(Refusal::new("has a scheme", SUCH_AS)),
        false if lower.contains(':') => Err(Refusal::new(
            "has a port, which is not compared",
            "write the name alone",
        )),
        false => Err(Refusal::new("is neither a host nor *. and a name", SUCH_AS)),
    }
}

/// Methods are told apart by case; every common one is in capitals.
fn method(text: &str) -> Result<Method, Refusal> {
    let refusal = || Refusal::new("is not a method", "such as GET or POST");
    let method = Method::from_bytes(text.as_bytes()).map_err(|_| refusal())?;
    let upper = text.to_ascii_uppercase();
    match text == upper {
        true => Ok(method),
        false => Err(Refusal::new("is not in capitals", format!("write {upper}"))),
    }
}

fn headers(mut s: Section<'_>, raw: Option<&Named<Leaf>>) -> Vec<HeaderMatch> {
    let mut matches: Vec<HeaderMatch> = Vec::new();
    for (text, leaf) in raw.map(|raw| raw.0.as_slice()).unwrap_or_default() {
        let name = match header::name(text) {
            Ok(name) => name,
            Err(refusal) => {
                s.refuse(text, leaf.as_ref(), refusal.reason, &refusal.hint);
                continue;
            }
        };
        if matches.iter().any(|known| known.name == name) {
            s.refuse(text, leaf.as_ref(), "is there twice, in another case", "");
        }
        let read = s.read(text, leaf.as_ref(), |text| match text.strip_prefix('!') {
            Some(rest) => Ok((true, glob(rest)?)),
            None => Ok((false, glob(text)?)),
        });
        matches.extend(read.map(|(negated, value)| HeaderMatch {
            name,
            value,
            negated,
        }));
    }
    matches
}

/// `*` crosses `/`: `/v1/*` is everything under it.
pub(in crate::config::validate) fn glob(text: &str) -> Result<GlobMatcher, Refusal> {
    if text.is_empty() {
        return Err(Refusal::new(
            "is empty",
            "write \"*\" or leave it out to match all",
        ));
    }
    let built = GlobBuilder::new(text)
        .literal_separator(false)
        .backslash_escape(true)
        .build();
    built.map(|glob| glob.compile_matcher()).map_err(|error| {
        Refusal::new(
            format!("is not a pattern: {}", error.kind()),
            "* any text, ? one character, [ab] one of, {a,b} either",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_names_addresses_and_everything_under_a_name() {
        let exact = |text: &str| HostPattern::Exact(text.to_owned());
        assert_eq!(host("API.Example.com."), Ok(exact("api.example.com")));
        assert_eq!(host("10.0.0.1"), Ok(exact("10.0.0.1")));
        assert_eq!(host("[FD00::0:1]"), Ok(exact("fd00::1")));
        assert_eq!(
            host("*.Example.com"),
            Ok(HostPattern::Under("example.com".to_owned()))
        );
        for text in [
            "",
            "*",
            "*.",
            "*.*.com",
            "a.*.com",
            "a.com:443",
            "https://a.com",
            "a b",
            "*.1.2.3.4",
        ] {
            assert!(host(text).is_err(), "{text}");
        }
    }

    #[test]
    fn methods_are_tokens_in_capitals() {
        assert_eq!(method("POST"), Ok(Method::POST));
        assert!(method("PROPFIND").is_ok());
        assert_eq!(method("post").unwrap_err().hint, "write POST");
        assert!(method("").is_err() && method("GET /").is_err());
    }

    #[test]
    fn a_star_crosses_slashes() {
        let path = glob("/v1/*").unwrap();
        assert!(
            path.is_match("/v1/chat/completions")
                && path.is_match("/v1/")
                && !path.is_match("/v2/chat")
        );
    }

    #[test]
    fn a_bad_pattern_is_refused_not_guessed() {
        assert!(glob("a[").is_err() && glob("{a").is_err() && glob("").is_err());
    }
}
