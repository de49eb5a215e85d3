//! Clients that are slow, silent, too large or too many lose their connection, and nobody else notices.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::support::client;
use crate::support::gate::Gate;
use crate::support::peer::{Peer, Wire};
use crate::support::raw::{LONG, Raw};
use crate::support::until;

/// Between two bytes of a client that trickles; far below the limits that the tests set.
const TRICKLE: Duration = Duration::from_millis(20);

/// A client that behaves, and must be served as long as it lives.
struct Bystander {
    served: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl Bystander {
    fn of(gate: &Gate) -> Self {
        let (served, stop) = (
            Arc::new(AtomicUsize::new(0)),
            Arc::new(AtomicBool::new(false)),
        );
        let (count, stopped, address) = (Arc::clone(&served), Arc::clone(&stop), gate.address);
        let task = tokio::spawn(async move {
            while !stopped.load(Ordering::SeqCst) {
                let answer = client::get(address, "/bystander").await.expect("served");
                assert_eq!(answer.status, 200);
                count.fetch_add(1, Ordering::SeqCst);
            }
        });
        Self { served, stop, task }
    }

    /// Ends it, after it has been served once more: also after what the test did.
    async fn was_served(self) {
        let before = self.served.load(Ordering::SeqCst);
        until("the bystander is served", || async {
            self.task.is_finished() || self.served.load(Ordering::SeqCst) > before + 1
        })
        .await;
        self.stop.store(true, Ordering::SeqCst);
        self.task.await.expect("it was served throughout");
    }
}

/// Reads until the gate closes; what it said, if anything.
async fn until_closed(stream: &mut (impl AsyncReadExt + Unpin)) -> String {
    let mut all = Vec::new();
    // A reset is a close as well.
    let _ = timeout(LONG, stream.read_to_end(&mut all))
        .await
        .expect("the gate closes");
    String::from_utf8_lossy(&all).into_owned()
}

/// Sends `unit` again and again until the gate closes; what it said, if anything.
async fn trickle(stream: TcpStream, unit: &'static [u8]) -> String {
    let (mut reading, mut writing) = stream.into_split();
    let sending = tokio::spawn(async move {
        while writing.write_all(unit).await.is_ok() {
            tokio::time::sleep(TRICKLE).await;
        }
    });
    let said = until_closed(&mut reading).await;
    sending.abort();
    said
}

fn refused_for_time(said: &str) {
    assert!(
        said.is_empty() || said.starts_with("HTTP/1.1 408"),
        "{said}"
    );
}

#[tokio::test]
async fn a_head_that_is_not_complete_in_time_is_not_waited_for() {
    let peer = Peer::mirror().await;
    let gate = Gate::before(
        &[peer.address],
        "client: { header_timeout: 500ms, idle_timeout: 500ms }\n",
    )
    .await;
    let bystander = Bystander::of(&gate);
    let mut raw = Raw::connect(&gate).await;
    raw.send("GET /slow HTTP/1.1\r\nhost: t\r\n").await;
    refused_for_time(&trickle(raw.0, b"x: y\r\n").await);
    let mut silent = Raw::connect(&gate).await;
    refused_for_time(&until_closed(&mut silent.0).await);
    bystander.was_served().await;
    gate.is_at_rest().await;
}

#[tokio::test]
async fn the_head_of_a_second_request_has_the_same_time() {
    let peer = Peer::mirror().await;
    let gate = Gate::before(&[peer.address], "client: { header_timeout: 500ms }\n").await;
    let mut raw = Raw::connect(&gate).await;
    raw.send("GET /one HTTP/1.1\r\nhost: t\r\n\r\n").await;
    raw.answer().await.expect("an answer");
    raw.send("GET /two HTTP/1.1\r\n").await;
    refused_for_time(&trickle(raw.0, b"x: y\r\n").await);
    gate.is_at_rest().await;
}

#[tokio::test]
async fn a_body_that_stops_coming_is_given_up_and_so_is_its_peer() {
    let (closed, mut closes) = mpsc::unbounded_channel();
    let peer = Peer::start(move |mut wire: Wire, _| {
        let closed = closed.clone();
        async move {
            match wire.head().await? {
                Some(request) if request.line.contains("/bystander") => wire.json(200, "{}").await,
                _ => wire.report_close(closed).await,
            }
        }
    })
    .await;
    let gate = Gate::before(&[peer.address], "client: { body_timeout: 500ms }\n").await;
    let bystander = Bystander::of(&gate);
    for path in ["/upload", "/v1/chat/completions"] {
        let mut raw = Raw::connect(&gate).await;
        raw.send(format!(
            "POST {path} HTTP/1.1\r\nhost: t\r\ncontent-length: 1000\r\n\r\n{{\"model\":"
        ))
        .await;
        refused_for_time(&until_closed(&mut raw.0).await);
    }
    timeout(LONG, closes.recv())
        .await
        .expect("the peer is let go")
        .expect("closed");
    bystander.was_served().await;
    gate.is_at_rest().await;
}

#[tokio::test]
async fn a_body_that_comes_too_slowly_is_given_up_and_one_above_the_rate_is_not() {
    let peer = Peer::mirror().await;
    let gate = Gate::before(
        &[peer.address],
        "client: { body_timeout: 5s, min_rate: 5000 }\n",
    )
    .await;
    let bystander = Bystander::of(&gate);
    let head = |length: usize| {
        format!("POST /upload HTTP/1.1\r\nhost: t\r\ncontent-length: {length}\r\n\r\n")
    };
    let slow = async {
        let mut raw = Raw::connect(&gate).await;
        raw.send(head(1 << 30)).await;
        refused_for_time(&trickle(raw.0, b"slow").await);
    };
    let steady = async {
        let mut raw = Raw::connect(&gate).await;
        let part = vec![b'x'; 1000];
        raw.send(head(600 * part.len())).await;
        for _ in 0..600 {
            raw.send(&part).await;
            tokio::time::sleep(TRICKLE).await;
        }
        let (head, _) = raw.answer().await.expect("an answer");
        assert!(head.starts_with("http/1.1 200"), "{head}");
    };
    tokio::join!(slow, steady);
    bystander.was_served().await;
    gate.is_at_rest().await;
}

#[tokio::test]
async fn an_idle_connection_is_closed_and_one_in_use_is_not() {
    let (reached, mut reaches) = mpsc::unbounded_channel();
    let (go, gone) = tokio::sync::watch::channel(false);
    let peer = Peer::start(move |mut wire: Wire, _| {
        let (reached, mut gone) = (reached.clone(), gone.clone());
        async move {
            while let Some(request) = wire.request().await? {
                if request.line.contains("/long") {
                    let _ = reached.send(());
                    gone.wait_for(|go| *go).await.map_err(io::Error::other)?;
                }
                wire.json(200, "{}").await?;
            }
            Ok(())
        }
    })
    .await;
    let gate = Gate::before(&[peer.address], "client: { idle_timeout: 500ms }\n").await;
    let mut busy = Raw::connect(&gate).await;
    busy.send("GET /long HTTP/1.1\r\nhost: t\r\n\r\n").await;
    reaches.recv().await.expect("the peer has the request");
    let mut idle = Raw::connect(&gate).await;
    for _ in 0..2 {
        idle.send("GET /x HTTP/1.1\r\nhost: t\r\n\r\n").await;
        let (head, _) = idle.answer().await.expect("an answer");
        assert!(head.starts_with("http/1.1 200"), "{head}");
    }
    assert_eq!(until_closed(&mut idle.0).await, "");
    go.send(true).expect("the peer waits");
    let (head, _) = busy.answer().await.expect("a late answer is not idleness");
    assert!(head.starts_with("http/1.1 200"), "{head}");
    gate.is_at_rest().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_takes_nothing_is_given_up_and_so_is_its_peer() {
    let (closed, mut closes) = mpsc::unbounded_channel();
    let peer = Peer::start(move |mut wire: Wire, _| {
        let closed = closed.clone();
        async move {
            match wire.request().await? {
                Some(request) if request.line.contains("/bystander") => {
                    return wire.json(200, "{}").await;
                }
                _ => wire.events().await?,
            }
            while wire.chunk(vec![b'x'; 60_000]).await.is_ok() {}
            let _ = closed.send(());
            Ok(())
        }
    })
    .await;
    let gate = Gate::before(&[peer.address], "client: { write_timeout: 500ms }\n").await;
    let bystander = Bystander::of(&gate);
    let mut raw = Raw::connect(&gate).await;
    raw.send("GET /endless HTTP/1.1\r\nhost: t\r\n\r\n").await;
    timeout(LONG, closes.recv())
        .await
        .expect("the peer is let go")
        .expect("closed");
    bystander.was_served().await;
    gate.is_at_rest().await;
}

/// A connection from another address of this machine.
async fn connect_from(from: &str, gate: &Gate) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    let from: SocketAddr = format!("{from}:0").parse().expect("an address");
    socket.bind(from).expect("binds");
    socket.connect(gate.address).await.expect("connects")
}

/// Whether a request on this connection is answered with 200.
async fn is_served(stream: &mut TcpStream) -> bool {
    let asked = stream
        .write_all(b"GET /x HTTP/1.1\r\nhost: t\r\n\r\n")
        .await;
    let mut start = [0; 12];
    let read = timeout(LONG, stream.read_exact(&mut start))
        .await
        .expect("an answer or a close");
    asked.is_ok() && read.is_ok() && start == *b"HTTP/1.1 200"
}

#[tokio::test]
async fn an_address_has_no_more_connections_than_it_may_and_others_have_theirs() {
    let peer = Peer::mirror().await;
    let gate = Gate::before(
        &[peer.address],
        "client: { max_connections_per_address: 3 }\n",
    )
    .await;
    let mut held = Vec::new();
    until("three connections are open", || async {
        let mut stream = connect_from("127.0.0.2", &gate).await;
        is_served(&mut stream).await
    })
    .await;
    while held.len() < 3 {
        let mut stream = connect_from("127.0.0.2", &gate).await;
        // One that the loop above has just closed may still count.
        if is_served(&mut stream).await {
            held.push(stream);
        }
    }
    let mut fourth = connect_from("127.0.0.2", &gate).await;
    assert!(!is_served(&mut fourth).await, "the fourth is refused");
    let mut other = connect_from("127.0.0.3", &gate).await;
    assert!(is_served(&mut other).await, "another address is served");
    held.pop();
    until("a place is free again", || async {
        let mut stream = connect_from("127.0.0.2", &gate).await;
        is_served(&mut stream).await
    })
    .await;
    gate.is_at_rest().await;
}

#[tokio::test]
async fn no_more_connections_are_taken_than_there_may_be_and_those_there_are_go_on() {
    let peer = Peer::mirror().await;
    let gate = Gate::before(&[peer.address], "client: { max_connections: 4 }\n").await;
    let mut held = Vec::new();
    until("four connections are open", || async {
        TcpStream::connect(gate.address).await.is_ok()
    })
    .await;
    while held.len() < 4 {
        let mut stream = TcpStream::connect(gate.address).await.expect("connects");
        if is_served(&mut stream).await {
            held.push(stream);
        }
    }
    let mut fifth = TcpStream::connect(gate.address).await.expect("connects");
    // Refused, or left waiting in the backlog until there is a place.
    let refused = timeout(Duration::from_millis(500), is_served(&mut fifth)).await;
    assert!(!refused.unwrap_or(false), "the fifth is not served");
    drop(fifth);
    drop(held);
    until("a place is free again", || async {
        let mut stream = TcpStream::connect(gate.address).await.expect("connects");
        is_served(&mut stream).await
    })
    .await;
    gate.is_at_rest().await;
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused_with_431_or_414_and_reaches_no_peer() {
    let peer = Peer::mirror().await;
    let gate = Gate::before(&[peer.address], "client: { max_header_bytes: 4KiB }\n").await;
    let long = "x".repeat(5000);
    let many = "x: y\r\n".repeat(1000);
    for (status, head) in [
        (
            431,
            format!("GET /x HTTP/1.1\r\nhost: t\r\nx: {long}\r\n\r\n"),
        ),
        (414, format!("GET /{long} HTTP/1.1\r\nhost: t\r\n\r\n")),
        (431, format!("GET /x HTTP/1.1\r\nhost: t\r\n{many}\r\n")),
        (431, format!("GET /x HTTP/1.1\r\nhost: t\r\nx: {long}")),
    ] {
        let mut raw = Raw::connect(&gate).await;
        raw.send(&head).await;
        let said = until_closed(&mut raw.0).await;
        let expected = format!("HTTP/1.1 {status}");
        assert!(said.starts_with(&expected), "{}: {said}", &head[..20]);
    }
    assert_eq!(peer.connections(), 0);
    let mut raw = Raw::connect(&gate).await;
    raw.send(format!(
        "GET /x HTTP/1.1\r\nhost: t\r\nx: {}\r\n\r\n",
        &long[..3000]
    ))
    .await;
    let (head, _) = raw.answer().await.expect("an answer");
    assert!(head.starts_with("http/1.1 200"), "{head}");
    gate.is_at_rest().await;
}
