//! What the processes say to each other: words on lines, and sockets beside the first byte of an answer.

use std::io::{self, BufRead, BufReader, IoSlice, IoSliceMut, Read};
use std::mem::MaybeUninit;
use std::net::TcpListener;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use tokio::io::{AsyncReadExt, Interest};

use crate::app::sockets::Sockets;

/// "Give me your sockets."
pub(super) const TAKE: &str = "take";
/// "I serve."
pub(super) const READY: &str = "ready";
/// "You are the one now."
pub(super) const YOURS: &str = "yours";
/// "Start the new one yourself."
pub(super) const UPGRADE: &str = "upgrade";

/// Linux passes at most this many at once (SCM_MAX_FD).
pub(super) const MOST_SOCKETS: usize = 253;
/// Longest text that is read, in bytes: addresses take less than 60 each.
const LONGEST: usize = 32 * 1024;

/// Sends the addresses, one a line, and an empty line; the sockets come with the first byte.
pub(super) async fn send(stream: &tokio::net::UnixStream, sockets: &Sockets) -> io::Result<()> {
    let mut text = String::new();
    let mut open: Vec<BorrowedFd<'_>> = Vec::new();
    for (address, listener) in sockets.iter() {
        text.push_str(address);
        text.push('\n');
        open.push(listener.as_fd());
    }
    text.push('\n');
    if open.len() > MOST_SOCKETS {
        return Err(io::Error::other(format!(
            "more than {MOST_SOCKETS} listening sockets"
        )));
    }
    let sent = stream
        .async_io(Interest::WRITABLE, || {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_SOCKETS))];
            let mut beside = SendAncillaryBuffer::new(&mut space);
            if !beside.push(SendAncillaryMessage::ScmRights(&open)) {
                return Err(io::Error::other("no room for the sockets"));
            }
            let text = [IoSlice::new(text.as_bytes())];
            Ok(sendmsg(stream, &text, &mut beside, SendFlags::NOSIGNAL)?)
        })
        .await?;
    // A local stream takes so little whole.
    match sent == text.len() {
        true => Ok(()),
        false => Err(io::ErrorKind::WriteZero.into()),
    }
}

/// Reads what `send` sent. An answer without sockets is a refusal, and its text the reason.
pub(super) fn receive(stream: &UnixStream) -> io::Result<Sockets> {
    let (mut text, mut found): (Vec<u8>, Vec<OwnedFd>) = (Vec::new(), Vec::new());
    while !text.ends_with(b"\n\n") && text.len() < LONGEST {
        let mut part = [0; 4096];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_SOCKETS))];
        let mut beside = RecvAncillaryBuffer::new(&mut space);
        let mut parts = [IoSliceMut::new(&mut part)];
        let read = recvmsg(stream, &mut parts, &mut beside, RecvFlags::CMSG_CLOEXEC)?;
        for message in beside.drain() {
            if let RecvAncillaryMessage::ScmRights(sockets) = message {
                found.extend(sockets);
            }
        }
        if read.bytes == 0 {
            break;
        }
        text.extend_from_slice(&part[..read.bytes]);
    }
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().filter(|line| !line.is_empty()).collect();
    if found.is_empty() && !lines.is_empty() {
        return Err(io::Error::other(lines.join("; ")));
    }
    if lines.len() != found.len() || lines.is_empty() {
        return Err(io::Error::other("an answer that makes no sense"));
    }
    let mut sockets = Sockets::default();
    for (address, socket) in lines.into_iter().zip(found) {
        sockets.add(address.to_owned(), TcpListener::from(socket));
    }
    Ok(sockets)
}

/// Reads one line, the last that is awaited on this connection.
pub(super) fn read_line(stream: &UnixStream) -> io::Result<String> {
    let mut line = String::new();
    BufReader::new(stream.take(LONGEST as u64)).read_line(&mut line)?;
    Ok(line.trim_end_matches('\n').to_owned())
}

/// Reads one line; an empty one at the end of the connection.
pub(super) async fn next_line(stream: &mut tokio::net::UnixStream) -> io::Result<String> {
    let mut line = Vec::new();
    loop {
        match stream.read_u8().await {
            Ok(b'\n') => break,
            Ok(byte) if line.len() < LONGEST => line.push(byte),
            Ok(_) => break,
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => break,
            Err(error) => return Err(error),
        }
    }
    Ok(String::from_utf8_lossy(&line).into_owned())
}
