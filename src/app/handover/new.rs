//! The new process's side.

use std::io::{self, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use super::wire::{self, READY, TAKE, YOURS};
use crate::app::Error;
use crate::app::sockets::Sockets;

/// The old process answers at once or not at all.
const PATIENCE: Duration = Duration::from_secs(10);

/// The old process, waiting to hear that this one serves. Dropping it tells it to go on as before.
pub(in crate::app) struct Successor(UnixStream);

/// Takes the listening sockets of the process behind `socket`.
///
/// # Errors
/// When there is none, or it refuses.
pub(in crate::app) fn take(socket: &Path) -> Result<(Sockets, Successor), Error> {
    let taken = || -> io::Result<_> {
        let mut stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        writeln!(stream, "{TAKE}")?;
        let sockets = wire::receive(&stream)?;
        Ok((sockets, Successor(stream)))
    };
    taken().map_err(|error| {
        let socket = socket.display();
        Error::Start(format!("cannot take over from {socket}: {error}"))
    })
}

impl Successor {
    /// Says that this process serves, and waits until the old one has stopped accepting.
    ///
    /// # Errors
    /// When the old process is gone or does not let go: it may have died meanwhile, and this one serves all the same.
    pub(in crate::app) fn ready(mut self) -> io::Result<()> {
        writeln!(self.0, "{READY}")?;
        let answer = wire::read_line(&self.0)?;
        match answer.as_str() {
            YOURS => Ok(()),
            other => Err(io::Error::other(format!("it said {other:?}"))),
        }
    }
}
