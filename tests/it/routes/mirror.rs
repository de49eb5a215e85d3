//! Copies of requests.

use tokio::sync::{mpsc, watch};

use super::*;
use crate::support::peer::Request;

/// Copies that one route has out at once.
const MOST: f64 = 64.0;

/// A peer that reports each request and answers once it may.
async fn canary() -> (Peer, mpsc::UnboundedReceiver<Request>, watch::Sender<bool>) {
    let (told, heard) = mpsc::unbounded_channel();
    let (go, may) = watch::channel(false);
    let peer = Peer::start(move |mut wire: Wire, _| {
        let (told, mut may) = (told.clone(), may.clone());
        async move {
            while let Some(request) = wire.request().await? {
                let _ = told.send(request);
                let _ = may.wait_for(|go| *go).await;
                wire.json(500, "{\"not\":\"for clients\"}").await?;
            }
            Ok(())
        }
    })
    .await;
    (peer, heard, go)
}

async fn mirrored(main: &Peer, canary: &Peer, more: &str) -> Gate {
    Gate::start(&format!(
        "pools:\n  pool: {{ health: off, peers: [ {{ address: {} }} ] }}\n  canary: {{ health: off, eject: off, peers: [ {{ address: {} }} ] }}\nroutes:\n  - {{ name: main, pool: pool, mirror: {{ pool: canary, share: 1 }}, rewrite: {{ path: {{ add_prefix: /api }} }} }}\n{more}",
        main.address, canary.address
    ))
    .await
}

#[tokio::test]
async fn a_copy_goes_where_it_should_and_never_delays_the_client() {
    let main = showing_peer().await;
    let (canary, mut copies, go) = canary().await;
    let gate = mirrored(
        &main,
        &canary,
        "limits:\n  - { per: key, requests: 10/h }\n",
    )
    .await;
    let body = body_of("m");
    // The canary answers nobody so far.
    let asked = client::post_chat(gate.address, &body, &[("x-a", "b")]).await;
    assert_eq!(asked.status, 200);
    let passed = get(&gate, "/x?y", &[]).await;
    assert_eq!(passed.header("x-ratelimit-remaining-requests"), Some("8"));
    let mut heard = [
        copies.recv().await.expect("a copy"),
        copies.recv().await.expect("a copy"),
    ];
    heard.sort_by_key(|copy| copy.body.is_empty());
    let [post, get] = heard;
    assert_eq!(post.line, "POST /api/v1/chat/completions HTTP/1.1");
    assert_eq!(post.body, body);
    assert_eq!(post.header("x-a"), Some("b"));
    assert_eq!(post.header("x-request-id"), asked.header("x-request-id"));
    assert_eq!(get.line, "GET /api/x?y HTTP/1.1");
    assert_eq!(gate.metric("tollgate_mirror_inflight_requests").await, 2.0);
    go.send(true).expect("it waits");
    gate.is_at_rest().await;
    let answered = "tollgate_mirrored_requests_total{result=\"answered\",route=\"main\"}";
    assert_eq!(gate.metric(answered).await, 2.0);
    // Bodies that are passed on as they come are not copied.
    let upload = client::send(gate.address, "PUT", "/up", &[], b"body").await;
    assert_eq!(upload.expect("an answer").status, 200);
    assert_eq!(gate.metric(answered).await, 2.0);
    assert!(copies.try_recv().is_err());
}

#[tokio::test]
async fn copies_are_bounded_and_what_is_beyond_is_skipped() {
    let main = showing_peer().await;
    let (canary, mut copies, go) = canary().await;
    let mut gate = mirrored(&main, &canary, "").await;
    let skipped = "tollgate_mirrored_requests_total{result=\"skipped\",route=\"main\"}";
    for _ in 0..70 {
        assert_eq!(get(&gate, "/x", &[]).await.status, 200);
    }
    assert_eq!(gate.metric(skipped).await, 6.0);
    assert_eq!(gate.metric("tollgate_mirror_inflight_requests").await, MOST);
    go.send(true).expect("it waits");
    gate.is_at_rest().await;
    go.send(false).expect("it waits");
    while copies.try_recv().is_ok() {}
    // Nobody waits for a copy, at the end neither.
    assert_eq!(get(&gate, "/x", &[]).await.status, 200);
    copies.recv().await.expect("a copy");
    gate.signal("TERM");
    assert!(gate.ended().await.success());
    assert!(gate.stderr().contains("drained"), "{}", gate.stderr());
}

#[tokio::test]
async fn a_canary_that_is_down_is_nobodys_trouble() {
    let main = showing_peer().await;
    let (canary, _copies, _go) = canary().await;
    let gate = mirrored(&main, &canary, "").await;
    drop(canary);
    for _ in 0..3 {
        assert_eq!(get(&gate, "/x", &[]).await.status, 200);
    }
    until("the copies failed", || async {
        gate.metric("tollgate_mirrored_requests_total{result=\"failed\",route=\"main\"}")
            .await
            == 3.0
    })
    .await;
    gate.is_at_rest().await;
}
