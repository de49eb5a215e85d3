use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::SystemTime;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;

use super::*;
use crate::front::proxy_protocol::{self, Origin};
use crate::tls::testing::Authority;
use crate::tls::{MinVersion, Peers, client, server};

const LONG: Duration = Duration::from_secs(20);

async fn pair() -> (Stream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let address = listener.local_addr().expect("bound");
    let (theirs, ours) = tokio::join!(TcpStream::connect(address), listener.accept());
    (
        Box::new(Plain::from(ours.expect("accepts").0)),
        theirs.expect("connects"),
    )
}

fn listener(authority: &Authority) -> Arc<ServerConfig> {
    let files = [authority.issue("a", &["a.test"])];
    let built = server(&files, MinVersion::Tls12, true, SystemTime::now());
    built.expect("usable").config
}

#[tokio::test]
async fn a_client_is_accepted_with_its_name_and_protocol_and_bytes_flow_both_ways() {
    let authority = Authority::new();
    let config = listener(&authority);
    for (http2, spoken) in [(true, Spoken::Http2), (false, Spoken::Http1)] {
        let (ours, theirs) = pair().await;
        let settings = client(Peers::Of(&authority.file()), http2).expect("usable");
        let client = async {
            let name = "a.test".try_into().expect("a name");
            let mut stream = TlsConnector::from(settings.config)
                .connect(name, theirs)
                .await
                .expect("shaken");
            stream.write_all(b"ask").await.expect("sent");
            let mut answer = [0; 6];
            stream.read_exact(&mut answer).await.expect("answered");
            answer
        };
        let gate = async {
            let mut accepted = accept(ours, &config, LONG).await.expect("shaken");
            assert_eq!(accepted.spoken, spoken);
            assert_eq!(accepted.server_name.as_deref(), Some("a.test"));
            let mut asked = [0; 3];
            accepted.stream.read_exact(&mut asked).await.expect("asked");
            accepted.stream.write_all(b"answer").await.expect("sent");
            accepted.stream.flush().await.expect("sent");
        };
        let (answer, ()) = tokio::join!(client, gate);
        assert_eq!(&answer, b"answer");
    }
}

#[tokio::test]
async fn a_proxy_header_may_come_before_the_handshake_in_the_same_packet() {
    let authority = Authority::new();
    let config = listener(&authority);
    let (ours, theirs) = pair().await;
    let settings = client(Peers::Of(&authority.file()), true).expect("usable");
    let client = tokio::spawn(async move {
        let name = "a.test".try_into().expect("a name");
        let front = b"PROXY TCP4 192.0.2.7 192.0.2.8 4711 443\r\n";
        let stream = Fronted {
            stream: theirs,
            front: front.to_vec(),
        };
        let shaken = TlsConnector::from(settings.config)
            .connect(name, stream)
            .await;
        let mut stream = shaken.expect("shaken");
        stream.write_all(b"ask").await.expect("sent");
        stream
    });
    let (plain, origin) = proxy_protocol::take(ours, LONG).await.expect("a header");
    let Origin::Client { source, .. } = origin else {
        panic!("{origin:?}");
    };
    assert_eq!(source, "192.0.2.7:4711".parse().expect("an address"));
    let mut accepted = accept(plain, &config, LONG).await.expect("shaken");
    let mut asked = [0; 3];
    accepted.stream.read_exact(&mut asked).await.expect("asked");
    assert_eq!(&asked, b"ask");
    client.await.expect("runs");
}

/// Sends `front` in one piece with the first bytes that are written.
struct Fronted {
    stream: TcpStream,
    front: Vec<u8>,
}

impl AsyncRead for Fronted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Fronted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        let front = self.front.len();
        let all = [self.front.as_slice(), bytes].concat();
        let written = Pin::new(&mut self.stream).poll_write(context, &all);
        written.map_ok(|count| {
            assert_eq!(count, all.len(), "a new socket has room");
            self.front.clear();
            count - front
        })
    }

    fn poll_flush(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[tokio::test]
async fn plain_text_is_refused_and_silence_is_not_waited_for() {
    let config = listener(&Authority::new());
    let (ours, mut theirs) = pair().await;
    theirs
        .write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        .await
        .expect("sent");
    let refused = accept(ours, &config, LONG).await.expect_err("no TLS");
    assert!(matches!(refused, Refused::Handshake(_)), "{refused}");

    let (ours, _theirs) = pair().await;
    let refused = accept(ours, &config, Duration::from_millis(10)).await;
    assert_eq!(refused.expect_err("silent"), Refused::Slow);
}
