//! What attackers, old clients and odd peers do with the protocol, byte by byte.

use std::io;
use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::support::client::{self, chat};
use crate::support::gate::{Gate, pool};
use crate::support::peer::{Peer, Wire, sha256};
use crate::support::until;

/// Ends a test that would hang.
const LONG: Duration = Duration::from_secs(20);

/// A connection on which a test writes what it likes.
struct Raw(TcpStream);

impl Raw {
    async fn connect(gate: &Gate) -> Self {
        let stream = TcpStream::connect(gate.address).await.expect("connects");
        stream.set_nodelay(true).expect("set");
        Self(stream)
    }

    async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.write_all(bytes.as_ref()).await.expect("sent");
    }

    /// A head as text, and the body of the declared length.
    async fn answer(&mut self) -> io::Result<(String, String)> {
        timeout(LONG, async {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(self.0.read_u8().await?);
            }
            let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
            let length = head
                .split_once("content-length: ")
                .and_then(|(_, rest)| rest.split("\r\n").next()?.parse().ok())
                .unwrap_or(0);
            let mut body = vec![0; length];
            self.0.read_exact(&mut body).await?;
            Ok((head, String::from_utf8_lossy(&body).into_owned()))
        })
        .await
        .expect("an answer in time")
    }

    /// All there is until the other side closes.
    async fn rest(&mut self) -> String {
        let mut all = Vec::new();
        timeout(LONG, self.0.read_to_end(&mut all))
            .await
            .expect("closed in time")
            .expect("read");
        String::from_utf8_lossy(&all).into_owned()
    }
}

fn post(path: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let mut request = format!(
        "POST {path} HTTP/1.1\r\nhost: t\r\ncontent-length: {}\r\n{headers}\r\n",
        body.len()
    )
    .into_bytes();
    request.extend_from_slice(body);
    request
}

fn keys() -> String {
    format!(
        "keys:\n  - {{ name: a, sha256: \"{}\", tenant: t }}\n",
        sha256(b"key-a")
    )
}

