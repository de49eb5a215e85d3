use super::*;

fn pool(hosts: &[&str], tls: Option<Option<&str>>, http2: bool) -> model::Pool {
    let peers: String = hosts
        .iter()
        .map(|host| format!("      - address: \"{host}:8443\"\n"))
        .collect();
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("tollgate.yaml");
    let text = format!(
        "listen:\n  - address: 127.0.0.1:8080\npools:\n  pool:\n    http2: {http2}\n    peers:\n{peers}"
    );
    std::fs::write(&path, text).expect("written");
    let mut pool = crate::config::load(&path)
        .expect("good")
        .config
        .pools
        .remove(0);
    pool.tls = tls.map(|sni| model::PeerTls {
        ca: None,
        sni: sni.map(str::to_owned),
        verify: false,
    });
    pool
}

fn reach(hosts: &[&str], tls: Option<Option<&str>>, http2: bool) -> Reach {
    Reach::new(&pool(hosts, tls, http2)).expect("usable")
}

fn at() -> SocketAddr {
    "127.0.0.1:8443".parse().expect("an address")
}

#[test]
fn each_host_has_an_identity_of_its_own_unless_one_name_is_written_for_all() {
    let of = |reach: &Reach, label: &str| reach.way(label, at()).destination().tls;
    let hosts = ["a.test", "b.test", "[::1]"];
    let own = reach(&hosts, Some(None), false);
    assert!(of(&own, "a.test:8443").is_some());
    assert_ne!(of(&own, "a.test:8443"), of(&own, "b.test:8443"));
    assert_eq!(of(&own, "a.test:8443"), of(&own, "a.test:9443"));
    assert_eq!(
        of(&own, "[::1]:8443"),
        of(&reach(&["b.test"], Some(None), false), "[::1]:8443"),
        "known or not"
    );
    let one = reach(&hosts, Some(Some("gpu.test")), false);
    assert_eq!(of(&one, "a.test:8443"), of(&one, "b.test:8443"));
    assert_ne!(of(&one, "a.test:8443"), of(&own, "a.test:8443"));
    assert_eq!(of(&reach(&hosts, None, false), "a.test:8443"), None);
}

#[test]
fn a_protocol_that_takes_the_connection_over_gets_http1_where_that_can_be_agreed_upon() {
    let both = reach(&["a.test"], Some(None), true);
    let (shared, alone) = (both.way("a.test:1", at()), both.http1("a.test:1", at()));
    let alone = alone.expect("by ALPN");
    assert!(shared.http2 && !alone.http2);
    assert_ne!(shared.destination(), alone.destination());
    assert!(
        reach(&["a.test"], None, false)
            .http1("a.test:1", at())
            .is_some()
    );
    assert!(
        reach(&["a.test"], None, true)
            .http1("a.test:1", at())
            .is_none()
    );
}
