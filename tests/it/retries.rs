//! Before the first byte: try again elsewhere. After it: never. Errors are told in the client's own envelope.

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::client::{self, ask};
use crate::support::gate::{Gate, pool};
use crate::support::peer::{Peer, Wire};
use crate::support::{free_address, until};

const QUICK: &str =
    "    balance: round_robin\n    eject: off\n    retry: { attempts: 3, base_backoff: 1ms }\n";

async fn answering(status: u16, extra: &'static str) -> Peer {
    Peer::start(move |mut wire: Wire, _| async move {
        while wire.request().await?.is_some() {
            let body = format!("{{\"from\":{status}}}");
            wire.raw(format!("HTTP/1.1 {status} X\r\ncontent-type: application/json\r\n{extra}content-length: {}\r\n\r\n{body}", body.len()))
                .await?;
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_refusing_peer_costs_the_client_nothing_while_another_one_lives() {
    let (dead, good) = (free_address(), Peer::mirror().await);
    let gate = Gate::start(&pool(&[dead, good.address], QUICK)).await;
    for i in 0..10 {
        assert_eq!(
            ask(gate.address, &format!("question {i}"), &[])
                .await
                .status,
            200
        );
    }
    gate.is_at_rest().await;
    assert!(
        gate.metric("tollgate_retries_total{cause=\"connect\",pool=\"pool\"}")
            .await
            >= 4.0
    );
}

#[tokio::test]
async fn statuses_of_the_policy_are_tried_elsewhere_and_others_are_passed_on() {
    for (status, retried) in [
        (429, true),
        (500, true),
        (503, true),
        (400, false),
        (404, false),
    ] {
        let (first, good) = (answering(status, "").await, Peer::mirror().await);
        let gate = Gate::start(&pool(&[first.address, good.address], QUICK)).await;
        let mut seen = Vec::new();
        for i in 0..4 {
            seen.push(
                ask(gate.address, &format!("q{i}"), &[])
                    .await
                    .status
                    .as_u16(),
            );
        }
        assert_eq!(seen.contains(&status), !retried, "{status}: {seen:?}");
    }
}

#[tokio::test]
async fn when_every_peer_says_no_the_client_gets_the_last_peers_own_words() {
    let (one, two) = (
        answering(429, "retry-after: 7\r\n").await,
        answering(429, "retry-after: 7\r\n").await,
    );
    let gate = Gate::start(&pool(&[one.address, two.address], QUICK)).await;
    let answer = ask(gate.address, "hello", &[]).await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("retry-after")),
        (429, Some("7"))
    );
    assert_eq!(answer.json()["from"], 429);
}

#[tokio::test]
async fn with_every_peer_down_the_client_gets_503_a_reason_and_a_time_to_come_back() {
    let gate = Gate::start(&pool(&[free_address(), free_address()], QUICK)).await;
    let answer = ask(gate.address, "hello", &[]).await;
    assert_eq!(answer.status, 503);
    assert!(
        answer
            .header("retry-after")
            .expect("given")
            .parse::<u64>()
            .expect("seconds")
            > 0
    );
    let error = &answer.json()["error"];
    assert!(
        error["message"]
            .as_str()
            .expect("a reason")
            .contains("pool"),
        "{error}"
    );
    let answer = client::send(
        gate.address,
        "POST",
        "/v1/messages",
        &[],
        &client::chat("x", json!({})),
    )
    .await
    .expect("an answer");
    assert_eq!(
        answer.json()["type"],
        "error",
        "Anthropic's envelope on its path"
    );
    gate.is_at_rest().await;
}

#[tokio::test]
async fn a_pooled_connection_that_the_peer_has_closed_is_not_an_error() {
    // Each connection answers once and closes without having said so.
    let peer = Peer::start(|mut wire: Wire, _| async move {
        if let Some(request) = wire.request().await? {
            wire.json(200, &request.digest()).await?;
        }
        Ok(())
    })
    .await;
    let gate = Gate::start(&pool(&[peer.address], "    retry: { attempts: 1 }\n")).await;
    for i in 0..20 {
        assert_eq!(
            ask(gate.address, &format!("q{i}"), &[]).await.status,
            200,
            "request {i}"
        );
    }
    assert_eq!(
        gate.status().await["pools"]["pool"]["peers"][0]["failures"],
        0
    );
}

#[tokio::test]
async fn a_broken_answer_is_502_and_the_clients_connection_survives_it() {
    let peer = Peer::start(|mut wire: Wire, number| async move {
        while let Some(request) = wire.request().await? {
            if number == 0 {
                wire.raw("this is not HTTP\r\n\r\n").await?;
                return Ok(());
            }
            wire.json(200, &request.digest()).await?;
        }
        Ok(())
    })
    .await;
    let gate = Gate::start(&pool(
        &[peer.address],
        "    retry: { attempts: 1 }\n    eject: off\n",
    ))
    .await;
    let mut stream = TcpStream::connect(gate.address).await.expect("connects");
    for expected in ["502", "200"] {
        let body = client::chat("x", json!({}));
        let head = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: t\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).await.expect("sent");
        stream.write_all(&body).await.expect("sent");
        let mut answer = String::new();
        while !answer.contains("}")
            || !answer.contains("\r\n\r\n")
            || answer.matches('{').count() != answer.matches('}').count()
        {
            let mut part = [0; 1024];
            let read = stream.read(&mut part).await.expect("the connection lives");
            assert!(read > 0, "closed after {answer}");
            answer.push_str(std::str::from_utf8(&part[..read]).expect("text"));
        }
        assert_eq!(&answer[9..12], expected, "{answer}");
    }
}

#[tokio::test]
async fn a_peer_that_fails_again_and_again_is_left_alone_and_gets_a_trial_later() {
    let flaky = Peer::start(|mut wire: Wire, number| async move {
        while let Some(request) = wire.request().await? {
            if number < 3 {
                return Ok(());
            }
            wire.json(200, &request.digest()).await?;
        }
        Ok(())
    })
    .await;
    let good = Peer::mirror().await;
    let config = pool(
        &[flaky.address, good.address],
        "    balance: round_robin\n    slow_start: 0s\n    eject: { after: 3, base: 300ms, max: 1s }\n    retry: { attempts: 3, base_backoff: 1ms }\n",
    );
    let gate = Gate::start(&config).await;
    let state = || async {
        gate.status().await["pools"]["pool"]["peers"][0]["state"]
            .as_str()
            .expect("text")
            .to_owned()
    };
    let mut i = 0;
    while flaky.connections() < 3 {
        i += 1;
        assert_eq!(ask(gate.address, &format!("q{i}"), &[]).await.status, 200);
    }
    assert_eq!(state().await, "ejected");
    until("it serves again", || async {
        assert_eq!(
            ask(gate.address, &format!("again {}", fastrand::u64(..)), &[])
                .await
                .status,
            200
        );
        !matches!(state().await.as_str(), "ejected" | "half_open") && flaky.connections() > 3
    })
    .await;
    gate.is_at_rest().await;
}

#[tokio::test]
async fn active_checks_take_a_peer_out_and_bring_it_back() {
    let healthy = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(true));
    let told = std::sync::Arc::clone(&healthy);
    let peer = Peer::start(move |mut wire: Wire, _| {
        let told = std::sync::Arc::clone(&told);
        async move {
            while let Some(request) = wire.request().await? {
                let ok = told.load(std::sync::atomic::Ordering::SeqCst)
                    || !request.line.contains("/health");
                wire.json(if ok { 200 } else { 500 }, "{}").await?;
            }
            Ok(())
        }
    })
    .await;
    let config = pool(&[peer.address], "").replace("health: off", "health: { path: /health, interval: 30ms, timeout: 1s, unhealthy_after: 2, healthy_after: 2 }");
    let gate = Gate::start(&config).await;
    let ready = || async {
        client::get(gate.admin, "/readyz")
            .await
            .expect("admin answers")
            .status
            == 200
    };
    until("it is ready", ready).await;
    healthy.store(false, std::sync::atomic::Ordering::SeqCst);
    until("it is out", || async { !ready().await }).await;
    let refused = ask(gate.address, "hello", &[]).await;
    assert_eq!(refused.status, 503);
    healthy.store(true, std::sync::atomic::Ordering::SeqCst);
    until("it is back", ready).await;
    assert_eq!(ask(gate.address, "hello", &[]).await.status, 200);
}

