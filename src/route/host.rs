//! Hosts of requests, and patterns for them.

use crate::config::model::HostPattern;

/// The name or address in a `Host` header or an authority: without port, brackets and the dot at the end.
pub(super) fn bare(host: &str) -> &str {
    let host = match host.strip_prefix('[') {
        Some(rest) => rest.split_once(']').map_or(rest, |(inside, _)| inside),
        None => match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
            _ => host,
        },
    };
    host.strip_suffix('.').unwrap_or(host)
}

/// Whether `host`, as `bare` leaves it and in any case, is what the pattern says.
pub(super) fn matches(pattern: &HostPattern, host: &str) -> bool {
    match pattern {
        HostPattern::Exact(name) => host.eq_ignore_ascii_case(name),
        HostPattern::Under(suffix) => {
            let (host, suffix) = (host.as_bytes(), suffix.as_bytes());
            let above = host.len().checked_sub(suffix.len() + 1);
            above.is_some_and(|above| {
                above > 0 && host[above] == b'.' && host[above + 1..].eq_ignore_ascii_case(suffix)
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn under(suffix: &str, host: &str) -> bool {
        matches(&HostPattern::Under(suffix.to_owned()), bare(host))
    }

    fn exact(name: &str, host: &str) -> bool {
        matches(&HostPattern::Exact(name.to_owned()), bare(host))
    }

    #[test]
    fn port_dot_and_case_do_not_matter() {
        for host in [
            "a.example.com",
            "A.Example.COM",
            "a.example.com:8443",
            "a.example.com.",
            "a.example.com.:80",
        ] {
            assert!(exact("a.example.com", host), "{host}");
        }
        assert!(exact("fd00::1", "[fd00::1]:8080") && exact("10.0.0.1", "10.0.0.1:80"));
        assert!(!exact("a.example.com", "b.a.example.com") && !exact("a.example.com", ""));
    }

    #[test]
    fn a_wildcard_takes_one_label_or_more_and_not_the_name_itself() {
        assert!(under("example.com", "a.example.com") && under("example.com", "A.B.Example.com:1"));
        assert!(!under("example.com", "example.com") && !under("example.com", ".example.com"));
        assert!(!under("example.com", "badexample.com") && !under("example.com", ""));
    }

    proptest! {
        #[test]
        fn no_host_makes_it_panic(host in "\\PC{0,20}", suffix in "\\PC{0,8}") {
            let _ = under(&suffix, &host);
            let _ = exact(&suffix, &host);
        }

        #[test]
        fn a_wildcard_is_what_ends_in_dot_and_suffix(host in "[ab.]{1,8}", suffix in "[ab]{1,2}(\\.[ab])?") {
            let host = bare(&host);
            let expected = host.len() > suffix.len() + 1 && host.ends_with(&format!(".{suffix}"));
            prop_assert_eq!(matches(&HostPattern::Under(suffix), host), expected);
        }
    }
}
