//! `tollgate cache`.

use std::process::Output;

use serde_json::Value;

use super::{HOST, filled, gate, left, peer};
use crate::support::client::ask;
use crate::support::free_address;
use crate::support::gate::{Gate, binary};

async fn cache(args: &[&str]) -> Output {
    let mut command = binary();
    command.arg("cache").args(args);
    tokio::task::spawn_blocking(move || command.output().expect("runs"))
        .await
        .expect("ends")
}

fn out(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(0), "{}", err(output));
    String::from_utf8(output.stdout.clone()).expect("text")
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

async fn at(gate: &Gate, args: &[&str]) -> Output {
    let admin = gate.admin.to_string();
    cache(&[args, &["--admin", &admin]].concat()).await
}

#[tokio::test]
async fn the_command_lists_shows_purges_and_begins_epochs() {
    let peer = peer().await;
    let gate = gate(&peer).await;
    filled(&gate).await;
    // Where the admin listener is, the configuration says, too.
    let config = gate.config.display().to_string();
    let listed = out(&cache(&["list", "-c", &config]).await);
    assert!(
        listed.starts_with("CACHE") && listed.contains("answers  key"),
        "{listed}"
    );
    let entries = out(&at(&gate, &["list", "answers", "--tenant", "b"]).await);
    assert!(
        entries.starts_with("2 entries") && entries.contains("key:b/b"),
        "{entries}"
    );
    let json = out(&at(&gate, &["list", "answers", "--tag", "team=x", "--json"]).await);
    let json: Value = serde_json::from_str(&json).expect("JSON");
    let id = json["shown"][0]["id"].as_str().expect("an id").to_owned();
    let shown = out(&at(&gate, &["show", "answers", &id]).await);
    assert!(
        shown.contains(&id) && shown.contains("sim-model"),
        "{shown}"
    );

    let dry = out(&at(&gate, &["purge", "--namespace", "ns"]).await);
    assert!(
        dry.starts_with("would purge (do it with --yes): 1 entries"),
        "{dry}"
    );
    assert_eq!(left(&gate).await.len(), 6);
    let done = out(&at(&gate, &["purge", "--namespace", "ns", "--yes"]).await);
    assert!(done.starts_with("purged: 1 entries"), "{done}");
    assert_eq!(left(&gate).await, [0, 1, 2, 3, 5]);
    let epoch = out(&at(&gate, &["epoch", "--tenant", "b"]).await);
    assert!(epoch.starts_with("answers: epoch "), "{epoch}");
    assert_eq!(left(&gate).await, [0, 2, 5]);

    let key = [("authorization", "Bearer key-a"), HOST];
    let hit = ask(gate.address, "plain", &key).await;
    let id = hit.header("x-cache-key").expect("given").to_owned();
    let said = out(&at(&gate, &["feedback", &id, "bad"]).await);
    assert_eq!(said.trim(), format!("answers: {id} is bad"));
    assert_eq!(left(&gate).await, [2, 5]);
}

#[tokio::test]
async fn exit_codes_tell_bad_usage_from_what_could_not_be_done() {
    let peer = peer().await;
    let gate = gate(&peer).await;
    for (args, code, why) in [
        (&["purge"][..], 64, "no entry"),
        (&["purge", "--all", "--tenant", "a"], 64, "all"),
        (&["purge", "--text", "x"], 64, "--radius"),
        (&["purge", "--tag", "x"], 64, "NAME=VALUE"),
        (&["epoch"], 64, "required"),
        (&["epoch", "--all", "--tenant", "a"], 64, "cannot be used"),
        (&["feedback", "x", "maybe"], 64, "good"),
        (&["feedback", "x", "bad"], 1, "no cache has an entry"),
        (&["show", "answers", "x"], 1, "no entry"),
        (&["list", "none"], 1, "there is no cache"),
        (
            &["show", "answers", "x", "--content"],
            1,
            "admin.token_file",
        ),
        (
            &["list", "--token-file", "/nonexistent"],
            64,
            "/nonexistent",
        ),
    ] {
        let output = at(&gate, args).await;
        assert_eq!(
            output.status.code(),
            Some(code),
            "{args:?}: {}",
            err(&output)
        );
        assert!(err(&output).contains(why), "{args:?}: {}", err(&output));
    }
    let nobody = free_address().to_string();
    let output = cache(&["list", "--admin", &nobody]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(err(&output).contains("no answer from"), "{}", err(&output));
    let client = gate.address.to_string();
    let output = cache(&["list", "--admin", &client]).await;
    assert_eq!(output.status.code(), Some(1), "{}", err(&output));
    let output = cache(&["list", "-c", "/nonexistent.yaml"]).await;
    assert_eq!(output.status.code(), Some(64));
}
