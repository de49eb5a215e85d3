//! Embeddings remembered input by input.

use std::ffi::OsString;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::process::Command;
use tollgate::sim::{SimConfig, SimServer};

use crate::support::client::{self, Answer};
use crate::support::gate::Gate;
use crate::support::peer::{Peer, Wire, sha256};
use crate::support::until;

const ROUTES: &str =
    "routes:\n  - { match: { path: \"/v1/*\" }, pool: pool, cache: answers }\ncaches:\n  answers: ";

/// The inputs of each request that reached the peer.
type Seen = Arc<Mutex<Vec<Vec<String>>>>;

/// How the peer answers.
#[derive(Clone, Copy, PartialEq)]
enum Manner {
    Well,
    /// One item too few whenever more than one is asked for.
    TooFew,
    TooMany,
    /// The last first.
    Turned,
    /// Breaks off in the middle.
    CutOff,
    Refusing,
}

/// Digits that no float survives: they must come through as they are.
fn digits(input: &str) -> String {
    format!("[0.1000, -{}.00000000000000000001e-7, 3]", input.len())
}

fn vectors(inputs: &[String], manner: Manner) -> String {
    let mut items: Vec<String> = inputs
        .iter()
        .enumerate()
        .map(|(at, input)| {
            let embedding = digits(input);
            format!(r#"{{"object":"embedding","index":{at},"embedding":{embedding},"of":{input}}}"#)
        })
        .collect();
    match manner {
        Manner::TooFew if items.len() > 1 => drop(items.pop()),
        Manner::TooMany => items.push(items[0].clone()),
        Manner::Turned => items.reverse(),
        _ => {}
    }
    let tokens = 10 * inputs.len();
    format!(
        r#"{{"object":"list","data":[{}],"model":"e-1","usage":{{"prompt_tokens":{tokens},"total_tokens":{tokens}}},"id":"x"}}"#,
        items.join(",")
    )
}

/// A peer that gives each input a vector of its own.
async fn peer(manner: Manner) -> (Peer, Seen) {
    let seen = Seen::default();
    let shared = Arc::clone(&seen);
    let peer = Peer::start(move |mut wire: Wire, _| {
        let seen = Arc::clone(&shared);
        async move {
            while let Some(request) = wire.request().await? {
                let asked: Value = serde_json::from_slice(&request.body)?;
                let inputs: Vec<String> = match &asked["input"] {
                    Value::Array(list) if !list[0].is_number() => {
                        list.iter().map(Value::to_string).collect()
                    }
                    one => vec![one.to_string()],
                };
                seen.lock().push(inputs.clone());
                let answer = vectors(&inputs, manner);
                match manner {
                    Manner::Refusing => {
                        let error = r#"{"error":{"message":"no such model","type":"x"}}"#;
                        wire.json(404, error).await?;
                    }
                    Manner::CutOff => {
                        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 100000\r\n\r\n";
                        wire.raw(format!("{head}{answer}")).await?;
                        return Ok(());
                    }
                    _ => {
                        let head = format!(
                            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\netag: \"x\"\r\nx-model-pod: 7\r\ncontent-length: {}\r\n\r\n",
                            answer.len()
                        );
                        wire.raw(head + &answer).await?;
                    }
                }
            }
            Ok(())
        }
    })
    .await;
    (peer, seen)
}

async fn gate(peer: &Peer, cache: &str, more: &str) -> Gate {
    Gate::before(&[peer.address], &format!("{ROUTES}{cache}\n{more}")).await
}

async fn post(gate: &Gate, body: &Value, headers: &[(&str, &str)]) -> Answer {
    let mut all = vec![("content-type", "application/json")];
    all.extend_from_slice(headers);
    let body = serde_json::to_vec(body).expect("JSON");
    client::send(gate.address, "POST", "/v1/embeddings", &all, &body)
        .await
        .expect("an answer")
}

async fn embed(gate: &Gate, input: Value) -> Answer {
    post(gate, &json!({ "model": "e", "input": input }), &[]).await
}

fn status(answer: &Answer) -> &str {
    answer.header("x-cache-status").unwrap_or("none")
}

fn asked(seen: &Seen) -> Vec<Vec<String>> {
    seen.lock().drain(..).collect()
}

/// Asserts that there is one item for each input, in order, with the peer's very digits.
fn answers(answer: &Answer, inputs: &Value) {
    let inputs: Vec<String> = match inputs {
        Value::Array(list) => list.iter().map(Value::to_string).collect(),
        one => vec![one.to_string()],
    };
    let whole = answer.json();
    let items = whole["data"].as_array().expect("a list");
    assert_eq!(items.len(), inputs.len(), "{}", answer.text());
    let text = answer.text();
    let mut rest = text.as_str();
    for (at, (item, input)) in items.iter().zip(&inputs).enumerate() {
        assert_eq!(
            (item["index"].as_u64(), &item["object"]),
            (Some(at as u64), &json!("embedding"))
        );
        assert_eq!(item["of"].to_string(), *input);
        let found = rest.find(&digits(input)).expect("its very digits");
        rest = &rest[found + 1..];
    }
}

#[tokio::test]
async fn of_ten_inputs_a_peer_is_asked_only_for_the_three_that_are_new() {
    let (peer, seen) = peer(Manner::Well).await;
    let gate = gate(&peer, "{}", "").await;
    let known = json!(["a", "bb", "ccc", "dddd", "eeeee", "ffffff", "ggggggg"]);
    let first = embed(&gate, known.clone()).await;
    assert_eq!(status(&first), "MISS");
    answers(&first, &known);

    let ten = json!([
        "ccc", "new 1", "a", "bb", "new 22", "dddd", "eeeee", "ffffff", "new 333", "ggggggg"
    ]);
    let second = embed(&gate, ten.clone()).await;
    assert_eq!(status(&second), "PARTIAL");
    answers(&second, &ten);
    let whole = second.json();
    assert_eq!(
        whole["usage"],
        json!({ "prompt_tokens": 30, "total_tokens": 30 }),
        "what was used"
    );
    assert_eq!(
        (&whole["model"], &whole["id"]),
        (&json!("e-1"), &json!("x"))
    );
    assert_eq!(second.header("x-model-pod"), Some("7"));
    assert_eq!(second.header("etag"), None, "it was of other bytes");

    let third = embed(&gate, ten.clone()).await;
    assert_eq!(status(&third), "HIT");
    answers(&third, &ten);
    assert_eq!(third.json()["usage"]["prompt_tokens"], 0);
    assert_eq!(third.json()["model"], "e-1");
    let new = ["\"new 1\"", "\"new 22\"", "\"new 333\""].map(str::to_owned);
    let requests = asked(&seen);
    assert_eq!((requests.len(), requests[0].len()), (2, 7));
    assert_eq!(requests[1], new);
    gate.is_at_rest().await;
    let inputs = |result| format!("tollgate_cache_inputs_total{{result=\"{result}\"}}");
    assert_eq!(gate.metric(&inputs("hit")).await, 17.0);
    assert_eq!(gate.metric(&inputs("miss")).await, 10.0);
    // 7 of the first answer's, then all of the ten.
    assert_eq!(
        gate.metric("tollgate_cache_saved_tokens_total").await,
        170.0
    );
}

#[tokio::test]
async fn an_input_alone_and_in_a_list_is_one_and_so_are_tokens_however_they_are_written() {
    let (peer, seen) = peer(Manner::Well).await;
    let gate = gate(&peer, "{}", "").await;
    assert_eq!(status(&embed(&gate, json!("café")).await), "MISS");
    let again = embed(&gate, json!(["café"])).await;
    assert_eq!(status(&again), "HIT");
    assert!(again.header("x-cache-key").is_some() && again.header("age").is_some());
    let escaped = br#"{"input": "caf\u00e9", "model":"e"}"#;
    let escaped = client::send(gate.address, "POST", "/v1/embeddings", &[], escaped).await;
    assert_eq!(status(&escaped.expect("an answer")), "HIT");

    assert_eq!(status(&embed(&gate, json!([1, 2, 3])).await), "MISS");
    let tokens = embed(&gate, json!([[1, 2, 3], [4]])).await;
    assert_eq!(status(&tokens), "PARTIAL");
    assert_eq!(status(&embed(&gate, json!([4])).await), "HIT");
    assert_eq!(
        status(&embed(&gate, json!("4")).await),
        "MISS",
        "a text is no token"
    );
    let wanted: [&[&str]; 4] = [&["\"café\""], &["[1,2,3]"], &["[4]"], &["\"4\""]];
    assert_eq!(asked(&seen), wanted);
    gate.is_at_rest().await;
}

#[tokio::test]
async fn whatever_can_change_a_vector_keeps_inputs_apart() {
    let (peer, _) = peer(Manner::Well).await;
    let gate = gate(&peer, "{}", "").await;
    let ask = async |more: Value, headers: &[(&str, &str)]| {
        let mut body = json!({ "model": "e", "input": ["a", "b"] });
        for (name, value) in more.as_object().expect("an object") {
            body[name] = value.clone();
        }
        status(&post(&gate, &body, headers).await).to_owned()
    };
    let variants = [
        json!({}),
        json!({ "model": "other" }),
        json!({ "dimensions": 2 }),
        json!({ "encoding_format": "base64" }),
        json!({ "encoding_format": "float" }),
        json!({ "some_engine_option": 1 }),
    ];
    for variant in &variants {
        assert_eq!(ask(variant.clone(), &[]).await, "MISS", "{variant}");
    }
    for variant in &variants {
        assert_eq!(ask(variant.clone(), &[]).await, "HIT", "{variant}");
    }
    assert_eq!(
        ask(json!({ "user": "u7" }), &[]).await,
        "HIT",
        "user does not change vectors"
    );
    let apart = [("x-tollgate-cache-namespace", "other")];
    assert_eq!(ask(json!({}), &apart).await, "MISS");
    assert_eq!(
        ask(json!({}), &[("openai-organization", "o2")]).await,
        "MISS"
    );
    assert_eq!(
        ask(json!({}), &[("authorization", "Bearer other")]).await,
        "MISS"
    );
}

#[tokio::test]
async fn one_keys_vectors_are_never_given_to_another_key() {
    let keys = format!(
        "keys:\n  - {{ name: a, sha256: \"{}\", tenant: t1 }}\n  - {{ name: b, sha256: \"{}\", tenant: t1 }}\n  - {{ name: c, sha256: \"{}\", tenant: t2 }}\n",
        sha256(b"key-a"),
        sha256(b"key-b"),
        sha256(b"key-c")
    );
    for (scope, expected) in [
        ("key", ["MISS", "MISS", "MISS"]),
        ("tenant", ["MISS", "HIT", "MISS"]),
        ("global", ["MISS", "HIT", "HIT"]),
    ] {
        let (peer, _) = peer(Manner::Well).await;
        let gate = gate(&peer, &format!("{{ scope: {scope} }}"), &keys).await;
        let body = json!({ "model": "e", "input": ["a", "b"] });
        for (key, expected) in ["key-a", "key-b", "key-c"].iter().zip(expected) {
            let bearer = format!("Bearer {key}");
            let answer = post(&gate, &body, &[("authorization", &bearer)]).await;
            assert_eq!(status(&answer), expected, "{key} in scope {scope}");
        }
    }
}

#[tokio::test]
async fn an_input_that_comes_twice_is_asked_for_once() {
    let (peer, seen) = peer(Manner::Well).await;
    let gate = gate(&peer, "{}", "").await;
    let inputs = json!(["a", "b", "a", "a"]);
    let answer = embed(&gate, inputs.clone()).await;
    assert_eq!(status(&answer), "MISS");
    answers(&answer, &inputs);
    assert_eq!(asked(&seen), [["\"a\"", "\"b\""]]);
}

#[tokio::test]
async fn clients_steer_this_cache_as_any_other() {
    let (peer, seen) = peer(Manner::Well).await;
    let gate = gate(&peer, "{}", "").await;
    let body = json!({ "model": "e", "input": ["a", "b"] });
    let with = async |name: &'static str, value: &'static str| {
        let answer = post(&gate, &body, &[(name, value)]).await;
        (answer.status.as_u16(), status(&answer).to_owned())
    };
    let said = |code, status: &str| (code, status.to_owned());
    let only = with("cache-control", "only-if-cached").await;
    assert_eq!(only.0, 504);
    assert_eq!(with("cache-control", "no-store").await, said(200, "MISS"));
    assert_eq!(with("x-tollgate-cache", "off").await, said(200, "BYPASS"));
    assert_eq!(asked(&seen).len(), 2);
    assert_eq!(
        with("cache-control", "no-cache").await,
        said(200, "REFRESH")
    );
    assert_eq!(
        with("cache-control", "only-if-cached").await,
        said(200, "HIT")
    );
    assert_eq!(with("cache-control", "max-age=0").await.1, "REFRESH");
    assert_eq!(asked(&seen).len(), 2);
}

#[tokio::test]
async fn a_request_that_cannot_be_taken_apart_is_remembered_whole() {
    let (peer, seen) = peer(Manner::Well).await;
    let gate = gate(&peer, "{}", "").await;
    let odd = json!([{ "type": "text", "text": "a" }]);
    let first = embed(&gate, odd.clone()).await;
    let second = embed(&gate, odd).await;
    assert_eq!((status(&first), status(&second)), ("MISS", "HIT"));
    assert_eq!(first.body, second.body);
    assert_eq!(asked(&seen).len(), 1);
}

#[tokio::test]
async fn a_peers_error_passes_untouched_and_nothing_is_remembered() {
    let (good, _) = peer(Manner::Well).await;
    let gate = gate(&good, "{}", "").await;
    assert_eq!(status(&embed(&gate, json!("known")).await), "MISS");
    let (bad, seen) = peer(Manner::Refusing).await;
    let pool = crate::support::gate::pool(&[bad.address], "");
    gate.rewrite(&format!("{pool}{ROUTES}{{}}\n"));
    assert_eq!(gate.reload().await.status, 200);
    for input in [json!(["new"]), json!(["known", "new"])] {
        let answer = embed(&gate, input).await;
        assert_eq!(answer.status, 404);
        assert_eq!(
            answer.text(),
            r#"{"error":{"message":"no such model","type":"x"}}"#
        );
    }
    assert_eq!(asked(&seen), [["\"new\""], ["\"new\""]]);
    assert_eq!(status(&embed(&gate, json!(["known"])).await), "HIT");
    gate.is_at_rest().await;
}

#[tokio::test]
async fn an_answer_that_is_not_to_what_was_asked_passes_untouched_and_is_not_remembered() {
    for manner in [Manner::TooFew, Manner::TooMany, Manner::Turned] {
        let (good, _) = peer(Manner::Well).await;
        let gate = gate(&good, "{}", "").await;
        assert_eq!(status(&embed(&gate, json!("known")).await), "MISS");
        let (bad, seen) = peer(manner).await;
        let pool = crate::support::gate::pool(&[bad.address], "");
        gate.rewrite(&format!("{pool}{ROUTES}{{}}\n"));
        assert_eq!(gate.reload().await.status, 200);

        let quoted = |inputs: &[&str]| -> Vec<String> {
            inputs.iter().map(|input| format!("\"{input}\"")).collect()
        };
        let both = quoted(&["new 1", "new 2"]);
        for _ in 0..2 {
            let answer = embed(&gate, json!(["new 1", "new 2"])).await;
            assert_eq!(
                (status(&answer), answer.text()),
                ("MISS", vectors(&both, manner))
            );
        }
        // The peer's word for the rest cannot be trusted, so it is asked for all and speaks for itself.
        let answer = embed(&gate, json!(["new 1", "known", "new 2"])).await;
        let all = quoted(&["new 1", "known", "new 2"]);
        assert_eq!(
            (status(&answer), answer.text()),
            ("BYPASS", vectors(&all, manner))
        );
        assert_eq!(asked(&seen), [both.clone(), both.clone(), both, all]);
        gate.is_at_rest().await;
    }
}

#[tokio::test]
async fn a_peer_that_breaks_off_is_an_error_and_not_half_an_answer() {
    let (good, _) = peer(Manner::Well).await;
    let gate = gate(&good, "{}", "").await;
    assert_eq!(status(&embed(&gate, json!("known")).await), "MISS");
    let (bad, seen) = peer(Manner::CutOff).await;
    let pool = crate::support::gate::pool(&[bad.address], "    retry: { attempts: 1 }\n");
    gate.rewrite(&format!("{pool}{ROUTES}{{}}\n"));
    let reloaded = gate.reload().await;
    assert_eq!(reloaded.status, 200, "{}", reloaded.text());
    for _ in 0..2 {
        let answer = embed(&gate, json!(["known", "new"])).await;
        assert_eq!(answer.status, 502, "{}", answer.text());
        assert_eq!(answer.json()["error"]["code"], "upstream_error");
    }
    assert_eq!(asked(&seen).len(), 2);
    gate.is_at_rest().await;
}

#[tokio::test]
async fn a_client_that_leaves_while_the_rest_is_asked_for_leaves_nothing_behind() {
    let (good, _) = peer(Manner::Well).await;
    let gate = gate(&good, "{}", "").await;
    assert_eq!(status(&embed(&gate, json!("known")).await), "MISS");
    let (stuck, mut reaches) = Peer::stuck().await;
    let pool = crate::support::gate::pool(&[stuck.address], "");
    gate.rewrite(&format!("{pool}{ROUTES}{{}}\n"));
    assert_eq!(gate.reload().await.status, 200);
    let address = gate.address;
    let asking = tokio::spawn(async move {
        let body = br#"{"model":"e","input":["known","new"]}"#;
        client::send(address, "POST", "/v1/embeddings", &[], body).await
    });
    reaches.recv().await.expect("the peer was asked");
    asking.abort();
    gate.is_at_rest().await;
    until("the client is known to have left", || async {
        let left = "tollgate_client_aborts_total{stage=\"before_first_byte\"}";
        gate.metric(left).await >= 1.0
    })
    .await;
}

#[tokio::test]
async fn only_what_a_peer_computed_counts_against_a_limit() {
    let (peer, _) = peer(Manner::Well).await;
    let keys = format!(
        "keys:\n  - {{ name: a, sha256: \"{}\" }}\nlimits:\n  - {{ per: key, tokens: 1000/min }}\n",
        sha256(b"key-a")
    );
    let gate = gate(&peer, "{}", &keys).await;
    let left = async |input: Value| {
        let body = json!({ "model": "e", "input": input });
        let bearer = [("authorization", "Bearer key-a")];
        post(&gate, &body, &bearer).await;
        let answer = post(&gate, &json!({ "model": "e", "input": "a" }), &bearer).await;
        assert_eq!(status(&answer), "HIT");
        let left = answer.header("x-ratelimit-remaining-tokens");
        left.expect("a number").parse::<i64>().expect("a number")
    };
    // The peer reports ten tokens an input; the bucket refills by 17 a second meanwhile.
    let first = left(json!(["a", "b", "c", "d", "e"])).await;
    assert!((900..=1000).contains(&first), "{first}");
    let second = left(json!(["a", "b", "c", "d", "f"])).await;
    assert!(first - second <= 10, "{first}, then {second}");
}

fn packages() -> Option<OsString> {
    let packages = std::env::var_os("TOLLGATE_PYTHON");
    if packages.is_none() {
        eprintln!(
            "skipped: TOLLGATE_PYTHON names no folder with the official clients (scripts/test sets it up)"
        );
    }
    packages
}

#[tokio::test(flavor = "multi_thread")]
async fn the_openai_python_client_gets_the_same_vectors_again_in_every_format() {
    let Some(packages) = packages() else { return };
    let sim = SimServer::start(SimConfig::default())
        .await
        .expect("starts");
    let cached = Gate::before(&[sim.addr()], &format!("{ROUTES}{{}}\n")).await;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/embeddings_client.py");
    let output = Command::new("python3")
        .arg(script)
        .env("PYTHONPATH", packages)
        .env("CACHED_URL", format!("http://{}/v1", cached.address))
        .env("DIRECT_URL", format!("http://{}/v1", sim.addr()))
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .expect("python3 runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("the OpenAI client is content"), "{said}");
    cached.is_at_rest().await;
}
