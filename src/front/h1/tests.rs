use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use super::*;
use crate::front::rules::of_a_test as rules;
use crate::util::fields::Fields;
use crate::wire::ResponseHead;

async fn begun(request: &str) -> (Box<H1>, DuplexStream) {
    let (ours, mut theirs) = tokio::io::duplex(4096);
    theirs.write_all(request.as_bytes()).await.expect("open");
    let mut h1 = Box::new(H1::new(Conn::new(Box::new(ours))));
    let head = h1.next_head(&rules(), true).await;
    head.expect("good").expect("whole");
    (h1, theirs)
}

#[tokio::test]
async fn nobody_is_invited_to_send_a_body_once_the_answer_has_begun() {
    let rules = rules();
    let (mut h1, mut client) =
        begun("POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n")
            .await;
    let head = ResponseHead::new(http::StatusCode::OK);
    h1.begin(&head, &Fields::default(), false);
    h1.flush(&rules).await.expect("open");
    // Nobody knows whether the body will come: it must not be taken for a request, nor a request for it.
    let (read, sent) = tokio::join!(h1.read_body(&rules), client.write_all(b"hello"));
    sent.expect("open");
    assert_eq!(read, Ok(Some(Bytes::from("hello"))));
    h1.write(&rules, Bytes::from("ok"), true)
        .await
        .expect("open");
    assert!(h1.finish(&rules).await.is_none());
    let mut all = String::new();
    client.read_to_string(&mut all).await.expect("text");
    assert!(all.ends_with("\r\n\r\n2\r\nok\r\n0\r\n\r\n"), "{all}");
    assert!(
        all.contains("connection: close") && !all.contains("100 Continue"),
        "{all}"
    );
}
