//! Replacing the running binary without refusing a connection: the old process gives its listening sockets to the new one
//! over a Unix socket, goes on accepting until that one says that it serves, and then drains.
//!
//! ```text
//!  old   listens on `upgrade_socket` ◄── "take"     new, once its configuration is read
//!        sends names and sockets     ──►            builds on them
//!        both accept now             ◄── "ready"
//!        stops accepting, drains     ──► "yours"    listens on `upgrade_socket` itself
//! ```
//!
//! Whatever goes wrong before "ready" leaves the old process as it was. Pingora's own transfer is not used: it stops the
//! old process whether or not the new one came up, lets any local user take part, and panics on a bad path.

mod ask;
mod new;
mod old;
mod place;
mod wire;

pub(super) use ask::ask;
pub(super) use old::Handover;
pub(super) use place::Place;

use std::path::PathBuf;

use crate::config::model::UpgradeSocket;

/// Name of the socket in a runtime directory.
const NAME: &str = "upgrade.sock";
/// systemd's place for it, where its unit says `RuntimeDirectory=tollgate`.
const USUAL: &str = "/run/tollgate/upgrade.sock";

/// Where the socket lies; `None` = there is none.
pub(super) fn path(configured: &UpgradeSocket) -> Option<PathBuf> {
    match configured {
        UpgradeSocket::Off => None,
        UpgradeSocket::At(path) => Some(path.clone()),
        UpgradeSocket::Auto => {
            let folders = std::env::var_os("RUNTIME_DIRECTORY")?;
            let first = std::env::split_paths(&folders).next()?;
            Some(first.join(NAME))
        }
    }
}

/// Where the socket of another process lies, which may have been told its runtime directory when this one was not.
pub(super) fn path_of_another(configured: &UpgradeSocket) -> Option<PathBuf> {
    match configured {
        UpgradeSocket::Auto => path(configured).or_else(|| Some(PathBuf::from(USUAL))),
        _ => path(configured),
    }
}
