//! What a peer is told of the client, and whom Tollgate takes for it.

use std::collections::HashSet;

use serde_json::Value;

use crate::support::client::{self, Answer};
use crate::support::gate::{Gate, pool};
use crate::support::peer::{Peer, Wire};
use crate::support::raw::{Raw, showing_peer};
use crate::support::until;

const TRUSTING: &str = "client: { trusted_proxies: [127.0.0.0/8, 10.0.0.0/8] }\n";
const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

async fn ask(gate: &Gate, headers: &[(&str, &str)]) -> Answer {
    client::send(gate.address, "GET", "/x", headers, b"")
        .await
        .expect("an answer")
}

/// Every value of a header that the peer was sent.
fn told(answer: &Answer, name: &str) -> Vec<String> {
    let shown = answer.json();
    let headers = shown["headers"].as_array().expect("headers");
    let named = headers.iter().filter(|pair| pair[0] == name);
    named
        .map(|pair| pair[1].as_str().expect("text").to_owned())
        .collect()
}

/// The clients of the first `lines` of the access log.
async fn logged_clients(gate: &Gate, lines: usize) -> HashSet<String> {
    until("the lines are written", || async {
        gate.stdout().lines().count() >= lines
    })
    .await;
    let log = gate.stdout();
    let lines = log.lines().take(lines);
    let lines = lines.map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    lines
        .map(|line| line["client"].as_str().expect("text").to_owned())
        .collect()
}

#[tokio::test]
async fn what_a_client_says_of_itself_is_not_passed_on_as_the_truth() {
    let peer = showing_peer().await;
    let gate = Gate::before(&[peer.address], "").await;
    let host = gate.address.to_string();
    let answer = ask(
        &gate,
        &[
            ("x-forwarded-for", "6.6.6.6"),
            ("x-forwarded-for", "7.7.7.7"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "evil.example"),
            ("x-forwarded-port", "443"),
            ("x-real-ip", "6.6.6.6"),
            ("forwarded", "for=6.6.6.6"),
        ],
    )
    .await;
    assert_eq!(
        told(&answer, "x-forwarded-for"),
        ["6.6.6.6, 7.7.7.7, 127.0.0.1"]
    );
    assert_eq!(told(&answer, "x-forwarded-proto"), ["http"]);
    assert_eq!(told(&answer, "x-forwarded-host"), [host.as_str()]);
    for name in ["x-forwarded-port", "x-real-ip", "forwarded"] {
        assert_eq!(told(&answer, name), [""; 0], "{name}");
    }
    let plain = ask(&gate, &[]).await;
    assert_eq!(told(&plain, "x-forwarded-for"), ["127.0.0.1"]);
    gate.is_at_rest().await;
    assert_eq!(
        logged_clients(&gate, 2).await,
        HashSet::from(["127.0.0.1".into()])
    );
}

#[tokio::test]
async fn what_a_trusted_proxy_says_is_kept() {
    let peer = showing_peer().await;
    let gate = Gate::before(&[peer.address], TRUSTING).await;
    let answer = ask(
        &gate,
        &[
            ("x-forwarded-for", "6.6.6.6, 203.0.113.9, 10.0.0.7"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "shop.example"),
            ("x-real-ip", "203.0.113.9"),
        ],
    )
    .await;
    assert_eq!(
        told(&answer, "x-forwarded-for"),
        ["6.6.6.6, 203.0.113.9, 10.0.0.7, 127.0.0.1"]
    );
    assert_eq!(told(&answer, "x-forwarded-proto"), ["https"]);
    assert_eq!(told(&answer, "x-forwarded-host"), ["shop.example"]);
    assert_eq!(told(&answer, "x-real-ip"), ["203.0.113.9"]);
    // What it does not say is said for it.
    let silent = ask(&gate, &[("x-forwarded-for", "203.0.113.9")]).await;
    assert_eq!(told(&silent, "x-forwarded-proto"), ["http"]);
    let host = gate.address.to_string();
    assert_eq!(told(&silent, "x-forwarded-host"), [host.as_str()]);
    gate.is_at_rest().await;
    // The nearest that is not trusted: what stands left of it may be anybody's invention.
    assert_eq!(
        logged_clients(&gate, 2).await,
        HashSet::from(["203.0.113.9".into()])
    );
}

#[tokio::test]
async fn limits_and_ip_hash_go_by_the_client_behind_the_proxy() {
    let peers = [showing_peer().await, showing_peer().await];
    let addresses = [peers[0].address, peers[1].address];
    let gate = Gate::start(&format!(
        "{}{TRUSTING}limits:\n  - {{ per: key, requests: 2/h }}\n",
        pool(&addresses, "    balance: ip_hash\n")
    ))
    .await;
    let mut used = HashSet::new();
    for n in 0..16 {
        let client = format!("203.0.113.{n}");
        let from = [("x-forwarded-for", client.as_str())];
        let (first, second) = (ask(&gate, &from).await, ask(&gate, &from).await);
        assert!(first.status == 200 && second.status == 200);
        let upstream = first.header("x-tollgate-upstream").expect("given");
        assert_eq!(second.header("x-tollgate-upstream"), Some(upstream));
        used.insert(upstream.to_owned());
        assert_eq!(ask(&gate, &from).await.status, 429, "its own bucket");
    }
    assert_eq!(used.len(), 2, "both peers are somebody's");
    gate.is_at_rest().await;
}

