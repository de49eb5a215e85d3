//! SIGTERM lets streams finish, and ends at once when there are none.

use std::time::{Duration, Instant};

use http_body_util::BodyExt;
use serde_json::json;
use tokio::sync::watch;

use crate::support::client;
use crate::support::gate::Gate;
use crate::support::peer::{Peer, Wire};
use crate::support::until;

#[tokio::test]
async fn an_idle_process_ends_long_before_its_grace_period() {
    let peer = Peer::mirror().await;
    let mut gate = Gate::before(&[peer.address], "shutdown_grace: 10min\n").await;
    // An idle keep-alive connection is no reason to stay.
    let _idle = tokio::net::TcpStream::connect(gate.address)
        .await
        .expect("connects");
    gate.signal("TERM");
    let ended = tokio::time::timeout(Duration::from_secs(30), gate.ended())
        .await
        .expect("ends by itself");
    assert!(ended.success());
}

#[tokio::test]
async fn a_running_stream_is_finished_while_new_connections_are_refused() {
    let (finish, finished) = watch::channel(false);
    let peer = Peer::start(move |mut wire: Wire, _| {
        let mut finished = finished.clone();
        async move {
            wire.request().await?;
            wire.events().await?;
            wire.token("first").await?;
            let _ = finished.wait_for(|done| *done).await;
            wire.token("last").await?;
            wire.chunk("data: [DONE]\n\n").await?;
            wire.raw("0\r\n\r\n").await
        }
    })
    .await;
    let mut gate = Gate::before(&[peer.address], "shutdown_grace: 1min\n").await;
    let body = client::chat("hello", json!({ "stream": true }));
    let answer = client::begin(gate.address, "POST", "/v1/chat/completions", &[], &body)
        .await
        .expect("begins");
    gate.signal("TERM");
    until("new connections are refused", || async {
        tokio::net::TcpStream::connect(gate.address).await.is_err()
    })
    .await;
    finish.send(true).expect("the peer waits");
    let text = answer
        .into_body()
        .collect()
        .await
        .expect("whole")
        .to_bytes();
    assert!(text.ends_with(b"data: [DONE]\n\n"));
    assert!(gate.ended().await.success());
    assert!(
        gate.stdout().contains("/v1/chat/completions"),
        "the log line was flushed"
    );
}

#[tokio::test]
async fn a_stream_that_outlives_the_grace_period_is_cut() {
    let peer = Peer::start(|mut wire: Wire, _| async move {
        wire.request().await?;
        wire.events().await?;
        wire.token("first").await?;
        std::future::pending().await
    })
    .await;
    let mut gate = Gate::before(&[peer.address], "shutdown_grace: 300ms\n").await;
    let body = client::chat("hello", json!({ "stream": true }));
    let answer = client::begin(gate.address, "POST", "/v1/chat/completions", &[], &body)
        .await
        .expect("begins");
    let began = Instant::now();
    gate.signal("TERM");
    assert!(gate.ended().await.success());
    assert!(began.elapsed() >= Duration::from_millis(300));
    assert!(
        answer.into_body().collect().await.is_err(),
        "cut, and seen to be cut"
    );
}
