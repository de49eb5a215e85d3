//! What happened can be seen: metrics, status, log lines.

use serde_json::{Value, json};

use crate::support::client::{self, ask, chat, post_chat};
use crate::support::gate::{Gate, pool};
use crate::support::peer::{Peer, Wire};
use crate::support::until;

/// A stream of three tokens with usage.
async fn peer() -> Peer {
    Peer::start(|mut wire: Wire, _| async move {
        while wire.request().await?.is_some() {
            wire.events().await?;
            for token in ["a ", "b ", "c "] {
                wire.token(token).await?;
            }
            wire.chunk("data: {\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m-real\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":3,\"total_tokens\":12}}\n\n").await?;
            wire.chunk("data: [DONE]\n\n").await?;
            wire.raw("0\r\n\r\n").await?;
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn every_request_leaves_one_log_line_with_its_figures_and_without_its_prompt() {
    let peer = peer().await;
    let gate = Gate::before(&[peer.address], "").await;
    let body = chat("a very secret question", json!({ "stream": true }));
    let answer = post_chat(gate.address, &body, &[("x-request-id", "my-id-1")]).await;
    assert_eq!(answer.header("x-request-id"), Some("my-id-1"));
    until("the line is written", || async {
        gate.stdout().ends_with('\n')
    })
    .await;
    let log = gate.stdout();
    assert_eq!(log.lines().count(), 1);
    assert!(!log.contains("secret"));
    let line: Value = serde_json::from_str(&log).expect("JSON");
    for (field, value) in [
        ("request_id", json!("my-id-1")),
        ("method", json!("POST")),
        ("path", json!("/v1/chat/completions")),
        ("status", json!(200)),
        ("upstream", json!(peer.address.to_string())),
        ("attempts", json!(1)),
        ("gen_ai.request.model", json!("sim-model")),
        ("gen_ai.usage.input_tokens", json!(9)),
        ("gen_ai.usage.output_tokens", json!(3)),
        ("finish_reason", json!("stop")),
        ("stream", json!(true)),
        ("request_bytes", json!(body.len())),
        ("client_aborted", json!(false)),
    ] {
        assert_eq!(line[field], value, "{field} in {line}");
    }
    assert!(line["ttft_ms"].as_f64().expect("a number") > 0.0);
    assert!(line["overhead_us"].as_u64().expect("a number") > 0);
    assert!(line["response_bytes"].as_u64().expect("a number") >= answer.body.len() as u64);
}

#[tokio::test]
async fn metrics_count_what_happened_under_the_published_names() {
    let peer = peer().await;
    let gate = Gate::before(&[peer.address], "").await;
    for i in 0..3 {
        ask(gate.address, &format!("q{i}"), &[]).await;
    }
    gate.is_at_rest().await;
    assert_eq!(gate.metric("tollgate_requests_total{error_type=\"\",model=\"sim-model\",route=\"route-1\",status=\"200\"}").await, 3.0);
    assert_eq!(
        gate.metric("gen_ai_server_time_to_first_token_seconds_count{pool=\"pool\"}")
            .await,
        3.0
    );
    assert_eq!(
        gate.metric("gen_ai_client_token_usage_sum{gen_ai_token_type=\"output\"}")
            .await,
        9.0
    );
    assert_eq!(
        gate.metric("tollgate_overhead_seconds_count{kind=\"proxied\"}")
            .await,
        3.0
    );
    assert_eq!(
        gate.metric(&format!(
            "tollgate_queue_tokens{{peer=\"{}\",pool=\"pool\"}}",
            peer.address
        ))
        .await,
        0.0
    );
    assert_eq!(
        gate.metric(&format!(
            "tollgate_peer_up{{peer=\"{}\",pool=\"pool\"}}",
            peer.address
        ))
        .await,
        1.0
    );
    let text = client::get(gate.admin, "/metrics")
        .await
        .expect("admin answers")
        .text();
    assert!(text.contains("tollgate_config_generation 1"));
}

#[tokio::test]
async fn outstanding_tokens_of_a_peer_are_visible_while_it_works() {
    let (go, gone) = tokio::sync::watch::channel(0);
    let peer = Peer::start(move |mut wire: Wire, _| {
        let mut gone = gone.clone();
        async move {
            wire.request().await?;
            let _ = gone.wait_for(|step| *step >= 1).await;
            wire.events().await?;
            wire.token("x").await?;
            let _ = gone.wait_for(|step| *step >= 2).await;
            wire.chunk("data: [DONE]\n\n").await?;
            wire.raw("0\r\n\r\n").await
        }
    })
    .await;
    let gate = Gate::before(&[peer.address], "").await;
    let address = gate.address;
    let long = "word ".repeat(4000);
    let request = tokio::spawn(async move {
        post_chat(
            address,
            &chat(&long, json!({ "stream": true, "max_tokens": 100 })),
            &[],
        )
        .await
        .status
    });
    let series = format!(
        "tollgate_queue_tokens{{peer=\"{}\",pool=\"pool\"}}",
        peer.address
    );
    until("the whole prompt is outstanding", || async {
        gate.metric(&series).await > 4000.0
    })
    .await;
    go.send(1).expect("the peer waits");
    until("after the first token only the output is", || async {
        (1.0..200.0).contains(&gate.metric(&series).await)
    })
    .await;
    go.send(2).expect("the peer waits");
    assert_eq!(request.await.expect("ends"), 200);
    gate.is_at_rest().await;
}

#[tokio::test]
async fn what_nothing_matches_is_404_in_the_clients_envelope() {
    let peer = peer().await;
    let gate = Gate::before(
        &[peer.address],
        "routes:\n  - { match: { path: \"/v1/*\", model: \"qwen*\" }, pool: pool }\n",
    )
    .await;
    let answer = ask(gate.address, "hello", &[]).await;
    assert_eq!(answer.status, 404);
    assert!(
        answer.json()["error"]["message"]
            .as_str()
            .expect("text")
            .contains("sim-model")
    );
    let qwen = post_chat(
        gate.address,
        &chat("hello", json!({ "model": "qwen3-8b" })),
        &[],
    )
    .await;
    assert_eq!(qwen.status, 200);
}

#[tokio::test]
async fn the_list_of_models_is_the_union_of_the_pools() {
    let serving = async |models: &'static str| {
        Peer::start(move |mut wire: Wire, _| async move {
            while wire.request().await?.is_some() {
                wire.json(200, &format!("{{\"object\":\"list\",\"data\":[{models}]}}"))
                    .await?;
            }
            Ok(())
        })
        .await
    };
    let one =
        serving("{\"id\":\"a\",\"object\":\"model\"},{\"id\":\"b\",\"object\":\"model\"}").await;
    let two =
        serving("{\"id\":\"b\",\"object\":\"model\"},{\"id\":\"c\",\"object\":\"model\"}").await;
    let dead = crate::support::free_address();
    let config = format!(
        "pools:\n  one: {{ health: off, peers: [{{ address: \"{}\" }}] }}\n  two: {{ health: off, peers: [{{ address: \"{}\" }}] }}\n  three: {{ health: off, peers: [{{ address: \"{dead}\" }}] }}\nroutes:\n  - {{ match: {{ path: \"/v1/*\", model: a }}, pool: one }}\n  - {{ match: {{ path: \"/v1/*\", model: c }}, pool: two }}\n  - {{ match: {{ path: \"/three\" }}, pool: three }}\n",
        one.address, two.address
    );
    let gate = Gate::start(&config).await;
    let list = client::get(gate.address, "/v1/models")
        .await
        .expect("an answer")
        .json();
    let ids: Vec<_> = list["data"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|model| model["id"].as_str().expect("text"))
        .collect();
    assert_eq!(
        ids,
        ["a", "b", "c"],
        "a dead pool takes nothing away from the others"
    );
}

#[tokio::test]
async fn other_paths_and_methods_pass_through_untouched() {
    let peer = Peer::start(|mut wire: Wire, _| async move {
        while let Some(request) = wire.request().await? {
            let line = request.line.clone();
            if line.starts_with("HEAD") {
                wire.raw("HTTP/1.1 200 OK\r\ncontent-length: 1234\r\nx-line: head\r\n\r\n").await?;
            } else if line.starts_with("DELETE") {
                wire.raw("HTTP/1.1 204 No Content\r\nx-line: delete\r\n\r\n").await?;
            } else {
                wire.json(207, &json!({ "line": line, "te": request.header("te"), "custom": request.header("x-custom") }).to_string()).await?;
            }
        }
        Ok(())
    })
    .await;
    let gate = Gate::start(&pool(&[peer.address], "")).await;
    let answer = client::send(
        gate.address,
        "PROPFIND",
        "/files/a%20b?q=1&r=%2F",
        &[("x-custom", "1"), ("te", "gzip")],
        b"",
    )
    .await
    .expect("an answer");
    assert_eq!(answer.status, 207);
    assert_eq!(
        answer.json(),
        json!({ "line": "PROPFIND /files/a%20b?q=1&r=%2F HTTP/1.1", "te": null, "custom": "1" })
    );
    let head = client::send(gate.address, "HEAD", "/x", &[], b"")
        .await
        .expect("an answer");
    assert_eq!(
        (head.header("content-length"), head.body.len()),
        (Some("1234"), 0)
    );
    let deleted = client::send(gate.address, "DELETE", "/x", &[], b"")
        .await
        .expect("an answer");
    assert_eq!(
        (deleted.status.as_u16(), deleted.header("x-line")),
        (204, Some("delete"))
    );
    gate.is_at_rest().await;
}
