//! What is counted is what happened: tokens, places, first tokens, log lines.

use std::time::Duration;

use serde_json::json;
use tokio::time::timeout;

use crate::support::client::{self, chat};
use crate::support::gate::{Gate, pool};
use crate::support::peer::{Peer, Wire};
use crate::support::raw::{LONG, Raw, post, showing_peer};
use crate::support::until;

#[tokio::test]
async fn two_full_peers_that_refuse_do_not_make_their_requests_wait_for_each_other() {
    let peer = || {
        Peer::start(|mut wire: Wire, _| async move {
            while wire.request().await?.is_some() {
                tokio::time::sleep(Duration::from_millis(200)).await;
                wire.json(503, "{\"from\":\"peer\"}").await?;
            }
            Ok(())
        })
    };
    let (one, two) = (peer().await, peer().await);
    let gate = Gate::start(&format!(
        "pools:\n  pool:\n    health: off\n    eject: off\n    queue: {{ max_wait: 15s }}\n    retry: {{ attempts: 3, base_backoff: 1ms }}\n    peers:\n      - {{ address: \"{}\", max_requests: 1 }}\n      - {{ address: \"{}\", max_requests: 1 }}\n",
        one.address, two.address
    ))
    .await;
    let ask = |text: &'static str| {
        let address = gate.address;
        tokio::spawn(async move { client::ask(address, text, &[]).await })
    };
    let (a, b) = (ask("a"), ask("b"));
    let both = timeout(Duration::from_secs(10), async {
        [a.await.expect("runs"), b.await.expect("runs")]
    })
    .await
    .expect("nobody waits for the other");
    for answer in both {
        assert_eq!(answer.status, 503);
        assert_eq!(answer.json()["from"], "peer", "the peer's own words");
    }
    gate.is_at_rest().await;
}

#[tokio::test]
async fn errors_and_other_paths_do_not_count_as_first_tokens() {
    let peer = Peer::start(|mut wire: Wire, _| async move {
        while wire.request().await?.is_some() {
            wire.json(400, "{}").await?;
        }
        Ok(())
    })
    .await;
    let gate = Gate::before(&[peer.address], "").await;
    client::ask(gate.address, "x", &[]).await;
    client::get(gate.address, "/other")
        .await
        .expect("an answer");
    until("both are logged", || async {
        gate.stdout().lines().count() == 2
    })
    .await;
    assert_eq!(
        gate.metric("gen_ai_server_time_to_first_token_seconds_count{pool=\"pool\"}")
            .await,
        0.0
    );
}

#[tokio::test]
async fn a_client_that_leaves_the_queue_gets_its_tokens_back() {
    let (peer, mut reaches) = Peer::stuck().await;
    let gate = Gate::start(&format!(
        "pools:\n  pool:\n    health: off\n    peers:\n      - {{ address: \"{}\", max_requests: 1 }}\nlimits:\n  - {{ per: key, tokens: 100000/h }}\n",
        peer.address
    ))
    .await;
    let ask = post(
        "/v1/chat/completions",
        "",
        &chat(&"word ".repeat(4000), json!({})),
    );
    let mut first = Raw::connect(&gate).await;
    first.send(&ask).await;
    reaches.recv().await.expect("at the peer");
    let mut second = Raw::connect(&gate).await;
    second.send(&ask).await;
    until("it waits", || async {
        gate.metric("tollgate_queue_requests{pool=\"pool\"}").await == 1.0
    })
    .await;
    drop(second);
    until("it is gone", || async {
        gate.metric("tollgate_queue_requests{pool=\"pool\"}").await == 0.0
    })
    .await;
    // A request that is refused shows where the bucket stands.
    let refused = client::post_chat(
        gate.address,
        &chat(&"word ".repeat(400_000), json!({})),
        &[],
    )
    .await;
    assert_eq!(refused.status, 429);
    let left: u64 = refused
        .header("x-ratelimit-remaining-tokens")
        .expect("given")
        .parse()
        .expect("a number");
    // One prompt of some 5,000 tokens is out, not two.
    assert!(left > 92_000, "{left}");
}

#[tokio::test]
async fn a_peer_that_replaces_a_stuck_one_serves_those_who_wait_and_those_who_come() {
    let (stuck, mut reaches) = Peer::stuck().await;
    let fresh = Peer::mirror().await;
    let config = |peer: std::net::SocketAddr| {
        format!(
            "pools:\n  pool:\n    health: off\n    queue: {{ max_wait: 60s }}\n    peers:\n      - {{ address: \"{peer}\", max_requests: 1 }}\n"
        )
    };
    let gate = Gate::start(&config(stuck.address)).await;
    let mut first = Raw::connect(&gate).await;
    first
        .send(post("/v1/chat/completions", "", &chat("x", json!({}))))
        .await;
    reaches.recv().await.expect("at the peer");
    let mut second = Raw::connect(&gate).await;
    second
        .send(post("/v1/chat/completions", "", &chat("y", json!({}))))
        .await;
    until("it waits", || async {
        gate.metric("tollgate_queue_requests{pool=\"pool\"}").await == 1.0
    })
    .await;
    gate.rewrite(&config(fresh.address));
    assert_eq!(gate.reload().await.status, 200);
    let (head, _) = second.answer().await.expect("who waited is served");
    assert!(head.starts_with("http/1.1 200"), "{head}");
    let third = timeout(LONG, client::ask(gate.address, "z", &[]))
        .await
        .expect("who comes is served");
    assert_eq!(third.status, 200);
    drop(first);
    gate.is_at_rest().await;
}

