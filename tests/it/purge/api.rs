//! What the admin API shows, asks for and refuses.

use std::fs;

use serde_json::{Value, json};

use super::{HOST, call, filled, gate, peer, rest, status};
use crate::support::client::{ask, send};
use crate::support::gate::{Gate, pool};

#[tokio::test]
async fn entries_are_listed_shown_and_deleted_without_what_was_asked_and_answered() {
    let peer = peer().await;
    let gate = gate(&peer).await;
    filled(&gate).await;
    let all = call(&gate, "GET", "", &Value::Null).await.json();
    assert_eq!(all["caches"]["answers"]["entries"], 6, "{all}");
    assert_eq!(all["caches"]["answers"]["scope"], "key");
    let one = call(&gate, "GET", "/answers", &Value::Null).await.json();
    assert_eq!(one["entries"], 6);

    let listed = async |query: &str| {
        let path = format!("/answers/entries{query}");
        call(&gate, "GET", &path, &Value::Null).await.json()
    };
    assert_eq!(
        listed("").await["shown"].as_array().expect("a list").len(),
        6
    );
    let few = listed("?limit=2&tenant=a").await;
    assert_eq!(
        (
            &few["entries"],
            few["shown"].as_array().expect("a list").len()
        ),
        (&json!(4), 2)
    );
    let tagged = listed("?tag=doc%3D7&tag=team=x").await;
    let entry = &tagged["shown"][0];
    assert_eq!(tagged["entries"], 1);
    for (fact, value) in [
        ("scope", json!("key:a/a")),
        ("tenant", json!("a")),
        ("route", json!("one")),
        ("model", json!("sim-model")),
        ("tags", json!({ "doc": "7", "team": "x" })),
        ("input_tokens", json!(9)),
        ("output_tokens", json!(2)),
        ("endpoint", json!("chat")),
    ] {
        assert_eq!(entry[fact], value, "{fact} in {entry}");
    }
    let path = format!("/answers/entries/{}", entry["id"].as_str().expect("an id"));
    let shown = call(&gate, "GET", &path, &Value::Null).await;
    assert_eq!(shown.json()["id"], entry["id"]);
    assert!(!shown.text().contains("the answer") && !shown.text().contains("tagged"));
    let content = call(&gate, "GET", &format!("{path}?content=true"), &Value::Null).await;
    assert_eq!(
        content.status,
        403,
        "content is behind a token: {}",
        content.text()
    );

    assert_eq!(call(&gate, "DELETE", &path, &Value::Null).await.status, 200);
    assert_eq!(call(&gate, "DELETE", &path, &Value::Null).await.status, 404);
    assert_eq!(call(&gate, "GET", &path, &Value::Null).await.status, 404);
    assert_eq!(listed("").await["entries"], 5);
    assert!(gate.stderr().contains("audit: ") && gate.stderr().contains("deleted"));
}

#[tokio::test]
async fn what_is_wrong_with_a_call_is_said_with_its_place() {
    let peer = peer().await;
    let gate = gate(&peer).await;
    filled(&gate).await;
    for (method, path, body, status, at, why) in [
        ("POST", "/purge", json!({}), 400, json!(null), "no entry"),
        (
            "POST",
            "/purge",
            json!({ "dry_run": false }),
            400,
            json!(null),
            "no entry",
        ),
        (
            "POST",
            "/purge",
            json!({ "all": true, "tenant": "a" }),
            400,
            json!("all"),
            "all",
        ),
        (
            "POST",
            "/purge",
            json!({ "tenants": "a" }),
            400,
            json!("tenants"),
            "unknown field",
        ),
        (
            "POST",
            "/purge",
            json!({ "tags": { "doc": 7 } }),
            400,
            json!("tags.doc"),
            "invalid type",
        ),
        (
            "POST",
            "/purge",
            json!({ "tags": {} }),
            400,
            json!(null),
            "no entry",
        ),
        (
            "POST",
            "/purge",
            json!({ "text": "x" }),
            400,
            json!("radius"),
            "required",
        ),
        (
            "POST",
            "/purge",
            json!({ "text": "x", "radius": 2 }),
            400,
            json!("radius"),
            "from 0 to 1",
        ),
        (
            "POST",
            "/purge",
            json!({ "radius": 0.9 }),
            400,
            json!("radius"),
            "needs a text",
        ),
        (
            "POST",
            "/purge",
            json!({ "cache": "answers", "text": "x", "radius": 0.9 }),
            409,
            json!(null),
            "by meaning",
        ),
        (
            "POST",
            "/purge",
            json!({ "cache": "none", "all": true }),
            404,
            json!(null),
            "there are: answers",
        ),
        ("POST", "/purge", json!([]), 400, json!(null), "JSON object"),
        ("POST", "/epoch", json!({}), 400, json!(null), "exactly one"),
        (
            "POST",
            "/epoch",
            json!({ "all": true, "tenant": "a" }),
            400,
            json!(null),
            "exactly one",
        ),
        (
            "POST",
            "/feedback",
            json!({ "id": "x" }),
            400,
            json!(null),
            "verdict",
        ),
        (
            "GET",
            "/none/entries",
            json!(null),
            404,
            json!(null),
            "no cache",
        ),
        (
            "GET",
            "/answers/entries?tenants=a",
            json!(null),
            400,
            json!("tenants"),
            "is none of",
        ),
        (
            "GET",
            "/answers/entries?limit=1000",
            json!(null),
            400,
            json!("limit"),
            "from 1 to",
        ),
        (
            "GET",
            "/answers/entries/x",
            json!(null),
            404,
            json!(null),
            "no entry",
        ),
        (
            "PUT",
            "/answers",
            json!(null),
            405,
            json!(null),
            "not understood",
        ),
        (
            "GET",
            "/answers/a/b/c",
            json!(null),
            404,
            json!(null),
            "known paths",
        ),
    ] {
        let answer = call(&gate, method, path, &body).await;
        let error = &answer.json()["error"];
        assert_eq!(answer.status, status, "{path} {body}: {error}");
        assert_eq!(error["param"], at, "{path} {body}: {error}");
        let message = error["message"].as_str().expect("text");
        assert!(message.contains(why), "{path} {body}: {message}");
    }
    let long = vec![b' '; 100_000];
    let path = "/api/v1/cache/purge";
    let long = send(gate.admin, "POST", path, &[], &long)
        .await
        .expect("an answer");
    assert_eq!(long.status, 413);
    assert_eq!(super::left(&gate).await.len(), 6, "nothing happened");
}

