use std::sync::Arc;
use std::time::SystemTime;

use rustls::pki_types::ServerName;
use rustls::{ClientConnection, HandshakeKind, ServerConnection};

use super::*;
use crate::tls::testing::Authority;
use crate::tls::{Client, Peers, client};

fn built(files: &[CertificateFiles]) -> Server {
    server(files, MinVersion::Tls12, true, SystemTime::now()).expect("usable")
}

/// Shakes hands in memory; what the client ends up with.
fn shake(server: &Server, client: &Client, name: &str) -> Result<ClientConnection, rustls::Error> {
    let name = ServerName::try_from(name.to_owned()).expect("a name");
    let mut ours = ServerConnection::new(Arc::clone(&server.config))?;
    let mut theirs = ClientConnection::new(Arc::clone(&client.config), name)?;
    let mut wire = Vec::new();
    for _ in 0..8 {
        theirs.write_tls(&mut wire).expect("memory");
        let mut sent = &wire[..];
        while !sent.is_empty() {
            ours.read_tls(&mut sent).expect("memory");
            ours.process_new_packets()?;
        }
        wire.clear();
        ours.write_tls(&mut wire).expect("memory");
        let mut sent = &wire[..];
        while !sent.is_empty() {
            theirs.read_tls(&mut sent).expect("memory");
            theirs.process_new_packets()?;
        }
        wire.clear();
    }
    Ok(theirs)
}

#[test]
fn the_certificate_is_chosen_by_the_name_asked_for_and_the_first_is_the_default() {
    let authority = Authority::new();
    let one = authority.issue("one", &["one.test"]);
    let two = authority.issue("two", &["*.two.test", "two.test"]);
    let server = built(&[one.clone(), two.clone()]);
    // Whoever is answered with a certificate for another name gives up, so believe anybody to see which one came.
    let any = client(Peers::Any, true).expect("usable");
    let leaf = |name: &str| {
        let theirs = shake(&server, &any, name).expect("shaken");
        theirs.peer_certificates().expect("sent")[0].clone()
    };
    let file = |files: &CertificateFiles| files::certificates(&files.cert).expect("PEM")[0].clone();
    assert_eq!(leaf("one.test"), file(&one));
    assert_eq!(leaf("two.test"), file(&two));
    assert_eq!(leaf("deep.two.test"), file(&two));
    assert_eq!(leaf("DEEP.TWO.TEST"), file(&two));
    assert_eq!(leaf("too.deep.two.test"), file(&one));
    assert_eq!(leaf("unknown.test"), file(&one));
    assert_eq!(leaf("127.0.0.1"), file(&one));
}

#[test]
fn http2_is_offered_only_where_it_is_on_and_old_versions_only_where_they_are_allowed() {
    let authority = Authority::new();
    let files = [authority.issue("a", &["a.test"])];
    let trusting = client(Peers::Of(&authority.file()), true).expect("usable");
    let theirs = shake(&built(&files), &trusting, "a.test").expect("shaken");
    assert_eq!(theirs.alpn_protocol(), Some(&b"h2"[..]));
    let plain = server(&files, MinVersion::Tls12, false, SystemTime::now()).expect("usable");
    let theirs = shake(&plain, &trusting, "a.test").expect("shaken");
    assert_eq!(theirs.alpn_protocol(), Some(&b"http/1.1"[..]));

    let mut old = (*trusting.config).clone();
    old.alpn_protocols.clear();
    let old = Client {
        config: Arc::new(
            rustls::ClientConfig::builder_with_provider(provider())
                .with_protocol_versions(&[&version::TLS12])
                .expect("known")
                .with_root_certificates(crate::tls::client::tests::roots(&authority))
                .with_no_client_auth(),
        ),
        ..trusting
    };
    assert!(shake(&plain, &old, "a.test").is_ok());
    let new_only = server(&files, MinVersion::Tls13, false, SystemTime::now()).expect("usable");
    assert!(shake(&new_only, &old, "a.test").is_err());
}

#[test]
fn a_session_is_resumed_after_a_reload() {
    let authority = Authority::new();
    let files = [authority.issue("a", &["a.test"])];
    let client = client(Peers::Of(&authority.file()), true).expect("usable");
    let first = shake(&built(&files), &client, "a.test").expect("shaken");
    assert_eq!(first.handshake_kind(), Some(HandshakeKind::Full));
    let second = shake(&built(&files), &client, "a.test").expect("shaken");
    assert_eq!(second.handshake_kind(), Some(HandshakeKind::Resumed));
}

#[test]
fn every_unusable_file_is_named_with_its_reason() {
    let authority = Authority::new();
    let good = authority.issue("good", &["a.test"]);
    let other = authority.issue("other", &["b.test"]);
    let text = authority.path("text.pem");
    std::fs::write(&text, "hello").expect("written");
    let sealed = authority.path("sealed.key");
    std::fs::write(
        &sealed,
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
    )
    .expect("written");
    let with = |cert: &PathBuf, key: &PathBuf| CertificateFiles {
        cert: cert.clone(),
        key: key.clone(),
    };
    let missing = authority.path("missing.pem");
    let wrong = [
        with(&missing, &good.key),
        with(&text, &good.key),
        with(&good.cert, &text),
        with(&good.cert, &sealed),
        with(&good.cert, &other.key),
        good.clone(),
    ];
    let problems =
        server(&wrong, MinVersion::Tls12, true, SystemTime::now()).expect_err("unusable");
    let said: Vec<_> = problems.iter().map(ToString::to_string).collect();
    let expected = [
        (&missing, "cannot be read"),
        (&text, "no certificate in PEM"),
        (&text, "no private key in PEM"),
        (&sealed, "encrypted"),
        (&other.key, "is not the key of"),
    ];
    assert_eq!(said.len(), expected.len(), "{said:#?}");
    for (said, (file, reason)) in said.iter().zip(expected) {
        assert!(
            said.starts_with(&file.display().to_string()) && said.contains(reason),
            "{said}"
        );
    }
    assert!(server(&[], MinVersion::Tls12, true, SystemTime::now()).is_err());
}

#[test]
fn an_expired_certificate_is_served_with_a_warning() {
    let authority = Authority::new();
    let files = authority.issue_with("old", &["a.test"], |params| {
        params.not_after = rcgen::date_time_ymd(2020, 1, 1);
    });
    let server = built(std::slice::from_ref(&files));
    assert_eq!(
        server.warnings,
        [Problem::new(&files.cert, "expired at 2020-01-01T00:00:00Z")]
    );
    let fresh = authority.issue("new", &["a.test"]);
    assert!(built(&[fresh]).warnings.is_empty());
}
