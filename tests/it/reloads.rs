//! A reload changes what it says and nothing else; a bad file changes nothing.

use std::fs;
use std::os::unix::fs::symlink;
use std::sync::Arc;

use http_body_util::BodyExt;
use serde_json::json;
use tokio::sync::watch;

use crate::support::client::{self, ask};
use crate::support::gate::{Gate, pool};
use crate::support::peer::{Peer, Wire};
use crate::support::until;

async fn generation(gate: &Gate) -> u64 {
    gate.status().await["config"]["generation"]
        .as_u64()
        .expect("a number")
}

#[tokio::test]
async fn a_bad_file_is_refused_with_every_reason_and_the_old_one_stays() {
    let peer = Peer::mirror().await;
    let gate = Gate::before(&[peer.address], "").await;
    gate.rewrite("pools:\n  pool:\n    balance: fastest\n    peers:\n      - address: nowhere\n        weight: -1\n");
    let answer = gate.reload().await;
    assert_eq!(answer.status, 422);
    let errors = answer.json()["errors"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|e| e.as_str().expect("text").to_owned())
        .collect::<Vec<_>>()
        .join("\n");
    for path in [
        "pools.pool.balance",
        "pools.pool.peers[0].address",
        "pools.pool.peers[0].weight",
    ] {
        assert!(errors.contains(path), "{path} is missing in:\n{errors}");
    }
    assert_eq!(ask(gate.address, "hello", &[]).await.status, 200);
    let status = gate.status().await;
    assert_eq!(status["config"]["generation"], 1);
    assert!(status["config"]["refused"].to_string().contains("balance"));
    assert!(
        gate.metric("tollgate_config_reloads_total{result=\"refused\"}")
            .await
            >= 1.0
    );
}

#[tokio::test]
async fn a_changed_file_is_seen_however_it_is_changed() {
    let (one, two) = (Peer::mirror().await, Peer::mirror().await);
    let gate = Gate::before(&[one.address], "").await;
    let both = pool(&[one.address, two.address], "");

    // In place.
    gate.rewrite(&both);
    until("written in place", || async {
        generation(&gate).await == 2
    })
    .await;

    // By rename, as editors and configuration managers do.
    let other = gate.folder().join("new.yaml");
    fs::write(&other, gate.text(&pool(&[one.address], ""))).expect("written");
    fs::rename(&other, &gate.config).expect("renamed");
    until("replaced by rename", || async {
        generation(&gate).await == 3
    })
    .await;

    // As a symlink to a folder that is swapped, as Kubernetes does.
    for version in ["v1", "v2"] {
        fs::create_dir(gate.folder().join(version)).expect("folder");
    }
    fs::write(gate.folder().join("v1/tollgate.yaml"), gate.text(&both)).expect("written");
    fs::write(
        gate.folder().join("v2/tollgate.yaml"),
        gate.text(&pool(&[two.address], "")),
    )
    .expect("written");
    symlink("v1", gate.folder().join("data")).expect("link");
    symlink("data/tollgate.yaml", gate.folder().join("link.yaml")).expect("link");
    fs::rename(gate.folder().join("link.yaml"), &gate.config).expect("renamed");
    until("became a symlink", || async {
        generation(&gate).await == 4
    })
    .await;
    symlink("v2", gate.folder().join("data.new")).expect("link");
    fs::rename(gate.folder().join("data.new"), gate.folder().join("data")).expect("renamed");
    until("symlink swapped", || async { generation(&gate).await == 5 }).await;
    let status = gate.status().await;
    assert_eq!(
        status["pools"]["pool"]["peers"]
            .as_array()
            .expect("peers")
            .iter()
            .filter(|peer| peer["draining"] == false)
            .count(),
        1
    );
}

#[tokio::test]
async fn sighup_reloads_and_a_new_address_is_said_to_need_a_restart() {
    let peer = Peer::mirror().await;
    let gate = Gate::before(&[peer.address], "").await;
    gate.signal("HUP");
    until("reloaded by SIGHUP", || async {
        generation(&gate).await == 2
    })
    .await;
    fs::write(
        &gate.config,
        gate.text(&pool(&[peer.address], ""))
            .replace("threads: 2", "threads: 3"),
    )
    .expect("written");
    until("reloaded", || async {
        gate.status().await["config"]["needs_restart"] == json!(["threads"])
    })
    .await;
    assert_eq!(ask(gate.address, "hello", &[]).await.status, 200);
}

