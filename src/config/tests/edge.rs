//! `listen`, `client` and TLS to peers.

use std::time::Duration;

use super::*;
use crate::config::load;
use crate::config::model::{ClientRules, PeerTls};
use crate::tls::MinVersion;

#[test]
fn the_least_file_is_plain_http_and_believes_nobody() {
    let config = good("", "").config;
    let listen = &config.listen[0];
    assert!(listen.tls.is_none() && listen.http2 && !listen.proxy_protocol);
    assert!(config.pools[0].tls.is_none() && !config.pools[0].http2);
    let secs = Duration::from_secs;
    assert_eq!(
        config.client,
        ClientRules {
            trusted_proxies: Vec::new(),
            max_header_bytes: 32 << 10,
            header_timeout: secs(10),
            body_timeout: secs(60),
            idle_timeout: secs(75),
            write_timeout: secs(60),
            min_rate: Some(256),
            max_connections: 20_000,
            max_connections_per_address: Some(1000),
        }
    );
}

#[test]
fn zero_switches_a_client_limit_off() {
    let config = good("", "client: {min_rate: 0, max_connections_per_address: 0}").config;
    assert_eq!(config.client.min_rate, None);
    assert_eq!(config.client.max_connections_per_address, None);
}

#[test]
fn what_a_client_may_take_has_bounds() {
    for (client, path) in [
        ("{max_header_bytes: 100}", "client.max_header_bytes"),
        ("{max_header_bytes: 2MiB}", "client.max_header_bytes"),
        ("{header_timeout: 0s}", "client.header_timeout"),
        ("{write_timeout: 5}", "client.write_timeout"),
        ("{min_rate: fast}", "client.min_rate"),
        ("{max_connections: 0}", "client.max_connections"),
        (
            "{trusted_proxies: [10.0.0.1/8]}",
            "client.trusted_proxies[0]",
        ),
        (
            "{trusted_proxies: [\"::1\", all]}",
            "client.trusted_proxies[1]",
        ),
        ("{trusted_proxies: 10.0.0.0/8}", "client.trusted_proxies"),
        ("{max_conections: 1}", "client.max_conections"),
    ] {
        let errors = parsed(&file("", &format!("client: {client}"))).unwrap_err();
        let paths: Vec<&str> = errors.iter().map(|error| error.path()).collect();
        assert_eq!(paths, [path], "{errors}");
    }
}

#[test]
fn a_proxy_header_needs_somebody_to_believe() {
    let listen = |rest: &str| file("", rest).replace("0:8080 }", "0:8080, proxy_protocol: on }");
    assert_eq!(
        lines(&listen("")),
        [
            "listen[0].proxy_protocol: on: nobody's PROXY header is believed (write the proxies' addresses into client.trusted_proxies)"
        ]
    );
    let config = parsed(&listen("client: {trusted_proxies: [10.0.0.7]}"))
        .unwrap()
        .config;
    assert!(config.listen[0].proxy_protocol);
    assert_eq!(config.client.trusted_proxies[0].to_string(), "10.0.0.7/32");
}

#[test]
fn trusting_everybody_is_a_warning() {
    let warnings = good("", "client: {trusted_proxies: [0.0.0.0/0], max_connections: 5, max_connections_per_address: 6}").warnings;
    let starts = |start: &str| warnings.iter().any(|warning| warning.starts_with(start));
    assert!(
        starts("client.trusted_proxies: trusts everybody"),
        "{warnings:?}"
    );
    assert!(
        starts("client.max_connections_per_address: is above"),
        "{warnings:?}"
    );
}

/// A folder with a certificate, a key, and a file `tollgate.yaml` whose only listener has this `tls`.
fn with_tls(tls: &str) -> (tempfile::TempDir, std::path::PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    write("a.pem", &made.cert.pem());
    write("a.key", &made.signing_key.serialize_pem());
    let text = file("", "").replace("0:8080 }", &format!("0:8080, tls: {tls} }}"));
    write("tollgate.yaml", &text);
    let path = dir.path().join("tollgate.yaml");
    (dir, path)
}

