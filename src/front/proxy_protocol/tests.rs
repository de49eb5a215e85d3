use proptest::prelude::*;
use tokio::io::AsyncWriteExt;

use super::*;

const LONG: Duration = Duration::from_secs(20);

fn v1_line(source: SocketAddr, destination: SocketAddr) -> Vec<u8> {
    let family = if source.is_ipv4() { "TCP4" } else { "TCP6" };
    format!(
        "PROXY {family} {} {} {} {}\r\n",
        source.ip(),
        destination.ip(),
        source.port(),
        destination.port()
    )
    .into_bytes()
}

fn v2_bytes(command: u8, family: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = v2::PROTOCOL_PREFIX.to_vec();
    bytes.extend([0x20 | command, family]);
    bytes.extend(u16::try_from(payload.len()).expect("short").to_be_bytes());
    bytes.extend(payload);
    bytes
}

fn v2_addresses(source: SocketAddr, destination: SocketAddr, more: &[u8]) -> Vec<u8> {
    let mut payload = Vec::new();
    let mut family = 0x21;
    for address in [source, destination] {
        match address.ip() {
            IpAddr::V4(ip) => {
                family = 0x11;
                payload.extend(ip.octets());
            }
            IpAddr::V6(ip) => payload.extend(ip.octets()),
        }
    }
    payload.extend(source.port().to_be_bytes());
    payload.extend(destination.port().to_be_bytes());
    payload.extend(more);
    v2_bytes(1, family, &payload)
}

/// What is read when `parts` arrive one after the other and the connection then ends.
async fn arriving(parts: Vec<Vec<u8>>) -> Result<Header, Refused> {
    let (mut theirs, mut ours) = tokio::io::duplex(64 * 1024);
    let sender = async move {
        for part in parts {
            theirs.write_all(&part).await.expect("room");
            tokio::task::yield_now().await;
        }
    };
    let (header, ()) = tokio::join!(
        async {
            let header = read(&mut ours, LONG).await?;
            let mut rest = header.rest.clone();
            ours.read_to_end(&mut rest).await.expect("open");
            Ok(Header { rest, ..header })
        },
        sender
    );
    header
}

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime")
        .block_on(future)
}

fn same_family() -> impl Strategy<Value = (SocketAddr, SocketAddr)> {
    let v4 = any::<([u8; 4], u16, [u8; 4], u16)>()
        .prop_map(|(a, p, b, q)| ((a, p).into(), (b, q).into()));
    // Not the IPv4 addresses written as IPv6.
    let v6 = any::<([u16; 8], u16, [u16; 8], u16)>().prop_map(|(mut a, p, mut b, q)| {
        (a[0], b[0]) = (0x2001, 0x2001);
        ((a, p).into(), (b, q).into())
    });
    prop_oneof![v4, v6]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn both_versions_are_read_however_they_are_split_and_no_byte_behind_them_is_lost(
        (source, destination) in same_family(),
        version in 1..=2,
        extension in proptest::collection::vec(any::<u8>(), 0..300),
        follows in proptest::collection::vec(any::<u8>(), 0..300),
        cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..8),
    ) {
        let mut all = match version {
            1 => v1_line(source, destination),
            _ => v2_addresses(source, destination, &extension),
        };
        all.extend(&follows);
        let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(all.len())).collect();
        at.extend([0, all.len()]);
        at.sort_unstable();
        let parts = at.windows(2).map(|pair| all[pair[0]..pair[1]].to_vec()).collect();
        let header = run(arriving(parts)).expect("a header");
        prop_assert_eq!(header.origin, Origin::Client { source, destination });
        prop_assert_eq!(header.rest, follows);
    }

    #[test]
    fn any_bytes_are_read_or_refused_and_a_longer_input_never_changes_a_verdict(
        mut bytes in proptest::collection::vec(any::<u8>(), 0..400),
        lead in 0..3_usize,
        cut in any::<prop::sample::Index>(),
    ) {
        let leads: [&[u8]; 3] = [b"", b"PROXY ", v2::PROTOCOL_PREFIX];
        bytes.splice(0..0, leads[lead].iter().copied());
        let whole = parse(&bytes);
        if let Parsed::Header { length, .. } = &whole {
            prop_assert!(*length <= bytes.len());
        }
        let part = parse(&bytes[..cut.index(bytes.len() + 1)]);
        prop_assert!(part == Parsed::Incomplete || part == whole, "{:?} {:?}", part, whole);
    }
}

#[test]
fn what_speaks_for_nobody_leaves_the_sockets_own_address() {
    let cases: [Vec<u8>; 5] = [
        b"PROXY UNKNOWN\r\n".to_vec(),
        b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n".to_vec(),
        // LOCAL, with and without addresses, and a Unix socket.
        v2_bytes(0, 0, &[]),
        v2_bytes(0, 0x11, &[1; 12]),
        v2_bytes(1, 0x31, &[0; 216]),
    ];
    for case in cases {
        let header = run(arriving(vec![case.clone(), b"rest".to_vec()]));
        let header = header.unwrap_or_else(|refused| panic!("{case:?}: {refused}"));
        assert_eq!(
            (header.origin, &header.rest[..]),
            (Origin::Itself, &b"rest"[..])
        );
    }
}

#[test]
fn an_ipv4_client_behind_an_ipv6_listener_is_named_by_its_ipv4_address() {
    let line = b"PROXY TCP6 ::ffff:10.0.0.1 ::ffff:10.0.0.2 1 2\r\n".to_vec();
    let header = run(arriving(vec![line])).expect("a header");
    assert!(
        matches!(header.origin, Origin::Client { source, .. } if source == "10.0.0.1:1".parse().expect("an address"))
    );
}

#[test]
fn what_is_no_header_is_refused_before_more_is_read() {
    let long = [b"PROXY TCP4 ".as_slice(), &[b'1'; 120]].concat();
    let mut huge = v2_bytes(1, 0x11, &[0; 12]);
    huge[14..16].copy_from_slice(&u16::MAX.to_be_bytes());
    let cases: [&[u8]; 11] = [
        b"GET / HTTP/1.1\r\n",
        b"PROXX",
        b"PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n",
        b"PROXY TCP4 1.2.3.4 5.6.7.8 1 65536\r\n",
        b"PROXY TCP4 ::1 ::1 1 2\r\n",
        b"PROXY TCP9 1.2.3.4 5.6.7.8 1 2\r\n",
        b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\n",
        &long,
        &huge,
        &v2_bytes(2, 0x11, &[0; 12]),
        &v2_bytes(1, 0x11, &[0; 11]),
    ];
    for case in cases {
        let refused = run(arriving(vec![case.to_vec()]));
        assert!(
            matches!(refused, Err(Refused::Malformed(_))),
            "{:?}: {refused:?}",
            String::from_utf8_lossy(case)
        );
    }
}

#[test]
fn a_header_that_does_not_end_is_not_waited_for() {
    let cut = run(arriving(vec![b"PROXY TCP4 1.2".to_vec()]));
    assert!(matches!(cut, Err(Refused::Gone(_))), "{cut:?}");
    let slow = run(async {
        let (_theirs, mut ours) = tokio::io::duplex(64);
        read(&mut ours, Duration::from_millis(5)).await
    });
    assert_eq!(slow, Err(Refused::Slow));
}
