use std::time::Instant;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use super::*;

/// An exchange of 600 ms in all, and its peer, with room for so many bytes between them.
fn exchange(room: usize) -> (Exchange, DuplexStream) {
    let (ours, theirs) = tokio::io::duplex(room);
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
    let exchange = Exchange::http1(conn, way, false, timeouts, Deadline::new(deadline));
    (exchange, theirs)
}

#[tokio::test]
async fn a_peer_that_sips_a_body_has_no_longer_than_the_total_time() {
    let (mut exchange, mut theirs) = exchange(64);
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

#[tokio::test]
async fn a_peer_that_never_stops_sending_has_no_longer_than_the_total_time() {
    let (mut exchange, mut theirs) = exchange(1024 * 1024);
    let pouring = tokio::spawn(async move {
        let head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
        let _ = theirs.write_all(head).await;
        while theirs.write_all(b"4\r\nmore\r\n").await.is_ok() {}
    });
    let drinking = async {
        exchange.head().await.expect("a head");
        loop {
            if let Err(failure) = exchange.chunk().await {
                return failure;
            }
        }
    };
    let failure = tokio::time::timeout(Duration::from_secs(20), drinking).await;
    let failure = failure.expect("given up in time");
    assert!(matches!(failure, Failure::TotalTimeout), "{failure:?}");
    drop(exchange);
    pouring.await.expect("it ends");
}
