//! Who may use a route, by address.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::util::ranges::Ranges;

/// Allowed and denied addresses. Denied wins; where none is allowed by name, all are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Access {
    allow: Ranges,
    deny: Ranges,
}

impl Access {
    /// From a route's `allow` and `deny`.
    pub fn new(allow: &[IpNet], deny: &[IpNet]) -> Self {
        Self {
            allow: Ranges::new(allow),
            deny: Ranges::new(deny),
        }
    }

    /// Whether everybody may, so that nobody needs to be asked.
    pub fn is_open(&self) -> bool {
        self.allow.is_empty() && self.deny.is_empty()
    }

    /// Whether a client at `ip` may use the route; if not, the answer is 403.
    pub fn admits(&self, ip: IpAddr) -> bool {
        !self.deny.contains(ip) && (self.allow.is_empty() || self.allow.contains(ip))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(allow: &[&str], deny: &[&str]) -> Access {
        let nets =
            |nets: &[&str]| -> Vec<IpNet> { nets.iter().map(|net| net.parse().unwrap()).collect() };
        Access::new(&nets(allow), &nets(deny))
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn without_lists_everybody_is_admitted() {
        assert!(Access::default().admits(ip("203.0.113.9")) && Access::default().admits(ip("::1")));
    }

    #[test]
    fn deny_wins_over_allow() {
        let access = access(&["10.0.0.0/8"], &["10.1.0.0/16"]);
        assert!(access.admits(ip("10.2.0.1")) && access.admits(ip("::ffff:10.2.0.1")));
        assert!(!access.admits(ip("10.1.0.1")) && !access.admits(ip("::ffff:10.1.0.1")));
        assert!(!access.admits(ip("192.168.0.1")) && !access.admits(ip("fd00::1")));
    }

    #[test]
    fn deny_alone_lets_the_others_in() {
        let access = access(&[], &["2001:db8::/32"]);
        assert!(access.admits(ip("10.0.0.1")) && !access.admits(ip("2001:db8::1")));
    }
}
