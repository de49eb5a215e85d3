//! Addresses: to listen on (IP and port), and of peers (IP or name, and port).

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use crate::config::units::Refusal;

/// An address to listen on.
pub(super) fn listen(text: &str) -> Result<SocketAddr, Refusal> {
    let port = text
        .strip_prefix(':')
        .or_else(|| text.strip_prefix("*:"))
        .or_else(|| text.strip_prefix("localhost:"));
    match text.parse::<SocketAddr>() {
        Ok(address) if address.port() == 0 => {
            Err(Refusal::new("must have a port between 1 and 65535", ""))
        }
        Ok(address) => Ok(address),
        Err(_) => {
            let host = if text.starts_with("localhost") {
                "127.0.0.1"
            } else {
                "0.0.0.0"
            };
            let port = port
                .or_else(|| text.parse::<u16>().ok().map(|_| text))
                .unwrap_or("8080");
            Err(Refusal::new(
                "is not an IP address with a port",
                format!("such as {host}:{port} or \"[::]:{port}\""),
            ))
        }
    }
}

/// Host and port of a peer. The host of an IPv6 address comes without brackets, names in lower case.
pub(super) fn peer(text: &str) -> Result<(String, u16), Refusal> {
    const SUCH_AS: &str = "such as 10.0.0.11:8000, gpu-1.internal:8000 or \"[fd00::1]:8000\"";
    if let Some(rest) = text.strip_prefix("http://") {
        return Err(Refusal::new(
            "has a scheme",
            format!("write {}", rest.trim_end_matches('/')),
        ));
    }
    if text.starts_with("https://") {
        return Err(Refusal::new(
            "has a scheme",
            "write host:port here and `tls: on` in the pool",
        ));
    }
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.starts_with('[') => (host, port),
        Some(_) => {
            return Err(Refusal::new(
                "is an IPv6 address without brackets or port",
                SUCH_AS,
            ));
        }
        None => return Err(Refusal::new("has no port", format!("such as {text}:8000"))),
    };
    let port = match port.parse::<u16>() {
        Ok(port) if port > 0 => port,
        _ => {
            return Err(Refusal::new(
                "must have a port between 1 and 65535",
                SUCH_AS,
            ));
        }
    };
    match host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
    {
        Some(inside) => match inside.parse::<Ipv6Addr>() {
            Ok(ip) => Ok((ip.to_string(), port)),
            Err(_) => Err(Refusal::new("has no IPv6 address in its brackets", SUCH_AS)),
        },
        None if host_is_good(host) => Ok((host.to_ascii_lowercase(), port)),
        None => Err(Refusal::new(
            "is neither an IP address nor a name, with a port",
            SUCH_AS,
        )),
    }
}

/// An IP address or a DNS name.
pub(super) fn host_is_good(host: &str) -> bool {
    if host.chars().all(|c| c.is_ascii_digit() || c == '.') {
        return host.parse::<IpAddr>().is_ok();
    }
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
    };
    host.len() <= 253 && host.strip_suffix('.').unwrap_or(host).split('.').all(label)
}

/// Whether a connection to `host:port` would reach the listener.
pub(super) fn reaches(host: &str, port: u16, listener: SocketAddr) -> bool {
    let host = match host {
        "localhost" => "127.0.0.1",
        host => host,
    };
    let same_ip = host.parse::<IpAddr>().is_ok_and(|ip| {
        ip == listener.ip()
            || (listener.ip().is_unspecified() && (ip.is_loopback() || ip.is_unspecified()))
    });
    same_ip && port == listener.port()
}

/// Whether two listeners cannot both be opened.
pub(super) fn collide(a: SocketAddr, b: SocketAddr) -> bool {
    let wide = a.is_ipv4() == b.is_ipv4() && (a.ip().is_unspecified() || b.ip().is_unspecified());
    a.port() == b.port() && (wide || a.ip() == b.ip())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn peers_are_read_by_ip_and_by_name() {
        assert_eq!(peer("10.0.0.11:8000"), Ok(("10.0.0.11".to_owned(), 8000)));
        assert_eq!(
            peer("GPU-1.svc.cluster.local.:80"),
            Ok(("gpu-1.svc.cluster.local.".to_owned(), 80))
        );
        assert_eq!(peer("[FD00::0:1]:8000"), Ok(("fd00::1".to_owned(), 8000)));
    }

    #[test]
    fn what_is_no_peer_is_refused_with_the_reason() {
        let reason = |text: &str| peer(text).unwrap_err().reason;
        assert_eq!(peer("http://a:80/").unwrap_err().hint, "write a:80");
        let https = peer("https://api.openai.com").unwrap_err();
        assert!(https.hint.contains("tls: on"), "{https:?}");
        assert!(reason("fd00::1").contains("brackets"));
        assert!(reason("host").contains("no port"));
        for text in [
            "a:0",
            "a:65536",
            "a:x",
            "a:",
            "10.0.0:80",
            "256.0.0.1:80",
            "a..b:80",
            "a b:80",
            "a/b:80",
            ":80",
            "[::g]:80",
        ] {
            assert!(peer(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_listener_needs_an_ip_and_a_port() {
        assert!(listen("0.0.0.0:8080").is_ok() && listen("[::]:8080").is_ok());
        assert_eq!(
            listen(":9000").unwrap_err().hint,
            "such as 0.0.0.0:9000 or \"[::]:9000\""
        );
        assert_eq!(
            listen("localhost:9000").unwrap_err().hint,
            "such as 127.0.0.1:9000 or \"[::]:9000\""
        );
        assert!(listen("0.0.0.0:0").is_err() && listen("8080").is_err());
    }

    #[test]
    fn listeners_that_cannot_both_open_collide() {
        let at = |text: &str| text.parse::<SocketAddr>().unwrap();
        assert!(collide(at("0.0.0.0:80"), at("127.0.0.1:80")));
        assert!(!collide(at("127.0.0.1:80"), at("127.0.0.2:80")));
        assert!(!collide(at("0.0.0.0:80"), at("0.0.0.0:81")));
        assert!(
            reaches("localhost", 80, at("0.0.0.0:80"))
                && !reaches("10.0.0.1", 80, at("0.0.0.0:80"))
        );
    }

    proptest! {
        #[test]
        fn every_socket_address_is_a_peer(address in any::<SocketAddr>()) {
            prop_assume!(address.port() > 0);
            let address = SocketAddr::new(address.ip(), address.port());
            prop_assert_eq!(peer(&address.to_string()), Ok((address.ip().to_string(), address.port())));
        }
    }
}
