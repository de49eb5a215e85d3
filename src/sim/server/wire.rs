//! The server's end of a connection, which can be made to misbehave below HTTP.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// What a request may do to the connection that it came on.
#[derive(Debug, Default)]
pub(super) struct Knobs {
    reset: AtomicBool,
    garble: AtomicBool,
    half_head: AtomicBool,
    stale: AtomicBool,
}

impl Knobs {
    /// The connection ends with a TCP reset when it is dropped.
    pub(super) fn reset(&self) {
        self.reset.store(true, Ordering::Relaxed);
    }

    /// The next request on this connection is refused, as on one that a server has given up while it was idle.
    pub(super) fn make_stale(&self) {
        self.stale.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_stale(&self) -> bool {
        self.stale.load(Ordering::Relaxed)
    }

    /// The next write sends the beginning of a response head instead, and breaks the connection.
    pub(super) fn halve_head(&self) {
        self.half_head.store(true, Ordering::Relaxed);
    }

    /// The next write sends bytes that are no HTTP chunk, and breaks the connection.
    pub(super) fn garble(&self) {
        self.garble.store(true, Ordering::Relaxed);
    }
}

/// A TCP stream that obeys its [`Knobs`].
#[derive(Debug)]
pub(super) struct Wire {
    stream: TcpStream,
    knobs: Arc<Knobs>,
}

impl Wire {
    pub(super) fn new(stream: TcpStream, knobs: Arc<Knobs>) -> Self {
        Self { stream, knobs }
    }

    fn poll_garbled(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let instead: &[u8] = if self.knobs.garble.load(Ordering::Relaxed) {
            b"ZZ\r\nno chunk\r\n"
        } else if self.knobs.half_head.load(Ordering::Relaxed) {
            b"HTTP/1.1 200 OK\r\ncontent-ty"
        } else {
            return Poll::Ready(Ok(()));
        };
        ready!(Pin::new(&mut self.stream).poll_write(cx, instead))?;
        Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()))
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        if self.knobs.reset.load(Ordering::Relaxed) {
            // Where the option cannot be set the socket closes in the ordinary way, which is a refusal too.
            let _ = self.stream.set_zero_linger();
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_garbled(cx))?;
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_garbled(cx))?;
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
