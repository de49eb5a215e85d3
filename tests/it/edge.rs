//! The edges of HTTP: answers without bodies, methods nobody thinks of, sizes at the borders.

use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::support::gate::Gate;
use crate::support::peer::{Peer, Wire};
use crate::support::raw::{LONG, Raw, post};
use crate::support::strict::{Framing, Message, Reader};

/// Asks on one connection and reads the answers strictly.
struct Asking(Reader<tokio::net::TcpStream>);

impl Asking {
    async fn of(gate: &Gate) -> Self {
        Self(Reader::new(Raw::connect(gate).await.0))
    }

    async fn ask(&mut self, request: impl AsRef<[u8]>) -> Message {
        use tokio::io::AsyncWriteExt;
        let bodiless = request.as_ref().starts_with(b"HEAD ");
        let to = self.0.get_mut();
        to.write_all(request.as_ref()).await.expect("sent");
        timeout(LONG, self.0.answer(bodiless))
            .await
            .expect("an answer in time")
            .unwrap_or_else(|broken| panic!("{broken}"))
            .expect("an answer")
    }
}

/// A peer that answers by the path, and keeps its connections.
async fn peer() -> Peer {
    Peer::start(|mut wire: Wire, _| async move {
        while let Some(request) = wire.request().await? {
            let path = request.line.split(' ').nth(1).unwrap_or("").to_owned();
            let answer = match path.as_str() {
                "/head" => "HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n",
                "/head-chunked" => "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
                "/204" => "HTTP/1.1 204 No Content\r\n\r\n",
                "/204-length" => "HTTP/1.1 204 No Content\r\ncontent-length: 5\r\n\r\n",
                "/two-framings" => "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
                "/said-twice" => "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 2\r\n\r\nok",
                "/listed-twice" => "HTTP/1.1 200 OK\r\ncontent-length: 2, 2\r\n\r\nok",
                "/trailers" => "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\ncontent-length: 9\r\nconnection: close\r\nx-sum: 1\r\n\r\n",
                "/304" => "HTTP/1.1 304 Not Modified\r\netag: \"x\"\r\n\r\n",
                "/early" => "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
                "/empty" => "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
                "/no-reason" => "HTTP/1.1 200 \r\ncontent-length: 2\r\n\r\nok",
                "/cookies" => "HTTP/1.1 200 OK\r\nset-cookie: a=1\r\nset-cookie: b=2\r\ncontent-length: 2\r\n\r\nok",
                "/hop" => "HTTP/1.1 200 OK\r\nconnection: x-hop\r\nx-hop: 1\r\nkeep-alive: timeout=5\r\nproxy-authenticate: x\r\nx-kept: 1\r\ncontent-length: 2\r\n\r\nok",
                _ => {
                    wire.json(200, &request.digest()).await?;
                    continue;
                }
            };
            wire.raw(answer).await?;
        }
        Ok(())
    })
    .await
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: t\r\n\r\n")
}

#[tokio::test]
async fn answers_without_a_body_leave_the_connection_in_step() {
    let peer = peer().await;
    let gate = Gate::before(&[peer.address], "").await;
    let mut asking = Asking::of(&gate).await;
    for (request, status) in [
        ("HEAD /head HTTP/1.1\r\nhost: t\r\n\r\n".to_owned(), 200),
        (
            "HEAD /head-chunked HTTP/1.1\r\nhost: t\r\n\r\n".to_owned(),
            200,
        ),
        (get("/204"), 204),
        (get("/304"), 304),
        (get("/empty"), 200),
    ] {
        let answer = asking.ask(&request).await;
        assert_eq!(answer.status(), status, "{request}");
        assert!(answer.body.is_empty(), "{request}: {answer:?}");
        let next = asking.ask(get("/next")).await;
        assert!(
            String::from_utf8_lossy(&next.body).contains("/next"),
            "after {request}: {next:?}"
        );
    }
    let answer = asking.ask("HEAD /head HTTP/1.1\r\nhost: t\r\n\r\n").await;
    assert_eq!(answer.header("content-length").as_deref(), Some("1000000"));
    let answer = asking.ask(get("/204")).await;
    assert_eq!(answer.all("content-length"), Vec::<String>::new());
    assert_eq!(answer.all("transfer-encoding"), Vec::<String>::new());
    gate.is_at_rest().await;
}

