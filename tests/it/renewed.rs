//! An answer that is given again is an answer of its own: it has another id and another time, and says the same.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::support::client::{Answer, send};
use crate::support::gate::Gate;
use crate::support::peer::{Peer, Wire};
use crate::support::until;

const PATHS: [(&str, &str); 4] = [
    ("/v1/chat/completions", "chatcmpl-"),
    ("/v1/completions", "cmpl-"),
    ("/v1/messages", "msg_"),
    ("/v1/responses", "resp_"),
];

/// What a peer answers on a path, whole.
fn whole(path: &str) -> Value {
    match path {
        "/v1/messages" => json!({
            "id": "msg_01Recorded", "type": "message", "role": "assistant", "model": "m",
            "content": [{ "type": "text", "text": "\"id\":\"msg_01Recorded\"" }, { "type": "tool_use", "id": "toolu_1", "name": "f", "input": {} }],
            "stop_reason": "end_turn", "stop_sequence": null, "usage": { "input_tokens": 9, "output_tokens": 2 },
        }),
        "/v1/responses" => json!({
            "id": "resp_Recorded", "object": "response", "created_at": 1_700_000_000, "status": "completed", "error": null, "model": "m",
            "output": [
                { "id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "content": [{ "type": "output_text", "text": "1700000000", "annotations": [] }] },
                { "id": "fc_1", "type": "function_call", "status": "completed", "call_id": "call_1", "name": "f", "arguments": "{}" },
            ],
            "usage": { "input_tokens": 9, "output_tokens": 2, "total_tokens": 11 },
        }),
        "/v1/completions" => json!({
            "id": "cmpl-Recorded", "object": "text_completion", "created": 1_700_000_000, "model": "m",
            "choices": [{ "index": 0, "text": "cmpl-Recorded", "logprobs": null, "finish_reason": "stop" }],
            "usage": { "prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11 },
        }),
        _ => json!({
            "id": "chatcmpl-Recorded", "object": "chat.completion", "created": 1_700_000_000, "model": "m",
            "choices": [{ "index": 0, "logprobs": null, "finish_reason": "stop", "message": {
                "role": "assistant", "content": "{\"id\":\"chatcmpl-Recorded\",\"created\":1700000000}",
                "tool_calls": [{ "id": "call_1", "type": "function", "function": { "name": "f", "arguments": "{}" } }] } }],
            "usage": { "prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11 },
        }),
    }
}

/// A peer that says the same each time, in JSON.
async fn peer() -> Peer {
    Peer::start(|mut wire: Wire, _| async move {
        while let Some(request) = wire.request().await? {
            let path = request.line.split(' ').nth(1).unwrap_or_default();
            wire.json(200, &whole(path).to_string()).await?;
        }
        Ok(())
    })
    .await
}

async fn gate(peer: &Peer) -> Gate {
    let cached = "routes:\n  - { match: { path: \"/v1/*\" }, pool: pool, cache: answers }\ncaches:\n  answers: { single_flight: off }\n";
    Gate::before(&[peer.address], cached).await
}

fn body(stream: bool) -> Vec<u8> {
    let mut body = json!({
        "model": "m", "max_tokens": 16, "input": "hello", "prompt": "hello",
        "messages": [{ "role": "user", "content": "hello" }],
    });
    if stream {
        body["stream"] = true.into();
    }
    body.to_string().into_bytes()
}

async fn ask(gate: &Gate, path: &str, stream: bool, status: &str) -> Answer {
    let kind = [("content-type", "application/json")];
    let answer = send(gate.address, "POST", path, &kind, &body(stream)).await;
    let answer = answer.expect("an answer");
    assert_eq!(answer.header("x-cache-status"), Some(status), "{path}");
    answer
}

/// Takes id and time off an answer.
fn stamps(answer: &mut Value) -> (String, Option<u64>) {
    let fields = answer.as_object_mut().expect("an object");
    let id = fields.remove("id").expect("an id");
    let time = fields
        .remove("created")
        .or_else(|| fields.remove("created_at"));
    (
        id.as_str().expect("text").to_owned(),
        time.and_then(|time| time.as_u64()),
    )
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.expect("after 1970").as_secs()
}

#[tokio::test]
async fn each_time_it_has_another_id_of_its_kind_and_the_time() {
    let peer = peer().await;
    let gate = gate(&peer).await;
    for (path, kind) in PATHS {
        let began = now();
        let first = ask(&gate, path, false, "MISS").await;
        assert_eq!(first.json(), whole(path), "the first is the peer's own");
        let mut expected = whole(path);
        let (_, recorded) = stamps(&mut expected);
        let mut ids = Vec::new();
        for _ in 0..3 {
            let again = ask(&gate, path, false, "HIT").await;
            let mut said = again.json();
            let (id, time) = stamps(&mut said);
            assert_eq!(said, expected);
            assert!(id.starts_with(kind) && !id.contains("Recorded"), "{id}");
            assert!(!ids.contains(&id));
            ids.push(id);
            match recorded {
                Some(_) => assert!(time.is_some_and(|time| (began..=now()).contains(&time))),
                None => assert_eq!(time, None),
            }
        }
    }
    gate.is_at_rest().await;
}

/// A peer whose stream has an id and a time in each chunk.
async fn streaming_peer() -> Peer {
    Peer::start(|mut wire: Wire, _| async move {
        while wire.request().await?.is_some() {
            wire.events().await?;
            for (n, delta) in [
                json!({ "role": "assistant", "content": "\"id\":\"chatcmpl-Recorded\"" }),
                json!({ "tool_calls": [{ "index": 0, "id": "call_1", "type": "function", "function": { "name": "f", "arguments": "{}" } }] }),
                json!({}),
            ]
            .into_iter()
            .enumerate()
            {
                let reason = (n == 2).then_some("stop");
                let chunk = json!({ "id": "chatcmpl-Recorded", "object": "chat.completion.chunk", "created": 1_700_000_000 + n, "model": "m",
                    "choices": [{ "index": 0, "delta": delta, "finish_reason": reason }] });
                wire.chunk(format!("data: {chunk}\n\n")).await?;
            }
            wire.chunk("data: [DONE]\n\n").await?;
            wire.raw("0\r\n\r\n").await?;
        }
        Ok(())
    })
    .await
}

fn events(answer: &Answer) -> Vec<Value> {
    let text = answer.text();
    let data = text.lines().filter_map(|line| line.strip_prefix("data: "));
    data.filter_map(|data| serde_json::from_str(data).ok())
        .collect()
}

#[tokio::test]
async fn every_chunk_of_a_stream_has_the_same_new_id() {
    let peer = streaming_peer().await;
    let gate = gate(&peer).await;
    let path = PATHS[0].0;
    let first = ask(&gate, path, true, "MISS").await;
    let mut seen = Vec::new();
    for _ in 0..2 {
        let again = ask(&gate, path, true, "HIT").await;
        let (mut before, mut after) = (events(&first), events(&again));
        assert_eq!(before.len(), after.len());
        let mut ids: Vec<_> = after.iter_mut().map(stamps).map(|(id, _)| id).collect();
        before.iter_mut().for_each(|event| {
            stamps(event);
        });
        assert_eq!(before, after);
        ids.dedup();
        assert_eq!(ids.len(), 1);
        assert!(ids[0].starts_with("chatcmpl-") && !seen.contains(&ids[0]));
        seen.append(&mut ids);
        assert!(again.text().ends_with("data: [DONE]\n\n"));
    }
    gate.is_at_rest().await;
}

#[tokio::test]
async fn feedback_goes_by_the_key_of_the_entry_which_stays() {
    let peer = peer().await;
    let gate = gate(&peer).await;
    let path = PATHS[0].0;
    ask(&gate, path, false, "MISS").await;
    let hits = [
        ask(&gate, path, false, "HIT").await,
        ask(&gate, path, false, "HIT").await,
    ];
    let keys = hits
        .each_ref()
        .map(|hit| hit.header("x-cache-key").expect("given"));
    assert_eq!(keys[0], keys[1]);
    assert_ne!(hits[0].json()["id"], hits[1].json()["id"]);
    let bad = json!({ "id": keys[1], "verdict": "bad" }).to_string();
    let kind = [("content-type", "application/json")];
    let taken = send(
        gate.admin,
        "POST",
        "/api/v1/cache/feedback",
        &kind,
        bad.as_bytes(),
    )
    .await;
    assert_eq!(taken.expect("an answer").status, 200);
    ask(&gate, path, false, "MISS").await;
}

#[tokio::test]
async fn a_response_that_its_server_keeps_stays_under_its_id() {
    let peer = Peer::start(|mut wire: Wire, _| async move {
        while wire.request().await?.is_some() {
            let mut answer = whole("/v1/responses");
            answer["store"] = true.into();
            wire.json(200, &answer.to_string()).await?;
        }
        Ok(())
    })
    .await;
    let gate = gate(&peer).await;
    let first = ask(&gate, "/v1/responses", false, "MISS").await;
    until("it is stored", || async {
        gate.metric("tollgate_cache_entries{cache=\"answers\"}")
            .await
            == 1.0
    })
    .await;
    let again = ask(&gate, "/v1/responses", false, "HIT").await;
    assert_eq!(first.body, again.body);
}
