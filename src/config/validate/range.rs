//! Address ranges: `10.0.0.0/8`, `fd00::/8`, or one address.

use std::net::IpAddr;

use ipnet::IpNet;

use super::section::Section;
use crate::config::raw::{Leaf, List};
use crate::config::units::Refusal;

/// A list of ranges under `key`.
pub(super) fn ranges(s: &mut Section<'_>, key: &str, raw: Option<&List<Leaf>>) -> Vec<IpNet> {
    let at = s.at.key(key);
    let mut ranges = Vec::new();
    for (n, leaf) in raw.into_iter().flatten().enumerate() {
        ranges.extend(s.read_at(&at.index(n), leaf.as_ref(), range));
    }
    ranges
}

/// One range. IPv4 written as IPv6 (`::ffff:10.0.0.0/104`) becomes IPv4, as addresses of clients do.
fn range(text: &str) -> Result<IpNet, Refusal> {
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Ok(IpNet::from(ip.to_canonical()));
    }
    let range: IpNet = text.parse().map_err(|_| {
        Refusal::new(
            "is not an address range",
            "such as 10.0.0.0/8, 192.168.1.7 or \"fd00::/8\"",
        )
    })?;
    if range.trunc() != range {
        return Err(Refusal::new(
            format!("has address bits beyond /{}", range.prefix_len()),
            format!(
                "write {}, or {} for this address",
                range.trunc(),
                range.addr()
            ),
        ));
    }
    let mapped = range.prefix_len().checked_sub(96);
    match (range.network().to_canonical(), mapped) {
        (ip @ IpAddr::V4(_), Some(bits)) if range.network().is_ipv6() => {
            Ok(IpNet::new(ip, bits).unwrap_or(range))
        }
        _ => Ok(range),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_and_single_addresses_are_read() {
        for (text, expected) in [
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("192.168.1.7", "192.168.1.7/32"),
            ("fd00::/8", "fd00::/8"),
            ("::1", "::1/128"),
            ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
            ("::ffff:10.0.0.1", "10.0.0.1/32"),
            ("::/0", "::/0"),
        ] {
            assert_eq!(range(text).unwrap().to_string(), expected);
        }
    }

    #[test]
    fn what_is_no_range_is_refused_with_what_to_write() {
        assert_eq!(
            range("10.1.2.3/8").unwrap_err().hint,
            "write 10.0.0.0/8, or 10.1.2.3 for this address"
        );
        for text in [
            "",
            "all",
            "10.0.0.0/33",
            "10.0/8",
            "10.0.0.0-10.0.0.9",
            "fd00::/129",
        ] {
            assert!(range(text).is_err(), "{text}");
        }
    }
}