#[tokio::test]
async fn a_peer_gets_the_pause_it_asks_for_in_any_form_within_the_cap() {
    for (status, headers, cap, least, most) in [
        (429, "retry-after: 1800\r\n", "2h", 1000.0, 1800.0),
        (429, "retry-after-ms: 1800000\r\n", "2h", 1000.0, 1800.0),
        (
            429,
            "retry-after: Fri, 31 Dec 2100 23:59:59 GMT\r\n",
            "2h",
            7000.0,
            7200.0,
        ),
        (
            429,
            "x-ratelimit-remaining-tokens: 0\r\nx-ratelimit-reset-tokens: 30m0s\r\n",
            "2h",
            1000.0,
            1800.0,
        ),
        (503, "retry-after: 1800\r\n", "2h", 1000.0, 1800.0),
        (429, "retry-after: 999999\r\n", "60s", 0.0, 60.0),
    ] {
        let (refusing, good) = (answering(status, headers).await, Peer::mirror().await);
        let more = format!("{QUICK}    cooldown: {{ max: {cap} }}\n");
        let gate = Gate::start(&pool(&[refusing.address, good.address], &more)).await;
        for i in 0..4 {
            assert_eq!(ask(gate.address, &format!("q{i}"), &[]).await.status, 200);
        }
        let peer = gate.status().await["pools"]["pool"]["peers"][0].clone();
        assert_eq!(peer["state"], "cooling_down", "{status} {headers}");
        let left = peer["out_for_s"].as_f64().expect("a time");
        assert!(least < left && left <= most, "{status} {headers}: {left}");
        assert_eq!(
            (&peer["requests"], &peer["failures"]),
            (&json!(1), &json!(0))
        );
    }
}
