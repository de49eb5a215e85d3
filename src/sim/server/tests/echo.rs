//! What arrived, told and sent back.

use serde_json::json;

use super::client::{ask, fast, request};
use crate::sim::server::SimConfig;

#[tokio::test]
async fn any_other_path_tells_method_path_headers_and_body() {
    let server = fast(SimConfig::default()).await;
    let headers = [("x-two", "a"), ("x-two", "b")];
    let reply = ask(
        &server,
        request("PATCH", "/some/where?q=1", &headers, "abc"),
    )
    .await
    .unwrap()
    .json();
    assert_eq!(
        (&reply["method"], &reply["path"], &reply["query"]),
        (&json!("PATCH"), &json!("/some/where"), &json!("q=1"))
    );
    let twice = reply["headers"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|header| header[0] == "x-two")
        .count();
    assert_eq!((twice, &reply["body_bytes"]), (2, &json!(3)));
    assert_eq!(
        reply["body_sha256"],
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    );
}

#[tokio::test]
async fn echo_body_sends_the_bytes_back() {
    let server = fast(SimConfig::default()).await;
    for size in [0, 1, 65_537, 1 << 20] {
        let sent: Vec<u8> = (0..size).map(|i| (i * 31 % 251) as u8).collect();
        let reply = ask(&server, request("POST", "/echo-body", &[], sent.clone()))
            .await
            .unwrap();
        assert_eq!(
            (reply.status, reply.header("x-sim-body-bytes")),
            (200, size.to_string().as_str())
        );
        assert!(reply.body == sent, "{size} bytes came back changed");
    }
}
