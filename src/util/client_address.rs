//! Who the client is, behind proxies that are trusted to say it.

use std::net::{IpAddr, SocketAddr};

use super::ranges::Ranges;

/// The client's address: the nearest one that is not a trusted proxy.
///
/// `peer` is who the connection comes from (or whom its PROXY header names), `forwarded` the values of every
/// `X-Forwarded-For`, in the order received. Each proxy appends whom it was asked by, so they are read from the right and
/// only as long as the one that wrote an entry is trusted; whatever stands further left may be the client's invention.
/// Where all are trusted it is the leftmost. An entry that is no address (`unknown`) ends the reading: the proxy that
/// wrote it is then the nearest that is known.
pub fn client_address<'a, I>(peer: IpAddr, trusted: &Ranges, forwarded: I) -> IpAddr
where
    I: IntoIterator<Item = &'a [u8]>,
    I::IntoIter: DoubleEndedIterator,
{
    let mut nearest = peer.to_canonical();
    if !trusted.contains(nearest) {
        return nearest;
    }
    let entries = forwarded
        .into_iter()
        .rev()
        .flat_map(|value| value.rsplit(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
        .filter(|entry| !entry.is_empty());
    for entry in entries {
        let Some(ip) = address(entry) else { break };
        nearest = ip;
        if !trusted.contains(ip) {
            break;
        }
    }
    nearest
}

/// An address as proxies write them: with or without port, brackets, quotes or zone.
fn address(entry: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(entry).ok()?;
    let text = text
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'))
        .unwrap_or(text);
    let ip = match text.strip_prefix('[') {
        Some(rest) => bracketed(rest)?,
        None => match text.parse::<SocketAddr>() {
            Ok(address) => address.ip(),
            Err(_) => without_zone(text).parse().ok()?,
        },
    };
    Some(ip.to_canonical())
}

/// What follows `[`: an address, `]`, and perhaps a port.
fn bracketed(rest: &str) -> Option<IpAddr> {
    let (inside, after) = rest.split_once(']')?;
    let port = after.strip_prefix(':').map(str::parse::<u16>);
    match port {
        None if !after.is_empty() => None,
        Some(Err(_)) => None,
        _ => without_zone(inside).parse().ok(),
    }
}

fn without_zone(text: &str) -> &str {
    text.split_once('%').map_or(text, |(ip, _)| ip)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn client(peer: &str, headers: &[&str]) -> IpAddr {
        let nets = ["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()];
        let headers = headers.iter().map(|header| header.as_bytes());
        client_address(ip(peer), &Ranges::new(&nets), headers)
    }

    #[test]
    fn a_stranger_is_not_believed() {
        assert_eq!(client("203.0.113.9", &["1.2.3.4"]), ip("203.0.113.9"));
        assert_eq!(client("::ffff:203.0.113.9", &[]), ip("203.0.113.9"));
    }

    #[test]
    fn the_rightmost_that_is_not_trusted_wins() {
        assert_eq!(
            client("10.0.0.1", &["6.6.6.6, 1.2.3.4, 10.9.9.9"]),
            ip("1.2.3.4")
        );
        assert_eq!(client("10.0.0.1", &["1.2.3.4"]), ip("1.2.3.4"));
        assert_eq!(client("fd00::1", &["2001:db8::5"]), ip("2001:db8::5"));
    }

    #[test]
    fn several_headers_are_one_list() {
        assert_eq!(
            client("10.0.0.1", &["6.6.6.6", "1.2.3.4,10.1.1.1", "10.2.2.2"]),
            ip("1.2.3.4")
        );
    }

    #[test]
    fn where_all_are_trusted_it_is_the_leftmost() {
        assert_eq!(client("10.0.0.1", &["10.0.0.3, 10.0.0.2"]), ip("10.0.0.3"));
        assert_eq!(client("10.0.0.1", &[]), ip("10.0.0.1"));
    }

    #[test]
    fn ports_brackets_quotes_and_zones_are_tolerated() {
        for (entry, expected) in [
            ("1.2.3.4:5678", "1.2.3.4"),
            ("[2001:db8::5]", "2001:db8::5"),
            ("[2001:db8::5]:443", "2001:db8::5"),
            ("\"[2001:db8::5]:443\"", "2001:db8::5"),
            ("2001:db8::5", "2001:db8::5"),
            ("fe80::1%eth0", "fe80::1"),
            ("[fe80::1%eth0]:1", "fe80::1"),
            ("::ffff:1.2.3.4", "1.2.3.4"),
            ("  1.2.3.4\t, ,", "1.2.3.4"),
        ] {
            assert_eq!(client("10.0.0.1", &[entry]), ip(expected), "{entry}");
        }
    }

    #[test]
    fn nothing_left_of_junk_is_believed() {
        for junk in [
            "unknown",
            "_hidden",
            "1.2.3",
            "[::1",
            "[::1]x",
            "[::1]:x",
            "1.2.3.4:99999",
        ] {
            let header = format!("6.6.6.6, {junk}, 10.0.0.7");
            assert_eq!(client("10.0.0.1", &[&header]), ip("10.0.0.7"), "{junk}");
        }
        let bytes: [&[u8]; 1] = [b"6.6.6.6, \xff\xfe"];
        let trusted = Ranges::new(&["10.0.0.0/8".parse().unwrap()]);
        assert_eq!(
            client_address(ip("10.0.0.1"), &trusted, bytes),
            ip("10.0.0.1")
        );
    }

    proptest! {
        #[test]
        fn what_a_client_writes_never_matters_once_a_trusted_proxy_appended(invention in prop::collection::vec(any::<u8>(), 0..60)) {
            let trusted = Ranges::new(&["10.0.0.0/8".parse().unwrap()]);
            let mut value = invention.clone();
            value.extend_from_slice(b", 198.51.100.7");
            let found = client_address(ip("10.0.0.1"), &trusted, [invention.as_slice(), value.as_slice()]);
            prop_assert_eq!(found, ip("198.51.100.7"));
        }

        #[test]
        fn every_written_address_is_read(address in any::<SocketAddr>()) {
            prop_assume!(!address.to_string().contains('%'));
            prop_assert_eq!(super::address(address.to_string().as_bytes()), Some(address.ip().to_canonical()));
            prop_assert_eq!(super::address(address.ip().to_string().as_bytes()), Some(address.ip().to_canonical()));
        }
    }
}
