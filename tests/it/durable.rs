//! What a cache keeps on disk outlives the process, and nothing that is wrong with the disk reaches a client.

mod kill;

use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::client::{Answer, ask};
use crate::support::gate::{Gate, pool};
use crate::support::peer::{Peer, Wire, sha256};
use crate::support::replace::{successor, upgrade};
use crate::support::{sentence_model, until};

/// What this peer answers to a question, so that every answer can be checked.
fn deserved(question: &str) -> String {
    format!(
        "the answer to {question} is {}",
        sha256(question.as_bytes())
    )
}

/// A peer whose answers follow from the questions.
async fn knowing_peer() -> Peer {
    Peer::start(|mut wire: Wire, _| async move {
        while let Some(request) = wire.request().await? {
            let asked: Value = serde_json::from_slice(&request.body)?;
            let question = asked["messages"][0]["content"].as_str().unwrap_or("");
            wire.json(
                200,
                &json!({ "id": "c1", "object": "chat.completion", "created": 1, "model": "m",
                    "choices": [{ "index": 0, "message": { "role": "assistant", "content": deserved(question) }, "finish_reason": "stop" }],
                    "usage": { "prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11 } })
                .to_string(),
            )
            .await?;
        }
        Ok(())
    })
    .await
}

const ROUTES: &str = "routes:\n  - { match: { path: \"/v1/*\" }, pool: pool, cache: answers }\n";

/// The configuration below the listeners; `more` are further keys of the cache.
fn config(peer: &Peer, more: &str) -> String {
    let pool = pool(&[peer.address], "");
    format!("{pool}{ROUTES}caches:\n  answers: {{ store: {{ path: ./answers.redb }}{more} }}\n")
}

/// Asks, checks the answer, and tells where it came from.
async fn asked(gate: &Gate, question: &str) -> String {
    let answer: Answer = ask(gate.address, question, &[]).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(
        answer.json()["choices"][0]["message"]["content"],
        deserved(question)
    );
    answer.header("x-cache-status").expect("a cache").to_owned()
}

async fn store(gate: &Gate) -> Value {
    gate.status().await["caches"]["answers"]["store"].clone()
}

/// Waits until all is on disk, or read from it.
async fn settled(gate: &Gate) {
    until("the store is settled", || async {
        let store = store(gate).await;
        store["state"] == "ready" && store["waiting_bytes"] == 0
    })
    .await;
}

async fn written(gate: &Gate, changes: u64) {
    until("all is written", || async {
        store(gate).await["written"].as_u64() >= Some(changes)
    })
    .await;
}

#[tokio::test]
async fn answers_are_there_after_a_restart_with_their_keys_and_their_age() {
    let peer = knowing_peer().await;
    let mut gate = Gate::start(&config(&peer, ", ttl: 1h")).await;
    let mut keys = Vec::new();
    for n in 0..20 {
        assert_eq!(asked(&gate, &format!("question {n}")).await, "MISS");
        let again = ask(gate.address, &format!("question {n}"), &[]).await;
        keys.push(again.header("x-cache-key").expect("a key").to_owned());
    }
    // At once: what waits to be written is written on the way out.
    gate.signal("TERM");
    assert!(gate.ended().await.success());
    gate.start_again().await;
    settled(&gate).await;
    for (n, key) in keys.iter().enumerate() {
        let answer = ask(gate.address, &format!("question {n}"), &[]).await;
        assert_eq!(answer.header("x-cache-status"), Some("HIT"));
        assert_eq!(answer.header("x-cache-key"), Some(key.as_str()));
        assert!(answer.header("age").is_some());
    }
    let store = store(&gate).await;
    assert_eq!(
        (&store["filled"], &store["damaged"]),
        (&json!(20), &json!(0))
    );
    assert_eq!(
        gate.metric("tollgate_cache_store_ready{cache=\"answers\"}")
            .await,
        1.0
    );
}

#[tokio::test]
async fn a_life_that_ends_while_nobody_serves_is_over() {
    let peer = knowing_peer().await;
    let mut gate = Gate::start(&config(&peer, ", ttl: 1s")).await;
    asked(&gate, "short").await;
    written(&gate, 1).await;
    gate.kill();
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    gate.start_again().await;
    settled(&gate).await;
    assert_eq!(asked(&gate, "short").await, "MISS");
}

#[tokio::test]
async fn a_question_in_other_words_is_answered_after_a_restart_but_not_by_another_models_vectors() {
    let Some(model) = sentence_model() else {
        return;
    };
    let peer = knowing_peer().await;
    let meaning = |pooling: &str| {
        let model = model.display();
        format!(
            ", semantic: {{ threshold: 0.8, guard: false, deadline: 5s, embedder: {{ model: m, path: {model}, pooling: {pooling} }} }}"
        )
    };
    let mut gate = Gate::start(&config(&peer, &meaning("mean"))).await;
    gate.embeds().await;
    asked(&gate, "How do I reset my password?").await;
    written(&gate, 1).await;
    gate.kill();
    gate.start_again().await;
    gate.embeds().await;
    let vectors = "tollgate_cache_vectors{cache=\"answers\"}";
    until("the vector is there", || async {
        gate.metric(vectors).await == 1.0
    })
    .await;
    let near = ask(gate.address, "How can I reset my password?", &[]).await;
    assert_eq!(near.header("x-cache-status"), Some("SEMANTIC_HIT"));

    gate.kill();
    gate.rewrite(&config(&peer, &meaning("cls")));
    gate.start_again().await;
    gate.embeds().await;
    settled(&gate).await;
    assert_eq!(asked(&gate, "How could I reset my password?").await, "MISS");
    assert_eq!(asked(&gate, "How do I reset my password?").await, "HIT");
}

#[tokio::test]
async fn an_upgrade_of_the_binary_keeps_what_is_cached() {
    let peer = knowing_peer().await;
    let rest = format!("upgrade_socket: ./upgrade.sock\n{}", config(&peer, ""));
    let mut gate = Gate::start(&rest).await;
    for n in 0..20 {
        asked(&gate, &format!("question {n}")).await;
    }
    let _next = successor(&upgrade(&gate).await);
    assert!(gate.ended().await.success());
    settled(&gate).await;
    for n in 0..20 {
        assert_eq!(asked(&gate, &format!("question {n}")).await, "HIT");
    }
    asked(&gate, "one for the new process").await;
    written(&gate, 1).await;
    assert_eq!(store(&gate).await["lost"], 0);
}

#[tokio::test]
async fn a_reload_keeps_the_open_file_also_when_the_cache_changes() {
    let peer = knowing_peer().await;
    let gate = Gate::start(&config(&peer, "")).await;
    asked(&gate, "question").await;
    for more in [", ttl: 2h", ", ttl: 2h, exact: { max_bytes: 1MiB }", ""] {
        gate.rewrite(&config(&peer, more));
        assert_eq!(gate.reload().await.status, 200);
        until("it is filled again", || async {
            store(&gate).await["state"] == "ready"
                && gate.status().await["caches"]["answers"]["entries"] == 1
        })
        .await;
        assert_eq!(asked(&gate, "question").await, "HIT");
    }
    assert!(!gate.stderr().contains("another process"));
}

#[tokio::test]
async fn a_cache_that_another_process_keeps_is_served_from_memory() {
    let peer = knowing_peer().await;
    let first = Gate::start(&config(&peer, "")).await;
    asked(&first, "question").await;
    settled(&first).await;
    let path = first.folder().join("answers.redb");
    let second = config(&peer, "").replace("./answers.redb", &path.display().to_string());
    let second = Gate::start(&second).await;
    until("it waits", || async {
        store(&second).await["state"] == "waiting"
    })
    .await;
    assert_eq!(asked(&second, "question").await, "MISS");
    assert_eq!(asked(&second, "question").await, "HIT");
}

#[tokio::test]
async fn a_damaged_file_is_moved_aside_once_and_no_wrong_answer_is_given() {
    let peer = knowing_peer().await;
    let mut gate = Gate::start(&config(&peer, "")).await;
    for n in 0..50 {
        asked(&gate, &format!("question {n}")).await;
    }
    settled(&gate).await;
    let path = gate.folder().join("answers.redb");
    for seed in 0..4u64 {
        gate.signal("TERM");
        assert!(gate.ended().await.success());
        let mut bytes = fs::read(&path).expect("kept");
        let mut random = fastrand::Rng::with_seed(seed);
        for _ in 0..2000 {
            let at = random.usize(..bytes.len());
            bytes[at] ^= random.u8(1..);
        }
        if seed == 3 {
            bytes.truncate(bytes.len() / 3);
        }
        fs::write(&path, bytes).expect("written");
        gate.start_again().await;
        settled(&gate).await;
        for n in 0..50 {
            asked(&gate, &format!("question {n}")).await;
        }
        settled(&gate).await;
    }
    let moved = fs::read_dir(gate.folder()).expect("a folder");
    let names = moved.map(|file| file.expect("a file").file_name());
    let aside = names.filter(|name| name.to_string_lossy().contains(".damaged-"));
    assert_eq!(aside.count(), 1);
    assert!(gate.stderr().contains("damaged"), "{}", gate.stderr());
    assert!(!gate.stderr().contains("panicked at src"));
}

/// A limit on the size of files does what a full disk does: writes fail.
#[tokio::test]
async fn a_full_disk_is_a_clear_error_and_no_more() {
    let peer = knowing_peer().await;
    let mut gate = Gate::start_with(&config(&peer, ""), |command, folder| {
        let said = |name| fs::File::create(folder.join(name)).expect("a file");
        let mut limited = Command::new("sh");
        limited
            .args(["-c", "trap '' XFSZ; ulimit -f 8192; exec \"$0\" \"$@\""])
            .arg(command.get_program())
            .args(command.get_args())
            .stdout(said("stdout"))
            .stderr(said("stderr"));
        *command = limited;
    })
    .await;
    settled(&gate).await;
    let question = |n: usize| format!("{n} {}", "x".repeat(200_000));
    for n in 0..60 {
        assert_eq!(asked(&gate, &question(n)).await, "MISS");
    }
    until("the disk is full", || async {
        store(&gate).await["state"] == "failed"
    })
    .await;
    let full = store(&gate).await;
    assert!(
        full["error"]
            .as_str()
            .is_some_and(|why| why.contains("File too large")),
        "{full}"
    );
    for n in 0..60 {
        assert_eq!(asked(&gate, &question(n)).await, "HIT");
    }
    assert!(gate.stderr().contains("serving from memory"));
    gate.signal("TERM");
    assert!(gate.ended().await.success());
    gate.start_again().await;
    settled(&gate).await;
    assert_eq!(store(&gate).await["damaged"], 0);
    for n in 0..60 {
        asked(&gate, &question(n)).await;
    }
    settled(&gate).await;
    assert_eq!(store(&gate).await["lost"], 0);
}
