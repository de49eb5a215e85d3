//! One connection's buffers.

use std::io;
use std::pin::Pin;
use std::task::Context;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use pingora::protocols::Stream;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, ReadBuf};

use super::alarm::{Alarm, within};

/// What a connection runs on: TCP or TLS.
pub type Io = Stream;

/// First and largest size of a read, in bytes. It doubles as long as reads fill it.
const FIRST_READ: usize = 4 * 1024;
const MOST_READ: usize = 64 * 1024;
/// A read is not begun with less room than this, in bytes.
const LEAST_ROOM: usize = 1024;
/// Longest part that is copied behind what is waiting, so that both leave in one plain write, in bytes.
const MOST_COPIED: usize = 16 * 1024;
/// What the outbox may keep when it is empty, in bytes.
const MOST_KEPT: usize = 64 * 1024;

/// A connection: what came and was not used, and what waits to be written.
#[derive(Debug)]
pub struct Conn {
    io: Io,
    /// Bytes that came and were not taken yet.
    pub inbox: BytesMut,
    /// Bytes that wait for [`Conn::flush`].
    pub outbox: Vec<u8>,
    /// How many of them are written.
    gone: usize,
    read_size: usize,
    /// Of whoever waits for what comes; kept here while nobody does.
    pub alarm: Alarm,
}

impl Conn {
    /// Nothing has come or gone.
    pub fn new(io: Io) -> Self {
        Self {
            io,
            inbox: BytesMut::new(),
            outbox: Vec::new(),
            gone: 0,
            read_size: FIRST_READ,
            alarm: Alarm::default(),
        }
    }

    /// Reads once. Returns how many bytes came, 0 at the end of the connection.
    ///
    /// May be dropped and called again.
    pub async fn fill(&mut self) -> io::Result<usize> {
        if self.inbox.capacity() - self.inbox.len() < LEAST_ROOM {
            self.inbox.reserve(self.read_size);
        }
        let room = self.inbox.capacity() - self.inbox.len();
        let read = self.io.read_buf(&mut self.inbox).await?;
        if read == room {
            self.read_size = (2 * self.read_size).min(MOST_READ);
        }
        Ok(read)
    }

    /// Makes room for so many bytes more that are known to come, in steps: what is only announced takes no memory.
    pub fn expect(&mut self, bytes: u64) {
        let most = self.inbox.len().max(MOST_READ);
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX).min(most);
        if self.inbox.capacity() - self.inbox.len() < bytes.min(LEAST_ROOM) {
            self.inbox.reserve(bytes);
        }
    }

    /// Whether nothing came on a connection that should be quiet: neither its end nor bytes that nobody asked for.
    pub fn is_quiet(&mut self) -> bool {
        if !self.inbox.is_empty() {
            return false;
        }
        let mut byte = [0];
        let mut byte = ReadBuf::new(&mut byte);
        let mut context = Context::from_waker(std::task::Waker::noop());
        Pin::new(&mut self.io)
            .poll_read(&mut context, &mut byte)
            .is_pending()
    }

    /// Writes the outbox. Each piece of it has the whole of `limit`.
    ///
    /// May be dropped and called again.
    pub async fn flush(&mut self, limit: Duration) -> io::Result<()> {
        while self.gone < self.outbox.len() {
            let written = within(limit, self.io.write(&self.outbox[self.gone..])).await;
            match written.map_err(stalled)?? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                written => self.gone += written,
            }
        }
        within(limit, self.io.flush()).await.map_err(stalled)??;
        self.tidy();
        Ok(())
    }

    /// Writes the outbox, `part` and `tail`, in as few system calls as it takes.
    pub async fn send(&mut self, mut part: Bytes, tail: &[u8], limit: Duration) -> io::Result<()> {
        if part.len() <= MOST_COPIED {
            self.outbox.reserve(part.len() + tail.len());
            self.outbox.extend_from_slice(&part);
            self.outbox.extend_from_slice(tail);
            return self.flush(limit).await;
        }
        let Self {
            io, outbox, gone, ..
        } = self;
        let mut all = Buf::chain(&outbox[*gone..], &mut part).chain(tail);
        write(io, &mut all, limit).await?;
        self.tidy();
        Ok(())
    }

    /// How many bytes of a part of this length [`Conn::send`] copies behind what waits, with the framing around them.
    pub fn copied(length: usize) -> usize {
        match length {
            ..=MOST_COPIED => length + 16,
            _ => 0,
        }
    }

    fn tidy(&mut self) {
        self.gone = 0;
        self.outbox.clear();
        if self.outbox.capacity() > MOST_KEPT {
            self.outbox = Vec::new();
        }
    }

    /// Lets go of buffers that hold nothing: the connection waits for its next message.
    pub fn rest(&mut self) {
        if self.inbox.is_empty() {
            self.inbox = BytesMut::new();
        }
        if self.outbox.is_empty() {
            self.outbox = Vec::new();
        }
    }

    /// The connection itself, and what came on it and was not taken.
    pub fn into_parts(self) -> (Io, BytesMut) {
        (self.io, self.inbox)
    }

    /// The connection itself.
    pub fn io(&self) -> &Io {
        &self.io
    }

    /// Says that nothing more will be written.
    pub async fn finish(&mut self) {
        let _ = AsyncWriteExt::shutdown(&mut self.io).await;
    }
}

fn stalled<T>(_: T) -> io::Error {
    io::ErrorKind::TimedOut.into()
}

/// Writes all of `bytes`; whenever some of it has gone, `limit` begins anew.
async fn write(io: &mut Io, bytes: &mut impl Buf, limit: Duration) -> io::Result<()> {
    while bytes.has_remaining() {
        let written = within(limit, io.write_buf(bytes))
            .await
            .map_err(stalled)??;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
    }
    within(limit, io.flush()).await.map_err(stalled)?
}
