use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::tls::testing::Authority;
use crate::tls::{MinVersion, Peers, client, server};

const TIMEOUTS: Timeouts = Timeouts {
    connect: Duration::from_secs(20),
    first_byte: Duration::from_secs(20),
    between_chunks: Duration::from_secs(20),
    total: Duration::from_secs(60),
};

/// A peer that shakes hands with whoever comes; what it was asked for is checked by the client's side.
async fn peer(authority: &Authority, name: &str, http2: bool) -> SocketAddr {
    let files = [authority.issue("peer", &[name])];
    let built = server(&files, MinVersion::Tls12, http2, SystemTime::now()).expect("usable");
    let acceptor = TlsAcceptor::from(Arc::clone(&built.config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let address = listener.local_addr().expect("bound");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let _open = acceptor.accept(stream).await;
                std::future::pending::<()>().await;
            });
        }
    });
    address
}

async fn spoken(address: SocketAddr, settings: &Client, name: &str) -> Result<Spoken, Failure> {
    let tls = PeerTls::new(settings, name);
    let connector = TransportConnector::new(None);
    connect(&connector, address, Some(&tls), true, &TIMEOUTS)
        .await
        .map(|(_, spoken)| spoken)
}

#[tokio::test]
async fn a_peer_is_believed_when_its_authority_vouches_for_the_name() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let address = peer(&authority, "peer.test", true).await;
    let ours = client(Peers::Of(&authority.file()), true).expect("usable");
    assert_eq!(spoken(address, &ours, "peer.test").await, Ok(Spoken::Http2));
    let wrong_name = spoken(address, &ours, "other.test").await;
    assert!(
        matches!(wrong_name, Err(Failure::Connect(_))),
        "{wrong_name:?}"
    );
    let no_name = spoken(address, &ours, "").await;
    assert!(matches!(no_name, Err(Failure::Connect(_))), "{no_name:?}");
    let others = client(Peers::Of(&stranger.file()), true).expect("usable");
    let unknown = spoken(address, &others, "peer.test").await;
    assert!(matches!(unknown, Err(Failure::Connect(_))), "{unknown:?}");
    let anybody = client(Peers::Any, true).expect("usable");
    assert_eq!(
        spoken(address, &anybody, "other.test").await,
        Ok(Spoken::Http2)
    );
}

#[tokio::test]
async fn http2_is_spoken_only_when_both_sides_know_it_and_an_address_can_be_the_name() {
    let authority = Authority::new();
    let address = peer(&authority, "127.0.0.1", false).await;
    let both = client(Peers::Of(&authority.file()), true).expect("usable");
    assert_eq!(spoken(address, &both, "127.0.0.1").await, Ok(Spoken::Http1));
    let address = peer(&authority, "127.0.0.1", true).await;
    let old = client(Peers::Of(&authority.file()), false).expect("usable");
    assert_eq!(spoken(address, &old, "127.0.0.1").await, Ok(Spoken::Http1));
}

#[tokio::test]
async fn a_peer_that_accepts_and_never_shakes_hands_is_not_waited_for() {
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let tls = PeerTls::new(&client(Peers::Any, true).expect("usable"), "peer.test");
    let timeouts = Timeouts {
        connect: Duration::from_millis(20),
        ..TIMEOUTS
    };
    let connector = TransportConnector::new(None);
    let address = silent.local_addr().expect("bound");
    let failed = connect(&connector, address, Some(&tls), true, &timeouts).await;
    assert_eq!(
        failed.map(|(_, spoken)| spoken),
        Err(Failure::Connect("not in time".to_owned()))
    );
}

#[tokio::test]
async fn without_tls_a_peer_speaks_what_the_operator_says() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let address = listener.local_addr().expect("bound");
    let connector = TransportConnector::new(None);
    for (http2, expected) in [(true, Spoken::Http2), (false, Spoken::Http1)] {
        let opened = connect(&connector, address, None, http2, &TIMEOUTS).await;
        assert_eq!(opened.map(|(_, spoken)| spoken), Ok(expected));
    }
}

#[test]
fn connections_for_other_names_are_told_apart() {
    let settings = client(Peers::Any, true).expect("usable");
    let identity = |name| PeerTls::new(&settings, name).identity();
    assert_eq!(identity("a.test"), identity("a.test"));
    assert_ne!(identity("a.test"), identity("b.test"));
}
