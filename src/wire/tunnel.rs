//! Two connections joined end to end.

use std::io;
use std::time::Duration;

use bytes::BytesMut;
use pingora::time::timeout;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};

use super::{Conn, Io};

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
        if !matches!(timeout(idle, step).await, Ok(Ok(()))) {
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
    carried: u64,
    ended: bool,
}

impl Lane {
    fn new(from: ReadHalf<Io>, to: WriteHalf<Io>, held: BytesMut) -> Self {
        Self {
            from,
            to,
            held,
            carried: 0,
            ended: false,
        }
    }

    /// Moves on by one read or one write.
    async fn step(&mut self) -> io::Result<()> {
        if self.held.is_empty() {
            self.held.reserve(ROOM);
            if self.from.read_buf(&mut self.held).await? == 0 {
                self.ended = true;
                return self.to.shutdown().await;
            }
            return Ok(());
        }
        self.carried += self.to.write_buf(&mut self.held).await? as u64;
        if self.held.is_empty() {
            self.to.flush().await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::DuplexStream;

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

    #[tokio::test(start_paused = true)]
    async fn a_silent_pair_is_parted() {
        let (client, _at_client) = conn(b"");
        let (peer, _at_peer) = conn(b"");
        assert_eq!(tunnel(client, peer, Duration::from_secs(5)).await, (0, 0));
    }
}