/// A peer that answers with the head it was sent.
async fn showing_peer() -> Peer {
    Peer::start(|mut wire: Wire, _| async move {
        while let Some(request) = wire.request().await? {
            let shown = json!({ "line": request.line, "headers": request.headers, "body": String::from_utf8_lossy(&request.body) });
            wire.json(200, &shown.to_string()).await?;
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_upgrade_header_does_not_lead_around_limits_and_metering() {
    let peer = showing_peer().await;
    let gate = Gate::before(
        &[peer.address],
        "limits:\n  - { per: key, requests: 2/h }\n",
    )
    .await;
    let mut seen = Vec::new();
    for _ in 0..4 {
        let mut raw = Raw::connect(&gate).await;
        raw.send(post(
            "/v1/chat/completions",
            "connection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: x\r\n",
            &chat("x", json!({})),
        ))
        .await;
        let (head, _) = raw.answer().await.expect("an answer");
        seen.push(head[9..12].to_owned());
    }
    assert_eq!(seen, ["200", "200", "429", "429"]);
    gate.is_at_rest().await;
}

#[tokio::test]
async fn a_websocket_counts_against_the_limits_and_hides_the_key_from_the_peer() {
    let (told, mut heads) = mpsc::unbounded_channel();
    let peer = Peer::start(move |mut wire: Wire, _| {
        let told = told.clone();
        async move {
            let Some(request) = wire.head().await? else {
                return Ok(());
            };
            let _ = told.send(request);
            wire.raw("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\nhello from the peer")
                .await
        }
    })
    .await;
    let gate = Gate::before(
        &[peer.address],
        &format!("{}limits:\n  - {{ per: key, requests: 1/h }}\n", keys()),
    )
    .await;
    let ask = "GET /v1/realtime HTTP/1.1\r\nhost: t\r\nauthorization: Bearer key-a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
    let mut raw = Raw::connect(&gate).await;
    raw.send(ask).await;
    let all = raw.rest().await;
    assert!(all.starts_with("HTTP/1.1 101"), "{all}");
    assert!(all.ends_with("hello from the peer"), "{all}");
    let head = heads.recv().await.expect("reached");
    assert_eq!(head.header("authorization"), None);
    assert!(head.header("x-forwarded-for").is_some());
    let mut raw = Raw::connect(&gate).await;
    raw.send(ask).await;
    let (head, _) = raw.answer().await.expect("an answer");
    assert!(head.starts_with("http/1.1 429"), "{head}");
    gate.is_at_rest().await;
}

#[tokio::test]
async fn a_peer_that_speaks_http_1_0_is_translated_for_a_1_1_client() {
    let peer = Peer::start(|mut wire: Wire, _| async move {
        wire.request().await?;
        wire.raw("HTTP/1.0 200 OK\r\ncontent-type: text/plain\r\n\r\nall there is")
            .await
    })
    .await;
    let gate = Gate::before(&[peer.address], "").await;
    let mut raw = Raw::connect(&gate).await;
    raw.send("GET /x HTTP/1.1\r\nhost: t\r\nconnection: close\r\n\r\n")
        .await;
    let all = raw.rest().await;
    assert!(all.starts_with("HTTP/1.1 200"), "{all}");
    assert!(all.to_lowercase().contains("transfer-encoding: chunked"));
    assert!(all.ends_with("C\r\nall there is\r\n0\r\n\r\n"), "{all}");
}

#[tokio::test]
async fn a_client_that_speaks_http_1_0_gets_no_chunks_and_no_100() {
    let peer = Peer::start(|mut wire: Wire, _| async move {
        wire.request().await?;
        wire.events().await?;
        wire.chunk("data: [DONE]\n\n").await?;
        wire.raw("0\r\n\r\n").await
    })
    .await;
    let gate = Gate::before(&[peer.address], "").await;
    let body = chat("x", json!({ "stream": true }));
    let mut raw = Raw::connect(&gate).await;
    raw.send(format!(
        "POST /v1/chat/completions HTTP/1.0\r\nhost: t\r\nexpect: 100-continue\r\ncontent-length: {}\r\n\r\n",
        body.len()
    ))
    .await;
    raw.send(&body).await;
    let all = raw.rest().await;
    assert!(all.starts_with("HTTP/1.1 200"), "{all}");
    assert!(all.ends_with("\r\n\r\ndata: [DONE]\n\n"), "{all}");
}

#[tokio::test]
async fn a_switch_of_protocols_that_nobody_asked_for_is_a_broken_answer() {
    let peer = Peer::start(|mut wire: Wire, _| async move {
        wire.request().await?;
        wire.raw("HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\nHTTP/1.1 200 OK\r\n\r\n")
            .await
    })
    .await;
    let gate = Gate::start(&pool(
        &[peer.address],
        "    retry: { attempts: 1 }\n    eject: off\n",
    ))
    .await;
    let answer = client::ask(gate.address, "x", &[]).await;
    assert_eq!(answer.status, 502);
}

#[tokio::test]
async fn a_refused_body_is_never_read_as_the_next_request_and_a_small_one_keeps_the_connection() {
    let peer = showing_peer().await;
    let gate = Gate::before(&[peer.address], &keys()).await;
    let inner = "GET /inner HTTP/1.1\r\nhost: t\r\n\r\n";
    let mut raw = Raw::connect(&gate).await;
    raw.send(format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: t\r\ncontent-length: {}\r\n\r\n",
        inner.len()
    ))
    .await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    raw.send(inner).await;
    let (head, _) = raw.answer().await.expect("the refusal is not lost");
    assert!(head.starts_with("http/1.1 401"), "{head}");
    raw.send("GET /outer HTTP/1.1\r\nhost: t\r\nauthorization: Bearer key-a\r\n\r\n")
        .await;
    let (head, body) = raw.answer().await.expect("the connection survives");
    assert!(head.starts_with("http/1.1 200"), "{head}");
    assert!(
        body.contains("/outer") && !body.contains("/inner"),
        "{body}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_reaches_a_client_that_is_still_sending() {
    let peer = showing_peer().await;
    let gate = Gate::before(&[peer.address], "max_body: 64KiB\n").await;
    for _ in 0..5 {
        let mut raw = Raw::connect(&gate).await;
        raw.send(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: t\r\ncontent-length: 4000000\r\n\r\n",
        )
        .await;
        for _ in 0..40 {
            raw.send(vec![b'x'; 100_000]).await;
        }
        let (head, _) = raw.answer().await.expect("the refusal is not lost");
        assert!(head.starts_with("http/1.1 413"), "{head}");
        assert!(head.contains("connection: close"), "{head}");
    }
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_their_order() {
    let peer = Peer::start(|mut wire: Wire, _| async move {
        while let Some(request) = wire.request().await? {
            tokio::time::sleep(Duration::from_millis(100)).await;
            wire.json(200, &json!(request.line).to_string()).await?;
        }
        Ok(())
    })
    .await;
    let gate = Gate::before(&[peer.address], "").await;
    let mut raw = Raw::connect(&gate).await;
    raw.send("GET /one HTTP/1.1\r\nhost: t\r\n\r\n").await;
    tokio::time::sleep(Duration::from_millis(30)).await;
    let mut both = b"GET /two HTTP/1.1\r\nhost: t\r\n\r\n".to_vec();
    both.extend_from_slice(&post("/v1/completions", "", b"three"));
    raw.send(both).await;
    for expected in ["/one", "/two", "/v1/completions"] {
        let (_, body) = raw.answer().await.expect(expected);
        assert!(body.contains(expected), "{body}");
    }
    gate.is_at_rest().await;
}

#[tokio::test]
async fn a_list_of_models_asked_for_with_a_body_is_answered() {
    let peer = Peer::start(|mut wire: Wire, _| async move {
        while wire.request().await?.is_some() {
            tokio::time::sleep(Duration::from_millis(50)).await;
            wire.json(
                200,
                r#"{"object":"list","data":[{"id":"m","object":"model"}]}"#,
            )
            .await?;
        }
        Ok(())
    })
    .await;
    let gate = Gate::start(&format!(
        "pools:\n  a: {{ health: off, peers: [{{ address: \"{0}\" }}] }}\n  b: {{ health: off, peers: [{{ address: \"{0}\" }}] }}\nroutes:\n  - {{ pool: a }}\n",
        peer.address
    ))
    .await;
    let mut raw = Raw::connect(&gate).await;
    for _ in 0..2 {
        raw.send("GET /v1/models HTTP/1.1\r\nhost: t\r\ncontent-length: 2\r\n\r\n{}")
            .await;
        let (head, body) = raw.answer().await.expect("an answer");
        assert!(head.starts_with("http/1.1 200"), "{head}{body}");
    }
}

#[tokio::test]
async fn the_peer_gets_one_unambiguous_head() {
    let peer = showing_peer().await;
    let gate = Gate::before(&[peer.address], "").await;
    let shown = async |request: &str| {
        let mut raw = Raw::connect(&gate).await;
        raw.send(request).await;
        let (head, body) = raw.answer().await.expect("an answer");
        assert!(head.starts_with("http/1.1 200"), "{head}");
        let shown: serde_json::Value = serde_json::from_str(&body).expect("JSON");
        let values = |name: &str| -> Vec<String> {
            shown["headers"]
                .as_array()
                .expect("headers")
                .iter()
                .filter(|pair| pair[0] == name)
                .map(|pair| pair[1].as_str().expect("text").to_owned())
                .collect()
        };
        (
            shown["line"].as_str().expect("text").to_owned(),
            values("content-length"),
            values("x-forwarded-for"),
            shown["body"].as_str().expect("text").to_owned(),
        )
    };
    let (line, ..) = shown("GET http://t/a/b?c=d HTTP/1.1\r\nhost: t\r\n\r\n").await;
    assert_eq!(line, "GET /a/b?c=d HTTP/1.1", "absolute form");
    let (line, ..) = shown("OPTIONS * HTTP/1.1\r\nhost: t\r\n\r\n").await;
    assert_eq!(line, "OPTIONS * HTTP/1.1");
    let (_, lengths, _, body) = shown(
        "PUT /x HTTP/1.1\r\nhost: t\r\nconnection: content-length\r\ncontent-length: 4\r\n\r\nbody",
    )
    .await;
    assert_eq!(
        (lengths.as_slice(), body.as_str()),
        (["4".to_owned()].as_slice(), "body")
    );
    let (_, lengths, _, body) =
        shown("PUT /x HTTP/1.1\r\nhost: t\r\ncontent-length: 4\r\ncontent-length: 4\r\n\r\nbody")
            .await;
    assert_eq!(
        (lengths.as_slice(), body.as_str()),
        (["4".to_owned()].as_slice(), "body")
    );
    let (_, _, chain, _) = shown(
        "GET /x HTTP/1.1\r\nhost: t\r\nx-forwarded-for: 1.1.1.1\r\nx-forwarded-for: 2.2.2.2\r\n\r\n",
    )
    .await;
    assert_eq!(chain, ["1.1.1.1, 2.2.2.2, 127.0.0.1"]);
}

#[tokio::test]
async fn ambiguous_heads_are_refused() {
    let peer = showing_peer().await;
    let gate = Gate::before(&[peer.address], "").await;
    for request in [
        "GET /x HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n",
        "POST /x HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
        "POST /x HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
        "POST /x HTTP/1.0\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    ] {
        let mut raw = Raw::connect(&gate).await;
        raw.send(request).await;
        let (head, _) = raw.answer().await.expect("an answer");
        assert!(head.starts_with("http/1.1 400"), "{request}: {head}");
    }
    // Both framings: the chunks count, and nothing after them is read as a request.
    let mut raw = Raw::connect(&gate).await;
    raw.send("POST /x HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n")
        .await;
    let all = raw.rest().await;
    assert_eq!(all.matches("HTTP/1.1 200").count(), 1, "{all}");
    assert_eq!(peer.connections(), 1);
}

#[tokio::test]
async fn an_escaped_path_is_the_path_that_it_means() {
    let peer = showing_peer().await;
    let gate = Gate::before(
        &[peer.address],
        "routes:\n  - { match: { path: \"/v1/*\" }, pool: pool, cache: answers }\ncaches:\n  answers: {}\n",
    )
    .await;
    let answer = client::send(
        gate.address,
        "POST",
        "/%761/chat/comple%74ions",
        &[],
        &chat("x", json!({})),
    )
    .await
    .expect("an answer");
    assert_eq!(answer.header("x-cache-status"), Some("MISS"));
    assert!(
        answer.json()["line"]
            .as_str()
            .expect("text")
            .contains("/%761/"),
        "the peer gets it as it came"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_stops_reading_does_not_hold_a_peer_for_ever() {
    let (closed, mut closes) = mpsc::unbounded_channel();
    let peer = Peer::start(move |mut wire: Wire, _| {
        let closed = closed.clone();
        async move {
            wire.request().await?;
            wire.events().await?;
            while wire.chunk(vec![b'x'; 60_000]).await.is_ok() {}
            let _ = closed.send(());
            Ok(())
        }
    })
    .await;
    let gate = Gate::start(&pool(
        &[peer.address],
        "    timeouts: { between_chunks: 300ms }\n",
    ))
    .await;
    let mut raw = Raw::connect(&gate).await;
    raw.send(post(
        "/v1/chat/completions",
        "",
        &chat("x", json!({ "stream": true })),
    ))
    .await;
    timeout(LONG, closes.recv())
        .await
        .expect("the peer is let go")
        .expect("closed");
    gate.is_at_rest().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_early_answer_to_an_upload_arrives_whole_while_the_client_still_sends() {
    let peer = Peer::start(|mut wire: Wire, _| async move {
        wire.head().await?;
        wire.raw("HTTP/1.1 413 X\r\ncontent-length: 11\r\n\r\ntoo ")
            .await?;
        tokio::time::sleep(Duration::from_millis(150)).await;
        wire.raw("much of").await
    })
    .await;
    let gate = Gate::before(&[peer.address], "").await;
    for _ in 0..3 {
        let mut raw = Raw::connect(&gate).await;
        raw.send("PUT /upload HTTP/1.1\r\nhost: t\r\ncontent-length: 9000000\r\n\r\n")
            .await;
        let (mut reading, mut writing) = raw.0.into_split();
        let sending = tokio::spawn(async move {
            for _ in 0..90 {
                if writing.write_all(&vec![b'x'; 100_000]).await.is_err() {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        let mut all = Vec::new();
        let mut part = [0; 1024];
        while !all.ends_with(b"too much of") {
            let read = timeout(LONG, reading.read(&mut part))
                .await
                .expect("in time")
                .expect("not reset");
            assert!(read > 0, "cut: {}", String::from_utf8_lossy(&all));
            all.extend_from_slice(&part[..read]);
        }
        assert!(all.starts_with(b"HTTP/1.1 413"));
        sending.abort();
    }
    gate.is_at_rest().await;
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
    let (reached, mut reaches) = mpsc::unbounded_channel();
    let peer = Peer::start(move |mut wire: Wire, _| {
        let reached = reached.clone();
        async move {
            wire.request().await?;
            let _ = reached.send(());
            std::future::pending().await
        }
    })
    .await;
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

#[tokio::test]
async fn a_peer_that_replaces_a_stuck_one_serves_those_who_wait_and_those_who_come() {
    let (reached, mut reaches) = mpsc::unbounded_channel();
    let stuck = Peer::start(move |mut wire: Wire, _| {
        let reached = reached.clone();
        async move {
            wire.request().await?;
            let _ = reached.send(());
            std::future::pending().await
        }
    })
    .await;
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
async fn a_client_that_waits_to_be_invited_is_refused_at_once() {
    let peer = showing_peer().await;
    let gate = Gate::before(&[peer.address], &keys()).await;
    let mut raw = Raw::connect(&gate).await;
    raw.send("POST /v1/chat/completions HTTP/1.1\r\nhost: t\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n")
        .await;
    let all = raw.rest().await.to_lowercase();
    assert!(all.starts_with("http/1.1 401"), "{all}");
    assert!(all.contains("connection: close"), "{all}");
}

#[tokio::test]
async fn a_websocket_that_reaches_no_peer_counts_against_the_peer() {
    let gate = Gate::start(&pool(&[crate::support::free_address()], "    eject: off\n")).await;
    let mut raw = Raw::connect(&gate).await;
    raw.send(
        "GET /v1/realtime HTTP/1.1\r\nhost: t\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
    )
    .await;
    let (head, _) = raw.answer().await.expect("an answer");
    assert!(head.starts_with("http/1.1 502"), "{head}");
    let status = gate.status().await;
    assert_eq!(status["pools"]["pool"]["peers"][0]["failures"], 1);
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
