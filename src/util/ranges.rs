//! A set of address ranges that is asked often and never changed.

use std::net::IpAddr;

use ipnet::IpNet;

/// Address ranges, merged and sorted, so that asking is a binary search however many there are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ranges(Vec<IpNet>);

impl Ranges {
    /// The union of `nets`.
    pub fn new(nets: &[IpNet]) -> Self {
        let mut nets = IpNet::aggregate(&nets.to_vec());
        nets.sort_unstable_by_key(IpNet::network);
        Self(nets)
    }

    /// Whether there is none, so that nothing is contained.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `ip` is in one of them. An IPv4 address that comes as IPv6 (`::ffff:10.0.0.1`, as a socket that takes both
    /// says it) is taken for what it is.
    pub fn contains(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        let after = self.0.partition_point(|net| net.network() <= ip);
        // Merged ranges do not overlap, so only the last that begins before can hold it.
        after
            .checked_sub(1)
            .and_then(|at| self.0.get(at))
            .is_some_and(|net| net.contains(&ip))
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use ipnet::Ipv4Net;
    use proptest::prelude::*;

    use super::*;

    fn ranges(nets: &[&str]) -> Ranges {
        let nets: Vec<IpNet> = nets.iter().map(|net| net.parse().unwrap()).collect();
        Ranges::new(&nets)
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_is_found_in_its_range_in_either_family() {
        let ranges = ranges(&["10.0.0.0/8", "192.168.1.7/32", "fd00::/8"]);
        assert!(ranges.contains(ip("10.255.0.1")) && ranges.contains(ip("192.168.1.7")));
        assert!(ranges.contains(ip("fd12::1")) && ranges.contains(ip("::ffff:10.0.0.1")));
        assert!(!ranges.contains(ip("11.0.0.0")) && !ranges.contains(ip("192.168.1.8")));
        assert!(!ranges.contains(ip("fe80::1")) && !ranges.contains(ip("::10.0.0.1")));
    }

    #[test]
    fn no_range_holds_nobody_and_the_widest_everybody() {
        assert!(!ranges(&[]).contains(ip("10.0.0.1")) && ranges(&[]).is_empty());
        let all = ranges(&["0.0.0.0/0", "::/0"]);
        assert!(all.contains(ip("0.0.0.0")) && all.contains(ip("255.255.255.255")));
        assert!(all.contains(ip("::")) && all.contains(ip("ffff::1")));
    }

    proptest! {
        #[test]
        fn the_search_says_what_asking_each_range_says(
            nets in prop::collection::vec((0u32..64, 24u8..=32), 0..8),
            host in 0u32..64,
        ) {
            let base = u32::from(Ipv4Addr::new(10, 0, 0, 0));
            let nets: Vec<IpNet> = nets
                .into_iter()
                .map(|(host, bits)| IpNet::V4(Ipv4Net::new(Ipv4Addr::from(base + host), bits).unwrap().trunc()))
                .collect();
            let ip = IpAddr::V4(Ipv4Addr::from(base + host));
            prop_assert_eq!(Ranges::new(&nets).contains(ip), nets.iter().any(|net| net.contains(&ip)));
        }
    }
}
