use std::time::Instant;

use tokio::io::AsyncReadExt;

use super::*;

#[tokio::test]
async fn a_peer_that_sips_a_body_has_no_longer_than_the_total_time() {
    let (ours, mut theirs) = tokio::io::duplex(64);
    let timeouts = Timeouts {
        connect: Duration::from_secs(1),
        first_byte: Duration::from_millis(300),
        between_chunks: Duration::from_millis(300),
        total: Duration::from_millis(600),
    };
    let way = Way {
        address: "127.0.0.1:1".parse().expect("an address"),
        tls: None,
        http2: false,
    };
    let deadline = Instant::now() + timeouts.total;
    let conn = Conn::new(Box::new(ours));
    let mut exchange = Exchange::http1(conn, way, false, timeouts, Deadline::new(deadline));
    let sipping = async {
        let mut sip = [0; 16];
        while theirs.read(&mut sip).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let head = RequestHead::new(http::Method::POST, "/").expect("valid");
    let body = Bytes::from(vec![b'x'; 1024 * 1024]);
    let asking = tokio::time::timeout(Duration::from_secs(20), exchange.ask(&head, body));
    let answer = tokio::select! {
        answer = asking => answer.expect("given up in time"),
        () = sipping => unreachable!(),
    };
    assert!(matches!(answer, Err(Failure::TotalTimeout)), "{answer:?}");
}
