use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use h2::Reason;
use http::{Request, Response};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use pingora::protocols::l4::stream::Stream as Plain;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use super::*;
use crate::wire::RequestHead;

const LONG: Duration = Duration::from_secs(20);
const TIMEOUTS: Timeouts = Timeouts {
    connect: LONG,
    first_byte: LONG,
    between_chunks: LONG,
    total: LONG,
};

type Answer = Response<BoxBody<Bytes, Infallible>>;

/// A peer by hyper that serves each request with `serve`, and how many connections it accepted.
async fn peer<F>(
    most: u32,
    serve: impl Fn(Request<Incoming>) -> F + Clone + Send + 'static,
) -> (Destination, Arc<AtomicUsize>)
where
    F: Future<Output = Answer> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let to = plain(listener.local_addr().expect("bound"));
    let accepted = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&accepted);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::SeqCst);
            let serve = serve.clone();
            let service = service_fn(move |request| {
                let answer = serve(request);
                async move { Ok::<_, Infallible>(answer.await) }
            });
            let mut builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            builder.max_concurrent_streams(most);
            tokio::spawn(builder.serve_connection(TokioIo::new(stream), service));
        }
    });
    (to, accepted)
}

fn plain(address: SocketAddr) -> Destination {
    Destination { address, tls: None }
}

async fn dial(to: Destination) -> Result<(Stream, Spoken), Failure> {
    let stream = TcpStream::connect(to.address).await;
    let stream = stream.map_err(|error| Failure::Connect(error.to_string()))?;
    Ok((Box::new(Plain::from(stream)), Spoken::Http2))
}

fn call(opened: Opened) -> Call {
    match opened {
        Opened::Call(call) => *call,
        Opened::Http1(_) => panic!("HTTP/1.1"),
    }
}

async fn open(connections: &Connections, to: Destination) -> Result<Call, Failure> {
    open_within(connections, to, TIMEOUTS).await
}

async fn open_within(
    connections: &Connections,
    to: Destination,
    timeouts: Timeouts,
) -> Result<Call, Failure> {
    let start = Instant::now();
    let opened = connections.open(to, timeouts, start, || dial(to)).await;
    opened.map(call)
}

fn head(path: &str) -> RequestHead {
    let mut head = RequestHead::new(http::Method::POST, path).expect("a head");
    for (name, value) in [
        ("host", "peer.test"),
        ("connection", "keep-alive, x-hop"),
        ("transfer-encoding", "chunked"),
        ("x-hop", "gone"),
        ("x-kept", "kept"),
    ] {
        head.headers.set(name, value).expect("a header");
    }
    head
}

async fn body(call: &mut Call) -> Result<Vec<u8>, Failure> {
    let mut all = Vec::new();
    while let Some(part) = call.chunk().await? {
        all.extend_from_slice(&part);
    }
    Ok(all)
}

fn full(body: impl Into<Bytes>) -> Answer {
    Response::new(Full::new(body.into()).boxed())
}

async fn echo(request: Request<Incoming>) -> Answer {
    let body = request.into_body().collect().await.expect("whole");
    full(body.to_bytes())
}

/// A peer by hand: `script` gets each connection.
async fn by_hand<F>(
    script: impl Fn(h2::server::Connection<TcpStream, Bytes>) -> F + Send + 'static,
) -> Destination
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let to = plain(listener.local_addr().expect("bound"));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let connection = h2::server::handshake(stream).await.expect("HTTP/2");
            tokio::spawn(script(connection));
        }
    });
    to
}

