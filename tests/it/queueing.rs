//! When every peer is full, requests wait: bounded, in order, the higher class first.

use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Semaphore;

use crate::support::client::ask;
use crate::support::gate::Gate;
use crate::support::peer::{Peer, Wire, sha256};
use crate::support::until;

/// A peer that answers one request per permit and notes the order in which they came.
async fn gated_peer() -> (Peer, Arc<Semaphore>, Arc<Mutex<Vec<String>>>) {
    let (permits, order) = (
        Arc::new(Semaphore::new(0)),
        Arc::new(Mutex::new(Vec::new())),
    );
    let (taken, noted) = (Arc::clone(&permits), Arc::clone(&order));
    let peer = Peer::start(move |mut wire: Wire, _| {
        let (taken, noted) = (Arc::clone(&taken), Arc::clone(&noted));
        async move {
            while let Some(request) = wire.request().await? {
                let asked: serde_json::Value = serde_json::from_slice(&request.body)?;
                noted.lock().push(
                    asked["messages"][0]["content"]
                        .as_str()
                        .unwrap_or("")
                        .to_owned(),
                );
                taken.acquire().await.expect("open").forget();
                wire.json(200, "{}").await?;
            }
            Ok(())
        }
    })
    .await;
    (peer, permits, order)
}

fn full_at_one(peer: SocketAddr, queue: &str) -> String {
    format!(
        "pools:\n  pool:\n    health: off\n    queue: {queue}\n    peers:\n      - {{ address: \"{peer}\", max_requests: 1 }}\n"
    )
}

async fn waiting(gate: &Gate, count: usize) {
    until(&format!("{count} requests wait"), || async {
        gate.metric("tollgate_queue_requests{pool=\"pool\"}").await == count as f64
    })
    .await;
}

#[tokio::test]
async fn requests_wait_in_order_of_arrival_and_higher_classes_go_first() {
    let (peer, permits, order) = gated_peer().await;
    let keys = format!(
        "tiers: {{ vip: {{ priority: high }}, bulk: {{ priority: low }} }}\nkeys:\n  - {{ name: vip, sha256: \"{}\", tier: vip }}\n  - {{ name: std, sha256: \"{}\" }}\n  - {{ name: bulk, sha256: \"{}\", tier: bulk }}\n",
        sha256(b"vip"),
        sha256(b"std"),
        sha256(b"bulk")
    );
    let gate = Gate::start(&format!(
        "{}{keys}",
        full_at_one(peer.address, "{ max_requests: 100 }")
    ))
    .await;
    let mut running = Vec::new();
    let sent = [
        "std 0", "bulk 1", "std 2", "vip 3", "bulk 4", "vip 5", "std 6",
    ];
    for (i, name) in sent.into_iter().enumerate() {
        let address = gate.address;
        running.push(tokio::spawn(async move {
            let key = format!("Bearer {}", name.split(' ').next().expect("a word"));
            ask(address, name, &[("authorization", &key)]).await.status
        }));
        if i == 0 {
            until("the first runs", || async { order.lock().len() == 1 }).await;
        } else {
            waiting(&gate, i).await;
        }
    }
    permits.add_permits(sent.len());
    for request in running {
        assert_eq!(request.await.expect("ends"), 200);
    }
    assert_eq!(
        *order.lock(),
        [
            "std 0", "vip 3", "vip 5", "std 2", "std 6", "bulk 1", "bulk 4"
        ]
    );
    gate.is_at_rest().await;
}

#[tokio::test]
async fn a_full_queue_says_429_and_one_that_waited_too_long_503() {
    let (peer, permits, order) = gated_peer().await;
    let gate = Gate::start(&full_at_one(
        peer.address,
        "{ max_requests: 1, max_wait: 300ms }",
    ))
    .await;
    let address = gate.address;
    let first = tokio::spawn(async move { ask(address, "first", &[]).await.status });
    until("the first runs", || async { order.lock().len() == 1 }).await;
    let second = tokio::spawn(async move { ask(address, "second", &[]).await });
    waiting(&gate, 1).await;
    let third = ask(address, "third", &[]).await;
    assert_eq!(third.status, 429);
    assert!(third.header("retry-after").is_some());
    let second = second.await.expect("ends");
    assert_eq!(second.status, 503);
    assert!(second.header("retry-after").is_some());
    permits.add_permits(1);
    assert_eq!(first.await.expect("ends"), 200);
    assert_eq!(*order.lock(), ["first"]);
    gate.is_at_rest().await;
}

#[tokio::test]
async fn waiting_bodies_are_bounded_in_bytes() {
    let (peer, permits, order) = gated_peer().await;
    let gate = Gate::start(&full_at_one(
        peer.address,
        "{ max_requests: 100, max_bytes: 4KiB }",
    ))
    .await;
    let address = gate.address;
    let big = "x".repeat(3000);
    let first = tokio::spawn(async move { ask(address, "first", &[]).await.status });
    until("the first runs", || async { order.lock().len() == 1 }).await;
    let body = big.clone();
    let second = tokio::spawn(async move { ask(address, &body, &[]).await.status });
    waiting(&gate, 1).await;
    assert_eq!(ask(address, &big, &[]).await.status, 429);
    permits.add_permits(2);
    assert_eq!(
        (first.await.expect("ends"), second.await.expect("ends")),
        (200.try_into().expect("ok"), 200.try_into().expect("ok"))
    );
    gate.is_at_rest().await;
}

#[tokio::test]
async fn backups_serve_only_while_nobody_else_can() {
    let (main, backup) = (Peer::mirror().await, Peer::mirror().await);
    let config = |main: SocketAddr| {
        format!(
            "pools:\n  pool:\n    health: off\n    retry: {{ base_backoff: 1ms }}\n    peers:\n      - address: {main}\n      - {{ address: \"{}\", backup: true }}\n",
            backup.address
        )
    };
    let gate = Gate::start(&config(main.address)).await;
    for i in 0..5 {
        assert_eq!(ask(gate.address, &format!("q{i}"), &[]).await.status, 200);
    }
    assert_eq!(backup.connections(), 0);
    gate.rewrite(&config(crate::support::free_address()));
    assert_eq!(gate.reload().await.status, 200);
    for i in 0..5 {
        assert_eq!(
            ask(gate.address, &format!("q{i}"), &[]).await.status,
            200,
            "request {i}"
        );
    }
    assert!(backup.connections() > 0);
}
