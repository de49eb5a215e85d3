//! What the admin API has said is done stays done, whatever happens to the process.

use serde_json::json;

use super::{call, filled, left, peer, rest};
use crate::support::gate::Gate;
use crate::support::until;

#[tokio::test]
async fn a_purge_an_epoch_and_feedback_outlive_kill_9() {
    let peer = peer().await;
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("answers.redb");
    let rest = rest(&format!("{{ store: {{ path: {} }} }}", path.display()));
    let gate = Gate::before(&[peer.address], &rest).await;
    filled(&gate).await;
    let listed = call(&gate, "GET", "/answers/entries?namespace=ns", &json!(null)).await;
    let id = listed.json()["shown"][0]["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    for (path, body) in [
        (
            "/purge",
            json!({ "tags": { "doc": "7" }, "dry_run": false }),
        ),
        ("/epoch", json!({ "tenant": "b" })),
        ("/feedback", json!({ "id": id, "verdict": "bad" })),
    ] {
        let done = call(&gate, "POST", path, &body).await;
        assert_eq!(done.status, 200, "{}", done.text());
    }
    assert_eq!(left(&gate).await, [0, 5]);
    // By SIGKILL, at once.
    drop(gate);
    let gate = Gate::before(&[peer.address], &rest).await;
    until("what was kept is back", || async {
        left(&gate).await == [0, 5]
    })
    .await;
    let held = call(&gate, "GET", "/answers", &json!(null)).await.json();
    let epochs = held["epochs"].as_array().expect("a list");
    assert!(
        epochs
            .iter()
            .any(|epoch| epoch["whose"] == json!({ "tenant": "b" })),
        "{held}"
    );

    let all = json!({ "all": true, "dry_run": false });
    assert_eq!(call(&gate, "POST", "/purge", &all).await.status, 200);
    drop(gate);
    let gate = Gate::before(&[peer.address], &rest).await;
    until("the store is read", || async {
        // Also while it is being read nothing that was purged is served.
        assert_eq!(left(&gate).await, [0; 0]);
        let held = call(&gate, "GET", "/answers", &json!(null)).await.json();
        held["store"]["state"] == "ready"
    })
    .await;
}