#[tokio::test]
async fn with_a_token_the_admin_api_is_for_those_who_show_it() {
    let peer = peer().await;
    let gate = gate(&peer).await;
    fs::write(gate.folder().join("token"), "s3cret\n").expect("written");
    let token = "admin:\n  token_file: token\n";
    let text = gate.text(&format!("{}{}", pool(&[peer.address], ""), rest("{}")));
    fs::write(&gate.config, text.replace("admin:\n", token)).expect("written");
    assert_eq!(gate.reload().await.status, 200);

    assert_eq!(status(&gate, "a", "a question", &[]).await, "MISS");
    let with = async |method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]| {
        let answer = send(gate.admin, method, path, headers, body).await;
        answer.expect("an answer")
    };
    let all = br#"{"all": true, "dry_run": false}"#;
    let right = [("authorization", "Bearer s3cret")];
    for headers in [
        &[][..],
        &[("authorization", "Bearer s3cre")],
        &[("x-api-key", "s3cret")],
    ] {
        for (method, path) in [
            ("POST", "/api/v1/cache/purge"),
            ("POST", "/api/v1/cache/epoch"),
            ("POST", "/api/v1/reload"),
            ("GET", "/api/v1/cache"),
            ("GET", "/api/v1/status"),
            ("GET", "/api/nothing"),
        ] {
            let answer = with(method, path, headers, all).await;
            assert_eq!(answer.status, 401, "{path}: {}", answer.text());
            assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
        }
    }
    for path in ["/metrics", "/healthz"] {
        assert_eq!(
            with("GET", path, &[], b"").await.status,
            200,
            "{path} is open"
        );
    }
    let listed = with("GET", "/api/v1/cache/answers/entries", &right, b"")
        .await
        .json();
    let id = listed["shown"][0]["id"].as_str().expect("an id").to_owned();
    let path = format!("/api/v1/cache/answers/entries/{id}?content=true");
    let shown = with("GET", &path, &right, b"").await;
    assert!(
        shown.json()["body"]
            .as_str()
            .expect("text")
            .contains("the answer")
    );
    assert!(
        gate.stderr()
            .contains(&format!("content of cache entry {id} shown"))
    );
    let done = with("POST", "/api/v1/cache/purge", &right, all).await;
    assert_eq!(done.json()["entries"], 1, "{}", done.text());
    assert!(!gate.stderr().contains("s3cret"));
}

#[tokio::test]
async fn a_page_of_another_site_cannot_call_the_admin_api() {
    let peer = peer().await;
    let gate = gate(&peer).await;
    assert_eq!(status(&gate, "a", "hello", &[]).await, "MISS");
    let all = br#"{"all": true, "dry_run": false}"#;
    let path = "/api/v1/cache/purge";
    for origin in ["http://evil.example", "null"] {
        let headers = [("origin", origin), ("content-type", "text/plain")];
        let answer = send(gate.admin, "POST", path, &headers, all).await;
        assert_eq!(answer.expect("an answer").status, 403, "{origin}");
    }
    let key = [("authorization", "Bearer key-a"), HOST];
    let still = ask(gate.address, "hello", &key).await;
    assert_eq!(still.header("x-cache-status"), Some("HIT"));
}

#[tokio::test]
async fn an_empty_token_file_is_refused() {
    let peer = peer().await;
    let gate = Gate::before(&[peer.address], "").await;
    fs::write(gate.folder().join("token"), "\n").expect("written");
    let text = gate.text(&pool(&[peer.address], ""));
    let token = "admin:\n  token_file: token\n";
    fs::write(&gate.config, text.replace("admin:\n", token)).expect("written");
    let answer = gate.reload().await;
    assert_eq!(answer.status, 422);
    assert!(
        answer.text().contains("admin.token_file"),
        "{}",
        answer.text()
    );
}