#[tokio::test]
async fn an_answer_reaches_the_client_with_one_framing_however_many_the_peer_names() {
    let peer = peer().await;
    let gate = Gate::before(&[peer.address], "").await;
    let mut asking = Asking::of(&gate).await;
    for (path, framing, lengths) in [
        ("/two-framings", Framing::Chunked, &[][..]),
        ("/said-twice", Framing::Length, &["2"]),
        ("/listed-twice", Framing::Length, &["2"]),
    ] {
        let answer = asking.ask(get(path)).await;
        assert_eq!(answer.framing, framing, "{path}");
        assert_eq!(answer.all("content-length"), lengths, "{path}");
        assert_eq!(answer.body, b"ok", "{path}");
    }
    let answer = asking.ask(get("/204-length")).await;
    assert_eq!(answer.all("content-length"), Vec::<String>::new());
    let answer = asking.ask(get("/trailers")).await;
    let trailers: Vec<&str> = answer
        .trailers
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    assert_eq!(
        (answer.body.as_slice(), trailers),
        (&b"ok"[..], vec!["x-sum"])
    );
    gate.is_at_rest().await;
}

#[tokio::test]
async fn methods_pass_as_they_are_with_and_without_a_body() {
    let peer = peer().await;
    let gate = Gate::before(&[peer.address], "").await;
    let mut asking = Asking::of(&gate).await;
    for method in [
        "OPTIONS", "DELETE", "PATCH", "PUT", "GET", "PROPFIND", "M-SEARCH",
    ] {
        for body in ["", "some body"] {
            let request = post("/any", "", body.as_bytes());
            let request = String::from_utf8(request).expect("text");
            let answer = asking.ask(request.replacen("POST", method, 1)).await;
            let told = String::from_utf8_lossy(&answer.body).into_owned();
            assert!(
                told.contains(&format!("\"{method} /any HTTP/1.1\"")),
                "{told}"
            );
            assert!(
                told.contains(&format!("\"bytes\":{}", body.len())),
                "{told}"
            );
        }
    }
    let answer = asking.ask("OPTIONS * HTTP/1.1\r\nhost: t\r\n\r\n").await;
    assert_eq!(answer.status(), 200);
    gate.is_at_rest().await;
}

#[tokio::test]
async fn heads_pass_but_for_what_belongs_to_one_hop() {
    let peer = peer().await;
    let gate = Gate::before(&[peer.address], "").await;
    let mut asking = Asking::of(&gate).await;
    let answer = asking.ask(get("/cookies")).await;
    assert_eq!(answer.all("set-cookie"), ["a=1", "b=2"]);
    let answer = asking.ask(get("/no-reason")).await;
    assert_eq!(answer.body, b"ok");
    let answer = asking.ask(get("/hop")).await;
    assert_eq!(answer.header("x-kept").as_deref(), Some("1"));
    for gone in ["x-hop", "keep-alive"] {
        assert_eq!(answer.all(gone), Vec::<String>::new(), "{gone}");
    }
    let answer = asking.ask(get("/early")).await;
    assert_eq!((answer.status(), answer.body.as_slice()), (200, &b"ok"[..]));
    assert_eq!(answer.framing, Framing::Length);
    gate.is_at_rest().await;
}

#[tokio::test]
async fn the_peer_never_sees_what_the_client_says_of_its_own_hop() {
    let (told, mut heads) = mpsc::unbounded_channel();
    let peer = Peer::start(move |mut wire: Wire, _| {
        let told = told.clone();
        async move {
            while let Some(request) = wire.request().await? {
                let _ = told.send(request);
                wire.json(200, "{}").await?;
            }
            Ok(())
        }
    })
    .await;
    let gate = Gate::before(&[peer.address], "").await;
    let mut asking = Asking::of(&gate).await;
    asking
        .ask("GET /x HTTP/1.1\r\nhost: t\r\nconnection: keep-alive, x-hop, x-other\r\nx-hop: 1\r\nx-other: 2\r\nkeep-alive: 5\r\nte: gzip\r\nproxy-connection: keep-alive\r\nupgrade: h2c\r\nx-kept: 1\r\n\r\n")
        .await;
    let head = heads.recv().await.expect("reached");
    for gone in [
        "x-hop",
        "x-other",
        "keep-alive",
        "te",
        "proxy-connection",
        "upgrade",
    ] {
        assert_eq!(head.header(gone), None, "{gone}");
    }
    assert_eq!(head.header("x-kept"), Some("1"));
    gate.is_at_rest().await;
}
