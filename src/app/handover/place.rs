//! How a process comes to its place on the upgrade socket.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use super::new::{Successor, take};
use crate::app::Error;
use crate::app::sockets::Sockets;
use crate::config::model::Config;

/// Where a process stands before it serves.
pub(in crate::app) enum Place {
    /// No upgrades.
    None,
    /// The first: the socket is its own.
    First(PathBuf, UnixListener),
    /// The next: the socket is its own once the old process has let go.
    Next(PathBuf, Successor),
}

impl Place {
    /// The place of this process and the sockets that it inherits. With `upgrade` the running process is asked for them.
    ///
    /// # Errors
    /// When the socket cannot be made, or there is nothing to take over from.
    pub(in crate::app) fn of(config: &Config, upgrade: bool) -> Result<(Sockets, Self), Error> {
        let path = super::path(&config.upgrade_socket);
        match (path, upgrade) {
            (None, false) => Ok((Sockets::default(), Self::None)),
            (Some(path), false) => {
                let listener = bind(&path, false).map_err(|error| {
                    Error::Start(format!("upgrade_socket: {}: {error}", path.display()))
                })?;
                Ok((Sockets::default(), Self::First(path, listener)))
            }
            (Some(path), true) => {
                let (sockets, successor) = take(&path)?;
                Ok((sockets, Self::Next(path, successor)))
            }
            (None, true) => Err(Error::Start(
                "there is no upgrade_socket to take over through".to_owned(),
            )),
        }
    }

    /// Says that this process serves, to whom it concerns; the socket on which the next one will ask. Blocks.
    pub(in crate::app) fn serve(self) -> Option<(PathBuf, UnixListener)> {
        match self {
            Self::None => {
                tell_systemd();
                None
            }
            Self::First(path, listener) => {
                tell_systemd();
                Some((path, listener))
            }
            Self::Next(path, successor) => {
                match successor.ready() {
                    Ok(()) => log::info!("took over from the old process"),
                    Err(error) => log::error!("the old process did not let go: {error}"),
                }
                match bind(&path, true) {
                    Ok(listener) => Some((path, listener)),
                    Err(error) => {
                        let path = path.display();
                        log::error!("upgrade_socket: {path}: {error}; upgrades are off");
                        None
                    }
                }
            }
        }
    }
}

/// Makes the socket. What a dead process left behind is replaced; `from_another` says that a live one has just let go
/// of it.
///
/// # Errors
/// When it cannot be made, another process answers on it, or something else lies there.
fn bind(path: &Path, from_another: bool) -> io::Result<UnixListener> {
    if !from_another && UnixStream::connect(path).is_ok() {
        return Err(io::Error::new(
            io::ErrorKind::AddrInUse,
            "another process answers there",
        ));
    }
    match fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => fs::remove_file(path)?,
        Ok(_) => {
            return Err(io::Error::new(
                io::ErrorKind::AlreadyExists,
                "something that is no socket lies there",
            ));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let listener = UnixListener::bind(path)?;
    fs::set_permissions(path, Permissions::from_mode(0o600))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

fn tell_systemd() {
    if let Err(error) = sd_notify::notify(&[sd_notify::NotifyState::Ready]) {
        log::warn!("cannot tell systemd that it serves: {error}");
    }
}