#[test]
fn certificates_are_found_beside_the_file() {
    let (dir, path) = with_tls("{certificates: [{cert: a.pem, key: a.key}], min_version: 1.3}");
    let config = load(&path).unwrap().config;
    let tls = config.listen[0].tls.as_ref().unwrap();
    assert_eq!(tls.certificates[0].key, dir.path().join("a.key"));
    assert_eq!(tls.min_version, MinVersion::Tls13);
}

#[test]
fn a_key_of_another_certificate_is_refused() {
    let (dir, path) = with_tls("{certificates: [{cert: a.pem, key: a.key}]}");
    let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(dir.path().join("a.key"), other.signing_key.serialize_pem()).unwrap();
    let found = load(&path).unwrap_err().to_string();
    assert!(
        found.contains("listen[0].tls.certificates[0].key: a.key: is not the key of"),
        "{found}"
    );
}

#[test]
fn what_is_wrong_with_certificates_is_said_of_each() {
    let tls = "{min_version: 1.1, certificates: [{cert: none.pem, key: a.pem}, {cert: a.pem}, {cert: a.pem, key: a.key}, {cert: a.pem, key: a.key}]}";
    let (_dir, path) = with_tls(tls);
    let errors = load(&path).unwrap_err();
    let found: Vec<String> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(
        found,
        [
            "listen[0].tls.min_version: 1.1: must be one of 1.2, 1.3 (did you mean `1.2`?)",
            "listen[0].tls.certificates[0].cert: none.pem: cannot be read: No such file or directory (os error 2)",
            "listen[0].tls.certificates[0].key: a.pem: has no private key (a PEM file with BEGIN PRIVATE KEY)",
            "listen[0].tls.certificates[1].key: is required (the PEM file with the private key)",
            "listen[0].tls.certificates[3].cert: a.pem: certificates[2] is the same file (remove one)",
        ]
    );
    let (_dir, path) = with_tls("{certificates: []}");
    let errors = load(&path).unwrap_err().to_string();
    assert!(
        errors.starts_with("listen[0].tls.certificates: is required"),
        "{errors}"
    );
}

#[test]
fn peers_are_spoken_to_over_tls_where_the_pool_says_so() {
    let tls = |tls: &str| good(tls, "").config.pools[0].tls.clone();
    let default = PeerTls {
        ca: None,
        sni: None,
        verify: true,
    };
    assert_eq!(tls("    tls: off"), None);
    assert_eq!(tls("    tls: on"), Some(default.clone()));
    let named = PeerTls {
        sni: Some("gpu.internal".to_owned()),
        ..default
    };
    assert_eq!(
        tls("    tls: {sni: GPU.internal.}\n    http2: on"),
        Some(named)
    );
    let open = good("    tls: {verify: off}", "");
    assert!(
        open.warnings
            .iter()
            .any(|text| text.starts_with("pools.a.tls.verify: off"))
    );
    assert_eq!(
        bad(
            "    tls: {sni: \"a b\", ca: none.pem}\n    http2: maybe",
            ""
        )
        .len(),
        3
    );
}

#[test]
fn an_authority_that_is_no_certificate_is_told_with_its_file() {
    let (dir, path) = with_tls("off");
    let text = file("    tls: {ca: a.pem}", "");
    std::fs::write(&path, text).unwrap();
    let nonsense = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    std::fs::write(dir.path().join("a.pem"), nonsense).unwrap();
    let found = load(&path).unwrap_err().to_string();
    assert!(
        found.starts_with("pools.a.tls.ca: a.pem: cannot be believed in: "),
        "{found}"
    );
}

#[test]
fn a_peer_with_a_scheme_is_told_where_tls_is_written() {
    let found = lines(&file("", "").replace("10.0.0.1:8000", "\"https://a:443\""));
    assert!(found[0].contains("`tls: on` in the pool"), "{found:?}");
}
