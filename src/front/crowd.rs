//! How many connections there are, in all and from each address.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use dashmap::DashMap;

use crate::config::model::ClientRules;

/// Connections that are open, on all listeners.
#[derive(Debug, Default)]
pub struct Crowd {
    all: AtomicUsize,
    by_address: DashMap<IpAddr, usize>,
    http2: AtomicUsize,
}

/// One HTTP/2 connection, from its first byte until its last one is sent.
#[derive(Debug)]
pub(super) struct Http2(Arc<Crowd>);

impl Drop for Http2 {
    fn drop(&mut self) {
        self.0.http2.fetch_sub(1, Ordering::Release);
    }
}

/// One open connection; dropping it makes room for another.
#[derive(Debug)]
pub(super) struct Seat {
    crowd: Arc<Crowd>,
    address: Option<IpAddr>,
}

/// Which cap is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Crowded {
    All,
    Address,
}

impl Crowded {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::All => "connections",
            Self::Address => "connections_per_address",
        }
    }
}

impl Crowd {
    /// Open HTTP/2 connections. Their requests are over before the last bytes of their answers have left.
    pub fn http2(&self) -> usize {
        self.http2.load(Ordering::Acquire)
    }

    pub(super) fn enter_http2(self: &Arc<Self>) -> Http2 {
        self.http2.fetch_add(1, Ordering::Relaxed);
        Http2(Arc::clone(self))
    }

    /// A seat for a connection from `address`. Addresses of one IPv6 /64, which one customer has, count as one.
    pub(super) fn enter(
        self: &Arc<Self>,
        address: Option<IpAddr>,
        rules: &ClientRules,
    ) -> Result<Seat, Crowded> {
        // Counted before it is compared: two that come at once must not both take the last seat.
        let seat = Seat {
            crowd: Arc::clone(self),
            address: None,
        };
        if self.all.fetch_add(1, Ordering::Relaxed) >= rules.max_connections {
            return Err(Crowded::All);
        }
        let (Some(address), Some(most)) = (address, rules.max_connections_per_address) else {
            return Ok(seat);
        };
        let address = network(address);
        let mut count = self.by_address.entry(address).or_insert(0);
        if *count >= most {
            return Err(Crowded::Address);
        }
        *count += 1;
        drop(count);
        let mut seat = seat;
        seat.address = Some(address);
        Ok(seat)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.crowd.all.fetch_sub(1, Ordering::Relaxed);
        if let Some(address) = self.address {
            self.crowd.by_address.remove_if_mut(&address, |_, count| {
                *count -= 1;
                *count == 0
            });
        }
    }
}

fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(ip) => Ipv6Addr::from(u128::from(ip) & !u128::from(u64::MAX)).into(),
        ip => ip,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(max_connections: usize, per_address: usize) -> ClientRules {
        ClientRules {
            max_connections,
            max_connections_per_address: Some(per_address),
            ..crate::front::rules::of_a_test().client
        }
    }

    #[test]
    fn an_address_has_its_share_of_seats_and_gets_them_back() {
        let crowd = Arc::new(Crowd::default());
        let rules = rules(3, 2);
        let enter = |text: &str| crowd.enter(Some(text.parse().expect("an address")), &rules);
        let (first, _second) = (
            enter("10.0.0.1").expect("room"),
            enter("10.0.0.1").expect("room"),
        );
        assert_eq!(enter("10.0.0.1").err(), Some(Crowded::Address));
        assert_eq!(enter("::ffff:10.0.0.1").err(), Some(Crowded::Address));
        let _third = enter("10.0.0.2").expect("room");
        assert_eq!(enter("10.0.0.3").err(), Some(Crowded::All));
        drop(first);
        let again = enter("10.0.0.1").expect("room again");
        assert_eq!(crowd.by_address.len(), 2);
        drop(again);
        assert_eq!(crowd.all.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn one_ipv6_customer_counts_as_one() {
        let crowd = Arc::new(Crowd::default());
        let rules = rules(100, 1);
        let enter = |text: &str| crowd.enter(Some(text.parse().expect("an address")), &rules);
        let _seat = enter("2001:db8::1").expect("room");
        assert!(enter("2001:db8::2").is_err());
        assert!(enter("2001:db8:0:1::1").is_ok());
        assert_eq!(crowd.by_address.len(), 1, "who left is forgotten");
    }
}
