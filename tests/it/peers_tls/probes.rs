//! Health checks reach peers the way requests do.

use hyper::{Request, StatusCode, body::Incoming};
use tokio::sync::mpsc;

use super::server::{Answer, Server, full};
use super::{Authority, BOTH, believing};
use crate::support::gate::Gate;
use crate::support::{client, until};

type Told = mpsc::UnboundedSender<(String, String)>;

/// Answers the health path, reports version and path of each request.
fn healthy(told: Told) -> impl Fn(Request<Incoming>) -> std::future::Ready<Answer> + Clone {
    move |request| {
        assert_eq!(request.headers()["user-agent"], "tollgate-health-check");
        let mut answer = full("");
        if request.uri().path() != "/health" {
            *answer.status_mut() = StatusCode::NOT_FOUND;
        }
        let version = format!("{:?}", request.version());
        let _ = told.send((version, request.uri().path().to_owned()));
        std::future::ready(answer)
    }
}

fn checking(server: &Server, tls: &str, http2: &str, path: &str) -> String {
    format!(
        "pools:\n  pool:\n    tls: {tls}\n    http2: {http2}\n    health: {{ path: {path}, interval: 20ms, timeout: 5s, unhealthy_after: 1, healthy_after: 1 }}\n    peers:\n      - address: {}\n",
        server.address
    )
}

async fn ready(gate: &Gate) -> bool {
    let answer = client::get(gate.admin, "/readyz").await;
    answer.expect("admin answers").status == 200
}

#[tokio::test]
async fn probes_speak_tls_and_http2_as_the_pool_says() {
    let authority = Authority::new();
    for (tls, http2, version) in [
        ("{ ca: ca.pem }", "off", "HTTP/1.1"),
        ("{ ca: ca.pem }", "on", "HTTP/2.0"),
        ("off", "off", "HTTP/1.1"),
        ("off", "on", "HTTP/2.0"),
    ] {
        let (told, mut asked) = mpsc::unbounded_channel();
        let server = match tls {
            "off" => Server::plain(http2 == "on", healthy(told)).await,
            _ => Server::tls(authority.server("127.0.0.1", BOTH), healthy(told)).await,
        };
        let gate = believing(&authority, &checking(&server, tls, http2, "/health")).await;
        let (spoken, path) = asked.recv().await.expect("asked");
        assert_eq!((spoken.as_str(), path.as_str()), (version, "/health"));
        until("the peer is taken for healthy", || ready(&gate)).await;
        // Another path is asked at once after the reload, and its answer counts.
        gate.rewrite(&checking(&server, tls, http2, "/other"));
        assert_eq!(gate.reload().await.status, 200);
        until("the peer is out", || async { !ready(&gate).await }).await;
        let log = gate.stderr();
        assert!(log.contains("is out: it answers 404"), "{log}");
    }
}

#[tokio::test]
async fn a_peer_that_is_not_believed_fails_its_probes_until_the_authority_is_the_right_one() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let (told, mut asked) = mpsc::unbounded_channel();
    let server = Server::tls(authority.server("127.0.0.1", BOTH), healthy(told)).await;
    let gate = believing(
        &stranger,
        &checking(&server, "{ ca: ca.pem }", "off", "/health"),
    )
    .await;
    until("the peer is out", || async { !ready(&gate).await }).await;
    let log = gate.stderr();
    assert!(
        log.contains("is out") && log.contains("UnknownIssuer"),
        "{log}"
    );
    assert!(asked.try_recv().is_err(), "nothing was asked of it");
    std::fs::write(gate.folder().join("ca.pem"), authority.pem()).expect("written");
    assert_eq!(gate.reload().await.status, 200);
    until("the peer is back", || ready(&gate)).await;
}
