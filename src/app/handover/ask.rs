//! The operator's side: `tollgate upgrade`.

use std::io::{self, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use super::wire::{self, UPGRADE};

/// Has the process behind `socket` start its successor; the process id of that one, once it serves.
///
/// # Errors
/// When there is no such process, or its successor does not come up; the running one goes on then.
pub(in crate::app) fn ask(socket: &Path) -> io::Result<u32> {
    let mut stream = UnixStream::connect(socket)?;
    writeln!(stream, "{UPGRADE}")?;
    let answer = wire::read_line(&stream)?;
    match answer.split_once(' ') {
        Some(("ok", pid)) => pid.parse().map_err(io::Error::other),
        Some(("failed", why)) => Err(io::Error::other(why.to_owned())),
        // It closes the connection on those who may not ask.
        _ => Err(io::Error::other("it gave no answer; its log says why")),
    }
}
