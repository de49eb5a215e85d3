//! Requests alike that are in flight share one upstream call.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::{JoinHandle, JoinSet};

use crate::support::client::{self, Answer, chat, post_chat};
use crate::support::gate::Gate;
use crate::support::peer::{Peer, Wire, sha256};
use crate::support::until;

const CACHED: &str = "routes:\n  - { match: { path: \"/v1/*\" }, pool: pool, cache: answers }\n";
const FOLLOWED: &str = "tollgate_singleflight_waiters_total";

/// A peer that goes on step by step: each permit lets it take one.
struct Steps {
    peer: Peer,
    calls: Arc<AtomicUsize>,
    go: Arc<Semaphore>,
    /// Says when a connection was closed by the other side.
    closed: mpsc::UnboundedReceiver<()>,
}

impl Steps {
    fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    fn step(&self, steps: usize) {
        self.go.add_permits(steps);
    }
}

/// What a peer does, step by step.
#[derive(Clone, Copy)]
enum Act {
    /// The head of a stream.
    Head,
    /// A token.
    Token,
    /// The end of a stream.
    End,
    /// A whole JSON answer.
    Json,
    /// Another one.
    Says(&'static str),
    /// An error with this status.
    Status(u16),
    /// The connection closes.
    Die,
}

/// Plays the script of its call, the last one for all later calls.
async fn stepping(scripts: Vec<Vec<Act>>) -> Steps {
    let calls = Arc::new(AtomicUsize::new(0));
    let go = Arc::new(Semaphore::new(0));
    let (closing, closed) = mpsc::unbounded_channel();
    let (counted, gate) = (Arc::clone(&calls), Arc::clone(&go));
    let scripts = Arc::new(scripts);
    let peer = Peer::start(move |mut wire: Wire, _| {
        let (counted, gate) = (Arc::clone(&counted), Arc::clone(&gate));
        let (scripts, closing) = (Arc::clone(&scripts), closing.clone());
        async move {
            while wire.request().await?.is_some() {
                let call = counted.fetch_add(1, Ordering::SeqCst);
                let script = &scripts[call.min(scripts.len() - 1)];
                for (number, act) in script.iter().enumerate() {
                    let permit = tokio::select! {
                        permit = gate.acquire() => permit,
                        () = wire.closed() => {
                            let _ = closing.send(());
                            return Ok(());
                        }
                    };
                    permit.expect("never closed").forget();
                    match act {
                        Act::Head => wire.events().await?,
                        Act::Token => wire.token(&format!("{call}.{number} ")).await?,
                        Act::End => end(&mut wire).await?,
                        Act::Json => wire.json(200, &whole(call)).await?,
                        Act::Says(answer) => wire.json(200, answer).await?,
                        Act::Status(status) => {
                            wire.json(*status, "{\"error\":{\"message\":\"no\"}}")
                                .await?
                        }
                        Act::Die => return Ok(()),
                    }
                }
            }
            Ok(())
        }
    })
    .await;
    Steps {
        peer,
        calls,
        go,
        closed,
    }
}

async fn end(wire: &mut Wire) -> io::Result<()> {
    wire.chunk("data: {\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n").await?;
    wire.chunk("data: {\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":2,\"total_tokens\":11}}\n\n").await?;
    wire.chunk("data: [DONE]\n\n").await?;
    wire.raw("0\r\n\r\n").await
}

fn whole(call: usize) -> String {
    json!({ "id": "c1", "object": "chat.completion", "created": 1, "model": "m",
        "choices": [{ "index": 0, "message": { "role": "assistant", "content": format!("answer {call}") }, "finish_reason": "stop" }],
        "usage": { "prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11 } })
    .to_string()
}

async fn gate(peer: &Peer, caches: &str, more: &str) -> Gate {
    Gate::before(
        &[peer.address],
        &format!("{CACHED}caches:\n  answers: {caches}\n{more}"),
    )
    .await
}

fn streamed() -> Vec<u8> {
    chat("hello", json!({ "stream": true }))
}

/// A client on a connection of its own, which can leave at any time.
struct Asked(JoinHandle<io::Result<(Response<Incoming>, Connection)>>);

/// A connection; dropping it closes it.
struct Connection(JoinHandle<()>);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Asked {
    fn send(address: SocketAddr, body: Vec<u8>) -> Self {
        Self(tokio::spawn(async move {
            let io = TokioIo::new(TcpStream::connect(address).await?);
            let (mut sender, connection) = hyper::client::conn::http1::handshake(io)
                .await
                .map_err(io::Error::other)?;
            let connection = Connection(tokio::spawn(async move {
                let _ = connection.await;
            }));
            let request = Request::post("/v1/chat/completions")
                .header("host", address.to_string())
                .header("content-type", "application/json")
                .body(Full::new(Bytes::from(body)))
                .expect("valid");
            let answer = sender
                .send_request(request)
                .await
                .map_err(io::Error::other)?;
            Ok((answer, connection))
        }))
    }

    /// Leaves before an answer.
    fn leave(self) {
        self.0.abort();
    }

    /// The head of its answer.
    async fn head(self) -> (Response<Incoming>, Connection) {
        self.0.await.expect("runs").expect("an answer")
    }

    async fn answer(self) -> Answer {
        let (answer, _open) = self.head().await;
        let (head, body) = answer.into_parts();
        let body = body.collect().await.expect("whole").to_bytes();
        Answer {
            status: head.status,
            headers: head.headers,
            body,
        }
    }
}

/// Waits until so many requests follow another. That they are in the gate says nothing of it yet.
async fn followers(gate: &Gate, requests: usize) {
    until("they follow", || async {
        gate.metric("tollgate_singleflight_followers{cache=\"answers\"}")
            .await
            == requests as f64
    })
    .await;
}

fn status(answer: &Answer) -> &str {
    answer.header("x-cache-status").unwrap_or("none")
}

async fn followed(gate: &Gate, outcome: &str) -> f64 {
    gate.metric(&format!("{FOLLOWED}{{outcome=\"{outcome}\"}}"))
        .await
}

#[tokio::test]
async fn ten_at_once_are_one_call_and_ten_full_answers() {
    for (body, script) in [
        (
            streamed(),
            vec![Act::Head, Act::Token, Act::Token, Act::End],
        ),
        (chat("hello", Value::Null), vec![Act::Json]),
    ] {
        let steps = stepping(vec![script]).await;
        let gate = gate(&steps.peer, "{}", "").await;
        let mut all = JoinSet::new();
        for _ in 0..10 {
            let (address, body) = (gate.address, body.clone());
            all.spawn(async move { post_chat(address, &body, &[]).await });
        }
        followers(&gate, 9).await;
        steps.step(4);
        let answers = all.join_all().await;
        let first = &answers[0].body;
        assert!(
            answers
                .iter()
                .all(|answer| answer.body == *first && !first.is_empty())
        );
        let told = |what: &str| {
            answers
                .iter()
                .filter(|answer| status(answer) == what)
                .count()
        };
        assert_eq!((told("MISS"), told("COALESCED")), (1, 9));
        assert_eq!(steps.calls(), 1);
        gate.is_at_rest().await;
        assert_eq!(followed(&gate, "answered").await, 9.0);
        assert_eq!(gate.metric("tollgate_cache_saved_tokens_total").await, 99.0);
        assert_eq!(status(&post_chat(gate.address, &body, &[]).await), "HIT");
    }
}

/// The next bytes of an answer.
async fn read(answer: &mut Response<Incoming>) -> String {
    let frame = answer
        .body_mut()
        .frame()
        .await
        .expect("more")
        .expect("read");
    String::from_utf8(frame.into_data().expect("data").to_vec()).expect("text")
}

#[tokio::test]
async fn a_follower_gets_every_byte_from_the_first_as_it_comes() {
    let steps = stepping(vec![vec![Act::Head, Act::Token, Act::Token, Act::End]]).await;
    let gate = gate(&steps.peer, "{}", "").await;
    let lead = Asked::send(gate.address, streamed());
    steps.step(2);
    let (mut lead, _one) = lead.head().await;
    assert!(read(&mut lead).await.contains("0.1 "));
    // The answer is half way: the second client gets what was, before anything new comes.
    let (mut late, _other) = Asked::send(gate.address, streamed()).head().await;
    assert_eq!(late.headers()["x-cache-status"], "COALESCED");
    assert!(read(&mut late).await.contains("0.1 "));
    steps.step(1);
    assert!(read(&mut lead).await.contains("0.2 "));
    assert!(read(&mut late).await.contains("0.2 "));
    steps.step(1);
    let (lead, late) = (lead.collect().await, late.collect().await);
    let (lead, late) = (
        lead.expect("whole").to_bytes(),
        late.expect("whole").to_bytes(),
    );
    assert_eq!(lead, late);
    assert!(late.ends_with(b"data: [DONE]\n\n"));
    assert_eq!(steps.calls(), 1);
    gate.is_at_rest().await;
}

/// Two keys of two tenants.
fn two_keys() -> String {
    format!(
        "keys:\n  - {{ name: a, sha256: \"{}\", tenant: t1 }}\n  - {{ name: b, sha256: \"{}\", tenant: t2 }}\n",
        sha256(b"key-a"),
        sha256(b"key-b")
    )
}

#[tokio::test]
async fn requests_of_another_form_or_another_client_do_not_share() {
    let steps = stepping(vec![vec![Act::Json]]).await;
    let gate = gate(&steps.peer, "{}", &two_keys()).await;
    let mut all = JoinSet::new();
    let plain = chat("hello", Value::Null);
    let usage = chat(
        "hello",
        json!({ "stream": true, "stream_options": { "include_usage": true } }),
    );
    for (key, body, more) in [
        ("key-a", &plain, None),
        ("key-b", &plain, None),
        ("key-a", &streamed(), None),
        ("key-a", &usage, None),
        ("key-a", &plain, Some(("x-tollgate-cache", "off"))),
        ("key-a", &plain, Some(("cache-control", "no-store"))),
        ("key-a", &plain, Some(("cache-control", "no-cache"))),
        ("key-a", &plain, Some(("cache-control", "max-age=0"))),
        (
            "key-a",
            &plain,
            Some(("x-tollgate-cache-namespace", "other")),
        ),
    ] {
        let (address, body) = (gate.address, body.clone());
        all.spawn(async move {
            let key = format!("Bearer {key}");
            let mut headers = vec![("authorization", key.as_str())];
            headers.extend(more);
            post_chat(address, &body, &headers).await
        });
    }
    until("each is asked for itself", || async { steps.calls() == 9 }).await;
    steps.step(9);
    for answer in all.join_all().await {
        assert_ne!(status(&answer), "COALESCED");
    }
    gate.is_at_rest().await;
}

#[tokio::test]
async fn requests_of_a_key_for_the_same_embeddings_share_a_call_and_each_input_is_remembered() {
    const TWO: &str = r#"{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.1]},{"object":"embedding","index":1,"embedding":[0.2]}],"model":"e","usage":{"prompt_tokens":4,"total_tokens":4}}"#;
    let steps = stepping(vec![vec![Act::Says(TWO)]]).await;
    let gate = gate(&steps.peer, "{}", &two_keys()).await;
    let address = gate.address;
    let embed = move |key: &'static str, input: Value| async move {
        let body = json!({ "model": "e", "input": input }).to_string();
        let headers = [("content-type", "application/json"), ("x-api-key", key)];
        let answer = client::send(address, "POST", "/v1/embeddings", &headers, body.as_bytes());
        answer.await.expect("an answer")
    };
    let mut alike = JoinSet::new();
    for _ in 0..3 {
        alike.spawn(embed("key-a", json!(["a", "b"])));
    }
    let mut others = JoinSet::new();
    others.spawn(embed("key-a", json!(["b", "a"])));
    others.spawn(embed("key-b", json!(["a", "b"])));
    followers(&gate, 2).await;
    until("the others are asked for themselves", || async {
        steps.calls() == 3
    })
    .await;
    steps.step(3);
    let answers = alike.join_all().await;
    assert!(answers.iter().all(|answer| answer.body == TWO));
    let coalesced = |answer: &&Answer| status(answer) == "COALESCED";
    assert_eq!(answers.iter().filter(coalesced).count(), 2);
    for other in others.join_all().await {
        assert_eq!(status(&other), "MISS");
    }
    gate.is_at_rest().await;
    assert_eq!(status(&embed("key-a", json!("b")).await), "HIT");
    assert_eq!(steps.calls(), 3);
    gate.is_at_rest().await;
}

/// One who leads and so many who follow it, all before the first byte.
async fn crowd(gate: &Gate, steps: &Steps, size: usize) -> (Asked, Vec<Asked>) {
    let lead = Asked::send(gate.address, streamed());
    until("the peer is asked", || async { steps.calls() == 1 }).await;
    let all = (0..size).map(|_| Asked::send(gate.address, streamed()));
    let all: Vec<_> = all.collect();
    followers(gate, size).await;
    (lead, all)
}

async fn all_whole(all: Vec<Asked>) -> Bytes {
    let mut bodies = Vec::new();
    for asked in all {
        let answer = asked.answer().await;
        assert_eq!(
            (answer.status.as_u16(), status(&answer)),
            (200, "COALESCED")
        );
        bodies.push(answer.body);
    }
    assert!(bodies.iter().all(|body| *body == bodies[0]));
    assert!(bodies[0].ends_with(b"data: [DONE]\n\n"));
    bodies.swap_remove(0)
}

const STREAM: [Act; 4] = [Act::Head, Act::Token, Act::Token, Act::End];

#[tokio::test]
async fn followers_get_their_answer_when_the_leads_client_leaves_before_the_first_byte() {
    let steps = stepping(vec![STREAM.to_vec()]).await;
    let gate = gate(&steps.peer, "{}", "").await;
    let (lead, all) = crowd(&gate, &steps, 5).await;
    lead.leave();
    steps.step(4);
    all_whole(all).await;
    assert_eq!(steps.calls(), 1);
    assert_eq!(
        status(&post_chat(gate.address, &streamed(), &[]).await),
        "HIT"
    );
    gate.is_at_rest().await;
}

#[tokio::test]
async fn followers_get_their_answer_when_the_leads_client_leaves_while_it_waits_for_a_peer() {
    let steps = stepping(vec![vec![Act::Json], STREAM.to_vec()]).await;
    let pool = format!(
        "pools:\n  pool:\n    health: off\n    peers:\n      - {{ address: \"{}\", max_requests: 1 }}\n",
        steps.peer.address
    );
    let gate = Gate::start(&format!("{pool}{CACHED}caches:\n  answers: {{}}\n")).await;
    let other = Asked::send(gate.address, chat("something else", Value::Null));
    until("the peer is busy", || async { steps.calls() == 1 }).await;
    let lead = Asked::send(gate.address, streamed());
    until("the lead waits", || async {
        gate.metric("tollgate_queue_requests{pool=\"pool\"}").await == 1.0
    })
    .await;
    let all: Vec<_> = (0..5)
        .map(|_| Asked::send(gate.address, streamed()))
        .collect();
    followers(&gate, 5).await;
    lead.leave();
    steps.step(1);
    assert_eq!(other.answer().await.status, 200);
    steps.step(4);
    all_whole(all).await;
    assert_eq!(steps.calls(), 2);
    gate.is_at_rest().await;
}

#[tokio::test]
async fn followers_get_their_answer_when_the_leads_client_leaves_in_its_middle() {
    let steps = stepping(vec![STREAM.to_vec()]).await;
    let gate = gate(&steps.peer, "{}", "").await;
    let (lead, all) = crowd(&gate, &steps, 5).await;
    steps.step(2);
    let (mut answer, connection) = lead.head().await;
    read(&mut answer).await;
    drop((answer, connection));
    until("the gate has seen it", || async {
        gate.metric("tollgate_client_aborts_total{stage=\"mid_stream\"}")
            .await
            == 1.0
    })
    .await;
    steps.step(2);
    all_whole(all).await;
    assert_eq!(steps.calls(), 1);
    assert_eq!(
        status(&post_chat(gate.address, &streamed(), &[]).await),
        "HIT"
    );
    gate.is_at_rest().await;
}

#[tokio::test]
async fn a_call_that_nobody_wants_any_more_is_cut() {
    for before in [0, 2] {
        let mut steps = stepping(vec![STREAM.to_vec()]).await;
        let gate = gate(&steps.peer, "{}", "").await;
        let (lead, all) = crowd(&gate, &steps, 3).await;
        steps.step(before);
        if before > 0 {
            until("the answer has begun", || async {
                gate.metric("tollgate_client_aborts_total{stage=\"mid_stream\"}")
                    .await
                    == 0.0
                    && steps.go.available_permits() == 0
            })
            .await;
        }
        lead.leave();
        all.into_iter().for_each(Asked::leave);
        steps.closed.recv().await.expect("the peer sees it");
        gate.is_at_rest().await;
        assert_eq!(steps.calls(), 1);
    }
}

#[tokio::test]
async fn a_follower_takes_over_when_the_leads_peer_fails_before_the_first_byte() {
    for failing in [Act::Die, Act::Status(500), Act::Status(400)] {
        let steps = stepping(vec![vec![failing], STREAM.to_vec()]).await;
        let once = "    retry: { attempts: 1 }\n    eject: off\n";
        let pool = crate::support::gate::pool(&[steps.peer.address], once);
        let gate = Gate::start(&format!("{pool}{CACHED}caches:\n  answers: {{}}\n")).await;
        let (lead, all) = crowd(&gate, &steps, 5).await;
        steps.step(5);
        assert_ne!(lead.answer().await.status, 200);
        let mut told = std::collections::BTreeMap::new();
        for asked in all {
            let answer = asked.answer().await;
            assert!(answer.body.ends_with(b"data: [DONE]\n\n"));
            *told.entry(status(&answer).to_owned()).or_insert(0) += 1;
        }
        assert_eq!(told["MISS"], 1);
        assert_eq!(told["COALESCED"], 4);
        gate.is_at_rest().await;
        assert_eq!((steps.calls(), followed(&gate, "promoted").await), (2, 1.0));
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_the_same_truth_for_all() {
    let steps = stepping(vec![vec![Act::Head, Act::Token, Act::Die]]).await;
    let gate = gate(&steps.peer, "{}", "").await;
    let (lead, all) = crowd(&gate, &steps, 4).await;
    steps.step(2);
    let mut answers = Vec::new();
    for asked in std::iter::once(lead).chain(all) {
        let (mut answer, connection) = asked.head().await;
        let first = read(&mut answer).await;
        answers.push((first, answer, connection));
    }
    steps.step(1);
    let mut texts = Vec::new();
    for (mut text, answer, _open) in answers {
        let rest = answer.collect().await.expect("properly ended").to_bytes();
        text.push_str(std::str::from_utf8(&rest).expect("text"));
        texts.push(text);
    }
    assert!(texts.iter().all(|text| *text == texts[0]), "{texts:?}");
    assert!(texts[0].contains("\"error\"") && !texts[0].contains("[DONE]"));
    gate.is_at_rest().await;
    assert_eq!(followed(&gate, "broken").await, 4.0);
}

#[tokio::test]
async fn a_client_that_does_not_read_holds_nobody_up() {
    let body = chat("hello", json!({ "stream": true }));
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let large = "x".repeat(60_000);
    // More than the buffers of both sockets take.
    let peer = Peer::start(move |mut wire: Wire, _| {
        let (counted, large) = (Arc::clone(&counted), large.clone());
        async move {
            while wire.request().await?.is_some() {
                counted.fetch_add(1, Ordering::SeqCst);
                wire.events().await?;
                for _ in 0..400 {
                    wire.token(&large).await?;
                }
                end(&mut wire).await?;
            }
            Ok(())
        }
    })
    .await;
    let gate = gate(&peer, "{ exact: { max_entry: 64MiB } }", "").await;
    let (_unread, _open) = Asked::send(gate.address, body.clone()).head().await;
    until("the lead is stuck", || async {
        calls.load(Ordering::SeqCst) == 1
    })
    .await;
    let (_slow, _too) = Asked::send(gate.address, body.clone()).head().await;
    let quick = Asked::send(gate.address, body).answer().await;
    assert_eq!(status(&quick), "COALESCED");
    assert!(quick.body.len() > 24_000_000 && quick.body.ends_with(b"data: [DONE]\n\n"));
    assert_eq!(calls.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn who_waited_long_enough_asks_for_itself() {
    let steps = stepping(vec![STREAM.to_vec()]).await;
    let gate = gate(&steps.peer, "{ single_flight: { max_wait: 50ms } }", "").await;
    let lead = Asked::send(gate.address, streamed());
    until("the peer is asked", || async { steps.calls() == 1 }).await;
    let other = Asked::send(gate.address, streamed());
    until("the other asks as well", || async { steps.calls() == 2 }).await;
    steps.step(8);
    for answer in [lead.answer().await, other.answer().await] {
        assert_eq!(status(&answer), "MISS");
    }
    gate.is_at_rest().await;
    assert_eq!(followed(&gate, "late").await, 1.0);
}

#[tokio::test]
async fn single_flight_can_be_turned_off() {
    let steps = stepping(vec![STREAM.to_vec()]).await;
    let gate = gate(&steps.peer, "{ single_flight: off }", "").await;
    let all = [0, 1].map(|_| Asked::send(gate.address, streamed()));
    until("both ask", || async { steps.calls() == 2 }).await;
    steps.step(8);
    for asked in all {
        assert_eq!(status(&asked.answer().await), "MISS");
    }
}

#[tokio::test]
async fn followers_count_as_requests_and_not_as_tokens() {
    let limits = format!(
        "keys:\n  - {{ name: a, sha256: \"{}\", tier: t }}\nlimits:\n  - {{ per: key, tier: t, tokens: 100/h, requests: 100/h }}\n",
        sha256(b"key-a")
    );
    let steps = stepping(vec![vec![Act::Json]]).await;
    let gate = gate(&steps.peer, "{}", &limits).await;
    let mut all = JoinSet::new();
    for _ in 0..3 {
        let address = gate.address;
        all.spawn(async move {
            let key = [("authorization", "Bearer key-a")];
            post_chat(address, &chat("hello", Value::Null), &key).await
        });
        followers(&gate, all.len() - 1).await;
    }
    steps.step(1);
    for answer in all.join_all().await {
        assert_eq!(answer.status, 200);
    }
    gate.is_at_rest().await;
    let key = [("authorization", "Bearer key-a")];
    let after = post_chat(gate.address, &chat("hello", Value::Null), &key).await;
    let left = |name: &str| {
        after
            .header(name)
            .expect("given")
            .parse::<u64>()
            .expect("a number")
    };
    assert_eq!(left("x-ratelimit-remaining-requests"), 96);
    // 11 of the one call, and the estimate of the hit that asks.
    assert!(left("x-ratelimit-remaining-tokens") > 50, "{after:?}");
    gate.is_at_rest().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long; run by scripts/test"]
async fn a_thousand_streams_alike_are_one_call_and_a_thousand_equal_answers() {
    let steps = stepping(vec![STREAM.to_vec()]).await;
    let gate = gate(&steps.peer, "{}", "").await;
    let (lead, all) = crowd(&gate, &steps, 999).await;
    steps.step(4);
    let first = lead.answer().await;
    assert_eq!(first.body, all_whole(all).await);
    gate.is_at_rest().await;
    assert_eq!(
        (steps.calls(), followed(&gate, "answered").await),
        (1, 999.0)
    );
}