#[tokio::test]
async fn a_peer_that_counts_beyond_all_bounds_breaks_nothing() {
    let peer = Peer::start(|mut wire: Wire, _| async move {
        while wire.request().await?.is_some() {
            wire.json(
                200,
                r#"{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"x"},"finish_reason":"stop"}],"usage":{"prompt_tokens":18446744073709551615,"completion_tokens":18446744073709551615,"total_tokens":1}}"#,
            )
            .await?;
        }
        Ok(())
    })
    .await;
    let gate = Gate::before(
        &[peer.address],
        "limits:\n  - { per: key, tokens: 1000/min }\n",
    )
    .await;
    assert_eq!(client::ask(gate.address, "x", &[]).await.status, 200);
    assert_eq!(client::ask(gate.address, "x", &[]).await.status, 429);
    gate.is_at_rest().await;
    assert_eq!(gate.metric("tollgate_unfinished_requests_total").await, 0.0);
}

#[tokio::test]
async fn what_can_change_an_answer_separates_answers_in_the_cache() {
    let peer = Peer::start(|mut wire: Wire, number| async move {
        while wire.request().await?.is_some() {
            wire.json(
                200,
                &json!({ "id": "c", "object": "chat.completion", "created": 1, "model": "m",
                    "choices": [{ "index": 0, "message": { "role": "assistant", "content": format!("{number}") }, "finish_reason": "stop" }],
                    "usage": { "prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2 } })
                .to_string(),
            )
            .await?;
        }
        Ok(())
    })
    .await;
    let gate = Gate::before(
        &[peer.address],
        "routes:\n  - { pool: pool, cache: answers }\ncaches:\n  answers: {}\n",
    )
    .await;
    let path = "/v1/chat/completions";
    for (path, header) in [
        (path, None),
        (path, Some(("anthropic-version", "2023-06-01"))),
        (path, Some(("anthropic-beta", "tools"))),
        (path, Some(("openai-organization", "o"))),
        (path, Some(("openai-project", "p"))),
        (path, Some(("openai-beta", "b"))),
        (path, Some(("authorization", "Basic YTpi"))),
        (path, Some(("authorization", "Basic Yzpk"))),
        (path, Some(("api-key", "azure"))),
        (path, Some(("cookie", "session=1"))),
        ("/v1/chat/completions?api-version=2", None),
    ] {
        let headers: Vec<_> = header.into_iter().collect();
        for expected in ["MISS", "HIT"] {
            let answer = client::send(
                gate.address,
                "POST",
                path,
                &headers,
                &chat("same", json!({})),
            )
            .await
            .expect("an answer");
            assert_eq!(
                answer.header("x-cache-status"),
                Some(expected),
                "{path} {header:?}"
            );
        }
    }
}

#[tokio::test]
async fn log_lines_reach_the_disk_while_others_keep_coming() {
    let peer = showing_peer().await;
    let gate = Gate::before(&[peer.address], "").await;
    let mut requests = 0;
    while gate.stdout().is_empty() {
        client::get(gate.address, "/x").await.expect("an answer");
        requests += 1;
        assert!(requests < 50, "nothing was written");
        // Often enough that the writer is never idle for long.
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_log_that_was_rotated_is_written_anew_after_sighup() {
    let peer = showing_peer().await;
    let folder = tempfile::tempdir().expect("folder");
    let (path, old) = (folder.path().join("log"), folder.path().join("log.1"));
    let gate = Gate::before(
        &[peer.address],
        &format!("access_log: {}\n", path.display()),
    )
    .await;
    client::get(gate.address, "/before")
        .await
        .expect("an answer");
    // Its line is made when its answer is gone.
    gate.is_at_rest().await;
    std::fs::rename(&path, &old).expect("rotated");
    gate.signal("HUP");
    until("the log is opened again", || async { path.exists() }).await;
    let has = |path: &std::path::Path, what: &str| {
        std::fs::read_to_string(path).is_ok_and(|text| text.contains(what))
    };
    until("the new log is written", || async {
        client::get(gate.address, "/after")
            .await
            .expect("an answer");
        has(&path, "/after")
    })
    .await;
    until("the old log is complete", || async { has(&old, "/before") }).await;
}

#[tokio::test]
async fn a_new_grace_for_the_shutdown_is_said_to_need_a_restart() {
    let peer = showing_peer().await;
    let gate = Gate::before(&[peer.address], "").await;
    gate.rewrite(&(pool(&[peer.address], "") + "shutdown_grace: 77s\n"));
    let answer = gate.reload().await;
    assert_eq!(answer.json()["needs_restart"], json!(["shutdown_grace"]));
}
