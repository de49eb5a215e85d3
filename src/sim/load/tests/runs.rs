use serde_json::json;

use super::args;
use crate::sim::engine::Rates;
use crate::sim::load::{Report, drive};
use crate::sim::server::{SimConfig, SimServer};

async fn fast() -> SimServer {
    SimServer::start(SimConfig {
        time_scale: 50.0,
        name: "sim-a".to_owned(),
        ..SimConfig::default()
    })
    .await
    .unwrap()
}

async fn load(server: &SimServer, flags: &[&str]) -> Report {
    let url = server.url();
    drive(&args(&[&["--url", url.as_str()], flags].concat()))
        .await
        .unwrap()
}

#[tokio::test]
async fn every_api_is_loaded_with_exactly_the_tokens_asked_for() {
    for path in [
        "/v1/chat/completions",
        "/v1/completions",
        "/v1/messages",
        "/v1/responses",
    ] {
        for stream in ["--stream", "--no-stream"] {
            let server = fast().await;
            let flags = [
                "--rate",
                "400",
                "--limit",
                "20",
                "--input-tokens",
                "100",
                "--output-tokens",
                "6",
            ];
            let report = load(
                &server,
                &[&flags[..], &["--target-path", path, stream]].concat(),
            )
            .await
            .document();
            assert_eq!(
                (&report["sent"], &report["ok"], &report["errors"]),
                (&json!(20), &json!(20), &json!({})),
                "{path}"
            );
            assert_eq!(
                (&report["tokens"]["input"], &report["tokens"]["output"]),
                (&json!(2000), &json!(120)),
                "{path}"
            );
            assert_eq!(report["peers"], json!({"sim-a": 20}));
            assert_eq!(server.state()["prompt_tokens"], 2000, "{path}");
        }
    }
}

#[tokio::test]
async fn embeddings_can_be_loaded_too() {
    let server = fast().await;
    let flags = [
        "--rate",
        "400",
        "--limit",
        "5",
        "--input-tokens",
        "10",
        "--target-path",
        "/v1/embeddings",
    ];
    let report = load(&server, &flags).await.document();
    assert_eq!(
        (&report["ok"], &report["tokens"]["input"]),
        (&json!(5), &json!(50))
    );
}

#[tokio::test]
async fn errors_are_counted_by_kind_and_against_goodput() {
    for (fault, kind, sheds) in [
        ("429:1", "status_429", 10),
        ("500", "status_500", 0),
        ("refuse", "reset", 0),
        ("cut:2", "cut", 0),
        ("hang", "timeout", 0),
    ] {
        // Only the hang is to run into it, however busy the machine.
        let timeout = if kind == "timeout" { "200ms" } else { "30s" };
        let fault = Some(fault.parse().unwrap());
        let server = SimServer::start(SimConfig {
            time_scale: 50.0,
            fault,
            ..SimConfig::default()
        })
        .await
        .unwrap();
        let report = load(
            &server,
            &["--rate", "500", "--limit", "10", "--timeout", timeout],
        )
        .await;
        let document = report.document();
        assert_eq!(
            (&document["errors"][kind], &document["sheds"]),
            (&json!(10), &json!(sheds)),
            "{kind}: {document}"
        );
        assert_eq!(
            (&document["ok"], &document["goodput"]["share"]),
            (&json!(0), &json!(0.0))
        );
        assert_eq!(
            document["ttft_s"]["p50"],
            json!(null),
            "errors have no time to the first token"
        );
        assert!(report.text().contains(kind));
    }
}

#[tokio::test]
async fn an_address_that_nobody_listens_on_is_not_reached() {
    let address = fast().await.url();
    let report = drive(&args(&["--url", &address, "--rate", "500", "--limit", "3"]))
        .await
        .unwrap();
    assert_eq!(report.document()["errors"], json!({"connect": 3}));
    assert!(!report.reached());
    assert!(
        drive(&args(&["--url", "ftp://x", "--rate", "1", "--limit", "1"]))
            .await
            .is_err()
    );
}

#[tokio::test]
async fn a_slow_target_does_not_slow_the_sending_and_its_queue_shows_in_the_times() {
    // One request at a time, each a little over 70 ms: twenty at once wait for each other.
    let rates = Rates {
        max_running: 1,
        prefill_rate: 1000.0,
        ..Rates::default()
    };
    let server = SimServer::start(SimConfig {
        rates,
        ..SimConfig::default()
    })
    .await
    .unwrap();
    let flags = [
        "--rate",
        "1000",
        "--limit",
        "20",
        "--input-tokens",
        "64",
        "--output-tokens",
        "2",
        "--goodput-ttft",
        "500ms",
    ];
    let report = load(&server, &flags).await.document();
    assert_eq!(report["ok"], 20);
    let in_flight = report["max_in_flight"].as_u64().unwrap();
    assert!(
        in_flight > 10,
        "sending went on while the first waited: {in_flight}"
    );
    let p99 = report["ttft_s"]["p99"].as_f64().unwrap();
    assert!(p99 > 1.2, "the last waits for nineteen others: {p99}");
    let share = report["goodput"]["share"].as_f64().unwrap();
    assert!(
        share < 0.4,
        "half a second is enough for seven at most: {share}"
    );
}

#[tokio::test]
async fn requests_that_wait_for_a_connection_say_so() {
    let server = fast().await;
    let flags = [
        "--rate",
        "2000",
        "--limit",
        "30",
        "--connections",
        "1",
        "--output-tokens",
        "200",
    ];
    let report = load(&server, &flags).await.document();
    assert_eq!(report["ok"], 30);
    assert!(
        report["generator"]["waited_for_connection"]
            .as_u64()
            .unwrap()
            > 0
    );
    assert_eq!(server.state()["arrived"], 30);
}