#[tokio::test]
async fn many_requests_at_once_share_one_connection_and_every_body_arrives_whole() {
    let (to, accepted) = peer(200, echo).await;
    let connections = Arc::new(Connections::default());
    let mut calls = tokio::task::JoinSet::new();
    for n in 0..32_u8 {
        let connections = Arc::clone(&connections);
        calls.spawn(async move {
            // Beyond every window, so that both directions are held back and go on.
            let sent = Bytes::from(vec![n; usize::from(n) * 40_000]);
            let mut call = open(&connections, to).await.expect("open");
            let answer = call.ask(&head("/echo"), sent.clone()).await.expect("head");
            assert_eq!(answer.status, 200);
            assert_eq!(body(&mut call).await.expect("whole"), sent);
            assert!(call.is_done());
        });
    }
    while let Some(call) = calls.join_next().await {
        call.expect("served");
    }
    let (mut one, mut two) = (
        open(&connections, to).await.expect("open"),
        open(&connections, to).await.expect("open"),
    );
    let (large, small) = (Bytes::from(vec![1; 2 << 20]), Bytes::from(vec![2; 10]));
    let (head_one, head_two) = (head("/one"), head("/two"));
    let (first, second) = tokio::join!(
        async {
            one.ask(&head_one, large.clone()).await.expect("head");
            body(&mut one).await.expect("whole")
        },
        async {
            two.ask(&head_two, small.clone()).await.expect("head");
            body(&mut two).await.expect("whole")
        }
    );
    assert!(first == large && second == small);
    assert_eq!(accepted.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn the_head_is_that_of_http2_and_the_answer_reads_like_one_of_http1() {
    let (to, _) = peer(10, |request| async move {
        let headers = request.headers();
        assert!(!headers.contains_key("connection") && !headers.contains_key("x-hop"));
        assert!(!headers.contains_key("transfer-encoding") && !headers.contains_key("host"));
        let shown = format!(
            "{} {} {}",
            request.uri(),
            request.headers()["x-kept"].to_str().expect("text"),
            request.method()
        );
        full(shown)
    })
    .await;
    let connections = Connections::default();
    let mut call = open(&connections, to).await.expect("open");
    assert!(!call.reused());
    let answer = call
        .ask(&head("/a/b?c=d"), Bytes::new())
        .await
        .expect("head");
    assert_eq!(answer.version, http::Version::HTTP_11);
    let shown = String::from_utf8(body(&mut call).await.expect("whole")).expect("text");
    assert_eq!(shown, "http://peer.test/a/b?c=d kept POST");
    assert!(open(&connections, to).await.expect("open").reused());
}

#[tokio::test]
async fn a_body_can_be_sent_piece_by_piece_and_trailers_come_after_the_answer() {
    let (to, _) = peer(10, |request| async move {
        let body = request.into_body().collect().await.expect("whole");
        let mut trailers = http::HeaderMap::new();
        trailers.insert("x-sum", body.to_bytes().len().into());
        let (frames, stream) = mpsc::channel(2);
        frames
            .send(Frame::data(Bytes::from("done")))
            .await
            .expect("room");
        frames.send(Frame::trailers(trailers)).await.expect("room");
        drop(frames);
        Response::new(Frames(stream).boxed())
    })
    .await;
    let connections = Connections::default();
    let mut call = open(&connections, to).await.expect("open");
    call.send_head(&head("/"), false).expect("sent");
    for _ in 0..3 {
        call.send_body(Bytes::from("12345"), false)
            .await
            .expect("sent");
    }
    call.send_body(Bytes::new(), true).await.expect("sent");
    assert_eq!(call.head().await.expect("head").status, 200);
    assert_eq!(body(&mut call).await.expect("whole"), b"done");
    let trailers = call.take_trailers().expect("there");
    assert_eq!(trailers["x-sum"], "15");
}

/// A body of the frames that are sent to it.
struct Frames(mpsc::Receiver<Frame<Bytes>>);

impl hyper::body::Body for Frames {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(context).map(|frame| frame.map(Ok))
    }
}

#[tokio::test]
async fn a_call_that_is_dropped_is_cancelled_and_the_connection_serves_the_next() {
    let (cancelled, mut reasons) = mpsc::unbounded_channel();
    let to = by_hand(move |mut connection| {
        let cancelled = cancelled.clone();
        async move {
            let mut number = 0;
            while let Some(Ok((_, mut respond))) = connection.accept().await {
                number += 1;
                let cancelled = cancelled.clone();
                tokio::spawn(async move {
                    let mut stream = respond
                        .send_response(Response::new(()), number == 2)
                        .expect("sent");
                    if number == 1 {
                        stream.send_data(Bytes::from("first"), false).expect("sent");
                        let reason = std::future::poll_fn(|cx| stream.poll_reset(cx)).await;
                        let _ = cancelled.send(reason.expect("reset"));
                    }
                });
            }
        }
    })
    .await;
    let connections = Connections::default();
    let mut call = open(&connections, to).await.expect("open");
    call.ask(&head("/"), Bytes::new()).await.expect("head");
    assert_eq!(call.chunk().await, Ok(Some(Bytes::from("first"))));
    drop(call);
    assert_eq!(reasons.recv().await, Some(Reason::CANCEL));
    let mut next = open(&connections, to).await.expect("open");
    assert!(next.reused());
    next.ask(&head("/"), Bytes::new()).await.expect("head");
    assert!(next.is_done());
}

#[tokio::test]
async fn a_peer_that_wants_fewer_requests_at_once_gets_a_second_connection() {
    let (to, accepted) = peer(2, echo).await;
    let connections = Connections::default();
    let mut first = open(&connections, to).await.expect("open");
    // The peer's settings are known once it has answered.
    first.ask(&head("/"), Bytes::new()).await.expect("head");
    let _second = open(&connections, to).await.expect("open");
    assert_eq!(accepted.load(Ordering::SeqCst), 1);
    let third = open(&connections, to).await.expect("open");
    assert!(!third.reused());
    while accepted.load(Ordering::SeqCst) < 2 {
        tokio::task::yield_now().await;
    }
    drop(first);
    assert!(open(&connections, to).await.expect("open").reused());
}

#[tokio::test]
async fn a_refusal_in_the_middle_of_the_body_is_heard() {
    let to = by_hand(|mut connection| async move {
        while let Some(Ok((_, mut respond))) = connection.accept().await {
            let answer = Response::builder().status(413).body(()).expect("an answer");
            // Dropped unread behind a complete answer, the body is refused with NO_ERROR.
            respond.send_response(answer, true).expect("sent");
        }
    })
    .await;
    let connections = Connections::default();
    let mut call = open(&connections, to).await.expect("open");
    let answer = call.ask(&head("/"), Bytes::from(vec![0; 4 << 20])).await;
    assert_eq!(answer.map(|head| head.status.as_u16()), Ok(413));
}

#[tokio::test]
async fn after_a_goodbye_the_next_request_goes_on_a_new_connection() {
    let to = by_hand(|mut connection| async move {
        let mut served = 0;
        while let Some(Ok((_, mut respond))) = connection.accept().await {
            respond
                .send_response(Response::new(()), true)
                .expect("sent");
            served += 1;
            if served == 1 {
                connection.graceful_shutdown();
            }
        }
    })
    .await;
    let connections = Connections::default();
    for _ in 0..3 {
        let mut call = open(&connections, to).await.expect("open");
        call.ask(&head("/"), Bytes::new()).await.expect("head");
        drop(call);
        // Until the goodbye has been read, the connection looks open; a failure then is the caller's to retry.
        while connections.0.get(&to).is_some_and(|shared| {
            shared
                .connections
                .try_lock()
                .is_ok_and(|list| list.iter().any(connection::Connection::is_open))
        }) {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn silence_ends_a_call_before_and_in_the_middle_of_the_answer_and_hurts_no_other() {
    let to = by_hand(|mut connection| async move {
        let mut held = Vec::new();
        while let Some(Ok((request, mut respond))) = connection.accept().await {
            match request.uri().path() {
                "/never" => held.push((None, respond)),
                "/half" => {
                    let stream = respond
                        .send_response(Response::new(()), false)
                        .expect("sent");
                    held.push((Some(stream), respond));
                }
                _ => {
                    respond
                        .send_response(Response::new(()), true)
                        .expect("sent");
                }
            }
        }
    })
    .await;
    let connections = Connections::default();
    let short = Duration::from_millis(20);
    let hasty = Timeouts {
        first_byte: short,
        ..TIMEOUTS
    };
    let mut call = open_within(&connections, to, hasty).await.expect("open");
    let never = call.ask(&head("/never"), Bytes::new()).await;
    assert_eq!(never.map(drop), Err(Failure::FirstByteTimeout));
    let hasty = Timeouts {
        between_chunks: short,
        ..TIMEOUTS
    };
    let mut call = open_within(&connections, to, hasty).await.expect("open");
    call.ask(&head("/half"), Bytes::new()).await.expect("head");
    assert_eq!(call.chunk().await, Err(Failure::BetweenChunksTimeout));
    let hasty = Timeouts {
        total: short,
        ..TIMEOUTS
    };
    let mut call = open_within(&connections, to, hasty).await.expect("open");
    let never = call.ask(&head("/never"), Bytes::new()).await;
    assert_eq!(never.map(drop), Err(Failure::TotalTimeout));
    let mut call = open(&connections, to).await.expect("open");
    assert!(call.reused());
    call.ask(&head("/"), Bytes::new()).await.expect("head");
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_never_taken_for_whole() {
    let to = by_hand(|mut connection| async move {
        while let Some(Ok((_, mut respond))) = connection.accept().await {
            let mut stream = respond
                .send_response(Response::new(()), false)
                .expect("sent");
            stream.send_data(Bytes::from("half"), false).expect("sent");
            stream.send_reset(Reason::INTERNAL_ERROR);
        }
    })
    .await;
    let connections = Connections::default();
    let mut call = open(&connections, to).await.expect("open");
    let whole = async {
        call.ask(&head("/"), Bytes::new()).await?;
        body(&mut call).await
    };
    let failed = whole.await.expect_err("broken");
    assert!(
        matches!(failed, Failure::Broken(_) | Failure::Reset(_)),
        "{failed}"
    );
    assert!(!call.is_done());
}

#[tokio::test]
async fn a_peer_that_is_not_there_or_does_not_speak_http2_is_a_failure_to_connect_or_a_reset() {
    let nobody = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let to = plain(nobody.local_addr().expect("bound"));
    drop(nobody);
    let connections = Connections::default();
    let failed = open(&connections, to).await.map(drop);
    assert!(matches!(failed, Err(Failure::Connect(_))), "{failed:?}");

    let old = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let to = plain(old.local_addr().expect("bound"));
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = old.accept().await {
            use tokio::io::AsyncWriteExt;
            let said = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n";
            stream.write_all(said).await.expect("sent");
        }
    });
    let asked = async {
        let mut call = open(&connections, to).await?;
        call.ask(&head("/"), Bytes::new()).await
    };
    let failed = asked.await.map(drop);
    assert!(
        matches!(failed, Err(Failure::Connect(_) | Failure::Reset(_))),
        "{failed:?}"
    );
}

#[tokio::test]
async fn a_sweep_closes_what_was_idle_since_the_last_one() {
    let (ended, mut ends) = mpsc::unbounded_channel();
    let to = by_hand(move |mut connection| {
        let ended = ended.clone();
        async move {
            while let Some(Ok((_, mut respond))) = connection.accept().await {
                respond
                    .send_response(Response::new(()), true)
                    .expect("sent");
            }
            let _ = ended.send(());
        }
    })
    .await;
    let connections = Connections::default();
    let mut call = open(&connections, to).await.expect("open");
    call.ask(&head("/"), Bytes::new()).await.expect("head");
    connections.sweep();
    connections.sweep();
    assert_eq!(connections.0.len(), 1, "a call is on it");
    drop(call);
    connections.sweep();
    assert_eq!(connections.0.len(), 1, "it was used since");
    connections.sweep();
    assert!(connections.0.is_empty());
    ends.recv().await.expect("closed");
}

#[tokio::test]
async fn a_peer_that_chooses_http1_gets_it_and_its_connections_are_opened_side_by_side() {
    let (to, _) = peer(10, echo).await;
    let connections = Connections::default();
    let old = || async { dial(to).await.map(|(stream, _)| (stream, Spoken::Http1)) };
    let opened = connections.open(to, TIMEOUTS, Instant::now(), old).await;
    assert!(matches!(opened, Ok(Opened::Http1(_))));
    // Each is opened while the other is: were there a turn to wait for, neither would end.
    let both = tokio::sync::Barrier::new(2);
    let meeting = || async {
        both.wait().await;
        old().await
    };
    let (one, two) = tokio::join!(
        connections.open(to, TIMEOUTS, Instant::now(), meeting),
        connections.open(to, TIMEOUTS, Instant::now(), meeting)
    );
    assert!(matches!(
        (one, two),
        (Ok(Opened::Http1(_)), Ok(Opened::Http1(_)))
    ));
    // After an upgrade of the peer.
    assert!(!open(&connections, to).await.expect("open").reused());
    assert!(open(&connections, to).await.expect("open").reused());
}

/// Time stands still but for the timers of the connection.
#[tokio::test(start_paused = true)]
async fn a_peer_that_answers_no_ping_is_given_up_long_before_the_answer_is_due() {
    use tokio::io::AsyncReadExt;
    let connections = Connections::default();
    let (ours, mut theirs) = tokio::io::duplex(1 << 20);
    let to = plain("127.0.0.1:1".parse().expect("an address"));
    let dead = || async { Ok((Box::new(ours) as Stream, Spoken::Http2)) };
    let hour = Timeouts {
        first_byte: Duration::from_secs(3600),
        total: Duration::from_secs(3600),
        ..TIMEOUTS
    };
    let opened = connections.open(to, hour, Instant::now(), dead).await;
    let mut call = call(opened.expect("open"));
    let reading = tokio::spawn(async move {
        let mut taken = Vec::new();
        theirs.read_to_end(&mut taken).await
    });
    let failed = call.ask(&head("/"), Bytes::new()).await.map(drop);
    assert!(matches!(failed, Err(Failure::Reset(_))), "{failed:?}");
    reading.await.expect("runs").expect("closed");
}
