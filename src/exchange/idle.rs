//! Upstream connections between two requests.
//!
//! Pingora's pool watches every idle connection with a task of its own and asks the kernel for its address at each
//! reuse; both cost more than they give here, where connections are idle for milliseconds. This one looks at a
//! connection when it is taken, youngest first, and lets go of those that were idle too long.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::tls::Destination;
use crate::util::hash::SharedMap;
use crate::wire::Conn;

/// Idle connections to one peer that are kept.
const MOST_IDLE: usize = 1024;

/// Idle connections by where they lead.
#[derive(Debug, Default)]
pub(super) struct IdlePool(SharedMap<Destination, VecDeque<Idle>>);

#[derive(Debug)]
struct Idle {
    conn: Conn,
    since: Instant,
}

impl IdlePool {
    /// The connection to `to` that became idle last and is still open. Ones idle for longer than `limit` are closed.
    pub(super) fn take(&self, to: &Destination, limit: Duration, now: Instant) -> Option<Conn> {
        let mut idle = self.0.get_mut(to)?;
        while let Some(mut youngest) = idle.pop_back() {
            if now.saturating_duration_since(youngest.since) > limit {
                idle.clear();
                return None;
            }
            if youngest.conn.is_quiet() {
                return Some(youngest.conn);
            }
        }
        None
    }

    /// Keeps a connection for the next request.
    pub(super) fn put(&self, to: Destination, conn: Conn, now: Instant) {
        let mut idle = self.0.entry(to).or_default();
        if idle.len() == MOST_IDLE {
            idle.pop_front();
        }
        idle.push_back(Idle { conn, since: now });
    }

    /// Closes what was idle for longer than `limit`.
    pub(super) fn sweep(&self, limit: Duration, now: Instant) {
        self.0.retain(|_, idle| {
            while idle
                .front()
                .is_some_and(|oldest| now.saturating_duration_since(oldest.since) > limit)
            {
                idle.pop_front();
            }
            !idle.is_empty()
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pingora::protocols::l4::stream::Stream as L4;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    const LIMIT: Duration = Duration::from_secs(4);

    async fn pair(listener: &TcpListener) -> (Conn, TcpStream) {
        let address = listener.local_addr().expect("bound");
        let (ours, theirs) = tokio::join!(TcpStream::connect(address), listener.accept());
        (
            Conn::new(Box::new(L4::from(ours.expect("connects")))),
            theirs.expect("accepts").0,
        )
    }

    async fn pool_of(count: usize) -> (IdlePool, Destination, Vec<TcpStream>, Instant) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
        let address = listener.local_addr().expect("bound");
        let to = Destination { address, tls: None };
        let (pool, now) = (IdlePool::default(), Instant::now());
        let mut theirs = Vec::new();
        for i in 0..count {
            let (ours, other) = pair(&listener).await;
            pool.put(to, ours, now + Duration::from_secs(i as u64));
            theirs.push(other);
        }
        (pool, to, theirs, now)
    }

    #[tokio::test]
    async fn the_youngest_connection_is_taken_first_and_old_ones_are_closed() {
        let (pool, to, mut theirs, now) = pool_of(3).await;
        let mut taken = pool
            .take(&to, LIMIT, now + Duration::from_secs(2))
            .expect("idle");
        taken.send("x".into(), b"", LIMIT).await.expect("open");
        let mut byte = [0];
        theirs[2].read_exact(&mut byte).await.expect("the youngest");
        assert!(
            pool.take(&to, LIMIT, now + Duration::from_secs(60))
                .is_none()
        );
        assert_eq!(theirs[0].read(&mut byte).await.expect("closed"), 0);
    }

    #[tokio::test]
    async fn a_connection_that_the_peer_closed_or_wrote_to_is_not_used_again() {
        let (pool, to, mut theirs, now) = pool_of(3).await;
        theirs[2]
            .write_all(b"HTTP/1.1 408 Too late\r\n\r\n")
            .await
            .expect("sent");
        drop(theirs.remove(1));
        // Both have arrived once the kernel has told this thread about a later event.
        let later = TcpListener::bind("127.0.0.1:0").await.expect("binds");
        pair(&later).await;
        tokio::task::yield_now().await;
        let mut taken = pool.take(&to, LIMIT, now).expect("one is left");
        taken.send("x".into(), b"", LIMIT).await.expect("open");
        let mut byte = [0];
        theirs[0]
            .read_exact(&mut byte)
            .await
            .expect("the one left alone");
        assert!(pool.take(&to, LIMIT, now).is_none());
    }

    #[tokio::test]
    async fn a_connection_under_one_identity_is_not_for_another() {
        let (pool, to, _theirs, now) = pool_of(1).await;
        let other = Destination {
            tls: Some([1; 32]),
            ..to
        };
        assert!(pool.take(&other, LIMIT, now).is_none());
        assert!(pool.take(&to, LIMIT, now).is_some());
    }

    #[tokio::test]
    async fn a_sweep_closes_what_was_idle_too_long_and_forgets_empty_peers() {
        let (pool, to, mut theirs, now) = pool_of(2).await;
        pool.sweep(LIMIT, now + Duration::from_millis(4_500));
        let mut byte = [0];
        assert_eq!(theirs[0].read(&mut byte).await.expect("closed"), 0);
        assert!(pool.0.contains_key(&to));
        pool.sweep(LIMIT, now + Duration::from_secs(60));
        assert!(pool.0.is_empty());
    }
}
