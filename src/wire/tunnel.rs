//! Two connections joined end to end.

use std::io;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};

use super::{Conn, Io, within};

/// Bytes that one direction holds.
const ROOM: usize = 16 * 1024;

/// Carries bytes both ways until one side ends, or neither says anything for `idle`. What already came on either
/// connection goes first, and what came before an end still arrives. Returns how many bytes went from `client` and from
/// `peer`.
pub async fn tunnel(client: Conn, peer: Conn, idle: Duration) -> (u64, u64) {
    let (client, from_client) = client.into_parts();
    let (peer, from_peer) = peer.into_parts();
    let (client_in, client_out) = tokio::io::split(client);
    let (peer_in, peer_out) = tokio::io::split(peer);
    let (mut up, mut down) = (
        Lane::new(client_in, peer_out, from_client),
        Lane::new(peer_in, client_out, from_peer),
    );
    while !(up.ended || down.ended) {
        // Each lane's step may be dropped and begun again, so that either one's progress starts a new silence for both.
        let step = async {
            tokio::select! {
                moved = up.step() => moved,
                moved = down.step() => moved,
            }
        };
        if !matches!(within(idle, step).await, Ok(Ok(()))) {
            break;
        }
    }
    (up.carried, down.carried)
}

/// One direction.
struct Lane {
    from: ReadHalf<Io>,
    to: WriteHalf<Io>,
    held: BytesMut,
    /// Bytes were written that may not have left yet.
    unflushed: bool,
    carried: u64,
    ended: bool,
}

impl Lane {
    fn new(from: ReadHalf<Io>, to: WriteHalf<Io>, held: BytesMut) -> Self {
        Self {
            from,
            to,
            held,
            unflushed: false,
            carried: 0,
            ended: false,
        }
    }

    /// Moves on by one read or one write. May be dropped and called again.
    async fn step(&mut self) -> io::Result<()> {
        if self.unflushed && self.held.is_empty() {
            self.to.flush().await?;
            self.unflushed = false;
        }
        if self.held.is_empty() {
            self.held.reserve(ROOM);
            if self.from.read_buf(&mut self.held).await? == 0 {
                self.ended = true;
                return self.to.shutdown().await;
            }
            return Ok(());
        }
        self.carried += self.to.write_buf(&mut self.held).await? as u64;
        self.unflushed = true;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::Pin;
    use std::sync::Arc;
    use std::task::{Context, Poll};

    use super::*;
    use pingora::protocols::raw_connect::ProxyDigest;
    use pingora::protocols::{
        GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl,
        TimingDigest, UniqueID, UniqueIDType,
    };
    use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
    use tokio::sync::oneshot;

    fn conn(first: &[u8]) -> (Conn, DuplexStream) {
        let (ours, theirs) = tokio::io::duplex(1024);
        let mut conn = Conn::new(Box::new(ours));
        conn.inbox.extend_from_slice(first);
        (conn, theirs)
    }

    #[tokio::test]
    async fn bytes_go_both_ways_until_one_side_ends() {
        let (client, mut at_client) = conn(b"early ");
        let (peer, mut at_peer) = conn(b"hello ");
        let joined = tokio::spawn(tunnel(client, peer, Duration::from_secs(10)));
        at_client.write_all(b"and late").await.expect("open");
        let mut got = [0; 14];
        at_peer.read_exact(&mut got).await.expect("whole");
        assert_eq!(&got, b"early and late");
        at_peer.write_all(b"there").await.expect("open");
        drop(at_peer);
        let mut got = String::new();
        at_client.read_to_string(&mut got).await.expect("text");
        assert_eq!(got, "hello there");
        assert_eq!(joined.await.expect("ends"), (14, 11));
    }

    /// A stream that keeps what is written until it is flushed, as TLS does when the socket below is full, and whose first
    /// flush waits for `ready`.
    #[derive(Debug)]
    struct Holding {
        inner: DuplexStream,
        held: Vec<u8>,
        ready: oneshot::Receiver<()>,
    }

    impl AsyncRead for Holding {
        fn poll_read(
            mut self: Pin<&mut Self>,
            context: &mut Context<'_>,
            into: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            Pin::new(&mut self.inner).poll_read(context, into)
        }
    }

    impl AsyncWrite for Holding {
        fn poll_write(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            self.held.extend_from_slice(bytes);
            Poll::Ready(Ok(bytes.len()))
        }

        fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
            if !self.ready.is_terminated() && Pin::new(&mut self.ready).poll(context).is_pending() {
                return Poll::Pending;
            }
            let held = std::mem::take(&mut self.held);
            if !held.is_empty() {
                // Smaller than what the pipe takes at once.
                let _ = Pin::new(&mut self.inner).poll_write(context, &held)?;
            }
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(
            mut self: Pin<&mut Self>,
            context: &mut Context<'_>,
        ) -> Poll<io::Result<()>> {
            Pin::new(&mut self.inner).poll_shutdown(context)
        }
    }

    #[async_trait::async_trait]
    impl Shutdown for Holding {
        async fn shutdown(&mut self) {}
    }
    impl UniqueID for Holding {
        fn id(&self) -> UniqueIDType {
            0
        }
    }
    impl Ssl for Holding {}
    impl GetTimingDigest for Holding {
        fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
            Vec::new()
        }
    }
    impl GetProxyDigest for Holding {
        fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
            None
        }
    }
    impl GetSocketDigest for Holding {
        fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
            None
        }
    }
    impl Peek for Holding {}

    #[tokio::test]
    async fn what_a_stream_holds_back_leaves_even_if_the_other_side_spoke_meanwhile() {
        let (ours, mut at_client) = tokio::io::duplex(1024);
        let (now_ready, ready) = oneshot::channel();
        let client = Conn::new(Box::new(Holding {
            inner: ours,
            held: Vec::new(),
            ready,
        }));
        let (peer, mut at_peer) = conn(b"");
        let joined = tokio::spawn(tunnel(client, peer, Duration::from_secs(600)));
        at_peer.write_all(b"to the client").await.expect("open");
        // Once this has passed, whichever side was first, the other's step was begun and dropped.
        let mut got = [0; 2];
        for _ in 0..20 {
            at_client.write_all(b"up").await.expect("open");
            at_peer.read_exact(&mut got).await.expect("whole");
        }
        now_ready.send(()).expect("awaited");
        let mut got = [0; 13];
        tokio::time::timeout(Duration::from_secs(20), at_client.read_exact(&mut got))
            .await
            .expect("nothing is left behind")
            .expect("whole");
        assert_eq!(&got, b"to the client");
        joined.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_pair_is_parted() {
        let (client, _at_client) = conn(b"");
        let (peer, _at_peer) = conn(b"");
        assert_eq!(tunnel(client, peer, Duration::from_secs(5)).await, (0, 0));
    }
}