#[tokio::test]
async fn a_request_id_is_kept_or_made_and_the_same_on_both_sides() {
    let peer = showing_peer().await;
    let gate = Gate::before(&[peer.address], "").await;
    let kept = ask(&gate, &[("x-request-id", "mine-1")]).await;
    assert_eq!(kept.header("x-request-id"), Some("mine-1"));
    assert_eq!(told(&kept, "x-request-id"), ["mine-1"]);
    let long = "x".repeat(129);
    for headers in [&[][..], &[("x-request-id", long.as_str())]] {
        let made = ask(&gate, headers).await;
        let id = made.header("x-request-id").expect("given");
        assert!(id.starts_with("req_"), "{id}");
        assert_eq!(told(&made, "x-request-id"), [id]);
    }
}

#[tokio::test]
async fn a_good_trace_goes_on_and_a_bad_one_begins_anew() {
    let peer = showing_peer().await;
    let gate = Gate::before(&[peer.address], "").await;
    let kept = ask(&gate, &[("traceparent", GOOD), ("tracestate", "a=1")]).await;
    assert_eq!(told(&kept, "traceparent"), [GOOD]);
    assert_eq!(told(&kept, "tracestate"), ["a=1"]);
    for bad in [
        &[("tracestate", "a=1")][..],
        &[("traceparent", "00-zz"), ("tracestate", "a=1")],
        &[
            ("traceparent", GOOD),
            ("traceparent", GOOD),
            ("tracestate", "a=1"),
        ],
    ] {
        let begun = ask(&gate, bad).await;
        let values = told(&begun, "traceparent");
        let [value] = values.as_slice() else {
            panic!("{values:?}")
        };
        assert!(
            value.len() == 55 && value.ends_with("-01") && value != GOOD,
            "{value}"
        );
        assert_eq!(told(&begun, "tracestate"), [""; 0]);
    }
}

#[tokio::test]
async fn every_attempt_belongs_to_one_trace() {
    let (told, mut heard) = tokio::sync::mpsc::unbounded_channel();
    let peer = |status: u16| {
        let told = told.clone();
        Peer::start(move |mut wire: Wire, _| {
            let told = told.clone();
            async move {
                while let Some(request) = wire.request().await? {
                    let _ = told.send(request.header("traceparent").map(str::to_owned));
                    wire.json(status, "{}").await?;
                }
                Ok(())
            }
        })
    };
    let peers = [peer(503).await, peer(503).await];
    let gate = Gate::start(&pool(
        &[peers[0].address, peers[1].address],
        "    eject: off\n    retry: { attempts: 2, base_backoff: 1ms }\n",
    ))
    .await;
    client::ask(gate.address, "x", &[]).await;
    let first = heard.recv().await.expect("an attempt").expect("a trace");
    let second = heard.recv().await.expect("an attempt").expect("a trace");
    assert_eq!(first, second);
    client::ask(gate.address, "x", &[]).await;
    let other = heard.recv().await.expect("an attempt").expect("a trace");
    assert_ne!(first, other);
}

#[tokio::test]
async fn a_websocket_is_introduced_like_any_request() {
    let peer = showing_peer().await;
    let gate = Gate::before(&[peer.address], "").await;
    let mut raw = Raw::connect(&gate).await;
    raw.send(
        "GET /ws HTTP/1.1\r\nhost: t\r\nconnection: upgrade\r\nupgrade: websocket\r\nx-forwarded-proto: https\r\n\r\n",
    )
    .await;
    let (_, body) = raw.answer().await.expect("an answer");
    let shown: Value = serde_json::from_str(&body).expect("JSON");
    let pairs = shown["headers"].as_array().expect("headers");
    for (name, value) in [
        ("x-forwarded-proto", "http"),
        ("x-forwarded-host", "t"),
        ("x-forwarded-for", "127.0.0.1"),
    ] {
        assert!(
            pairs.iter().any(|pair| pair[0] == name && pair[1] == value),
            "{name}: {body}"
        );
    }
}

#[tokio::test]
async fn the_host_of_an_http2_client_reaches_a_peer_that_speaks_http_1() {
    let peer = showing_peer().await;
    let gate = Gate::before(&[peer.address], "").await;
    let answer = client::send_h2(gate.address, "GET", "http://a.example:81/x?y", b"").await;
    let answer = answer.expect("an answer");
    assert_eq!(answer.json()["line"], "GET /x?y HTTP/1.1");
    assert_eq!(told(&answer, "host"), ["a.example:81"]);
    assert_eq!(told(&answer, "x-forwarded-host"), ["a.example:81"]);
    gate.is_at_rest().await;
}