#[tokio::test]
async fn peers_that_stay_keep_their_counters_and_removed_ones_finish_what_they_do() {
    let (hold, held) = watch::channel(false);
    let slow = Peer::start(move |mut wire: Wire, _| {
        let mut held = held.clone();
        async move {
            wire.request().await?;
            wire.events().await?;
            wire.token("first").await?;
            let _ = held.wait_for(|done| *done).await;
            wire.token("last").await?;
            wire.chunk("data: [DONE]\n\n").await?;
            wire.raw("0\r\n\r\n").await
        }
    })
    .await;
    let other = Peer::mirror().await;
    let gate = Gate::before(&[slow.address], "").await;
    let body = client::chat("hello", json!({ "stream": true }));
    let answer = client::begin(gate.address, "POST", "/v1/chat/completions", &[], &body)
        .await
        .expect("begins");

    gate.rewrite(&pool(&[slow.address, other.address], ""));
    assert_eq!(gate.reload().await.status, 200);
    let status = gate.status().await;
    assert_eq!(
        status["pools"]["pool"]["peers"][0]["inflight_requests"], 1,
        "counters survive: {status}"
    );

    gate.rewrite(&pool(&[other.address], ""));
    assert_eq!(gate.reload().await.status, 200);
    let other_answers = ask(gate.address, "x", &[]).await.json();
    assert!(other_answers["bytes"].as_u64().is_some(), "{other_answers}");
    hold.send(true).expect("the peer waits");
    let text = String::from_utf8(
        answer
            .into_body()
            .collect()
            .await
            .expect("whole")
            .to_bytes()
            .to_vec(),
    )
    .expect("text");
    assert!(
        text.contains("first") && text.contains("last") && text.ends_with("data: [DONE]\n\n"),
        "{text}"
    );
    gate.is_at_rest().await;
}

/// Long: part of "what must be shown".
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "long; run by scripts/test"]
async fn two_hundred_live_streams_and_fifty_reloads_half_of_them_invalid_lose_no_byte() {
    const STREAMS: usize = 200;
    const EVENTS: usize = 60;
    let (step, stepped) = watch::channel(0_usize);
    let serve = move |mut wire: Wire, _| {
        let mut stepped = stepped.clone();
        async move {
            let Some(request) = wire.request().await? else {
                return Ok(());
            };
            let name = serde_json::from_slice::<serde_json::Value>(&request.body)?["user"]
                .as_str()
                .unwrap_or("")
                .to_owned();
            wire.events().await?;
            for event in 0..EVENTS {
                let _ = stepped.wait_for(|reached| *reached >= event).await;
                wire.token(&format!("{name}-{event}.")).await?;
            }
            wire.chunk("data: [DONE]\n\n").await?;
            wire.raw("0\r\n\r\n").await
        }
    };
    let peers = [
        Peer::start(serve.clone()).await,
        Peer::start(serve.clone()).await,
        Peer::start(serve).await,
    ];
    let addresses: Vec<_> = peers.iter().map(|peer| peer.address).collect();
    let gate = Arc::new(Gate::before(&addresses, "").await);

    let mut streams = tokio::task::JoinSet::new();
    for i in 0..STREAMS {
        let address = gate.address;
        streams.spawn(async move {
            let body = client::chat("hello", json!({ "stream": true, "user": format!("u{i}") }));
            let text = client::post_chat(address, &body, &[]).await.text();
            (i, text)
        });
    }
    until("all streams run", || async {
        gate.metric("tollgate_inflight_requests").await == STREAMS as f64
    })
    .await;
    for reload in 0..50 {
        if reload % 2 == 0 {
            // Another subset of the peers each time, so that peers come and go under running streams.
            let some: Vec<_> = addresses
                .iter()
                .enumerate()
                .filter(|(i, _)| reload / 2 % 3 != *i)
                .map(|(_, address)| *address)
                .collect();
            gate.rewrite(&pool(
                &some,
                &format!("    queue: {{ max_requests: {} }}\n", 100 + reload),
            ));
            assert_eq!(gate.reload().await.status, 200);
        } else {
            gate.rewrite("pools: { pool: { peers: [] } }\n");
            assert_eq!(gate.reload().await.status, 422);
        }
        step.send(reload + 1).expect("peers listen");
    }
    step.send(EVENTS).expect("peers listen");
    let mut whole = 0;
    while let Some(ended) = streams.join_next().await {
        let (i, text) = ended.expect("a stream");
        let expected: String = (0..EVENTS).map(|event| format!("u{i}-{event}.")).collect();
        let got: String = text
            .lines()
            .filter_map(|line| line.strip_prefix("data: {"))
            .map(|event| {
                serde_json::from_str::<serde_json::Value>(&format!("{{{event}")).expect("JSON")
                        ["choices"][0]["delta"]["content"]
                        .as_str()
                        .expect("text")
                        .to_owned()
            })
            .collect();
        assert_eq!(got, expected, "stream {i}");
        assert!(text.ends_with("data: [DONE]\n\n"));
        whole += 1;
    }
    assert_eq!(whole, STREAMS);
    gate.is_at_rest().await;
    println!("{whole} streams of {EVENTS} events whole over 50 reloads, 25 of them refused");
}
