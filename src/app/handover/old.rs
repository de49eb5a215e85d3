//! The running process's side.

use std::ffi::OsString;
use std::io;
use std::os::unix::net::UnixListener as Listener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use sd_notify::NotifyState;
use tokio::io::AsyncWriteExt;
use tokio::net::{UnixListener, UnixStream};
use tokio::process::Command;
use tokio::sync::{Mutex as Turn, watch};
use tokio::time::timeout;

use super::wire::{self, READY, TAKE, UPGRADE, YOURS};
use crate::app::sockets::Sockets;

/// A new process that does not serve after so long is given up: it has to read its files and load its model.
const START_WITHIN: Duration = Duration::from_secs(300);
/// Whoever connects says what it wants at once.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the running process holds until another takes over.
pub(in crate::app) struct Handover {
    sockets: Mutex<Arc<Sockets>>,
    /// How this process was started, to start the next one.
    program: OsString,
    config: PathBuf,
    /// One new process at a time gets the sockets.
    taking: Turn<()>,
    /// One upgrade at a time is run from here.
    starting: Turn<()>,
    successor: watch::Sender<Option<u32>>,
}

/// That this process has been replaced.
pub(in crate::app) struct Released(watch::Receiver<Option<u32>>);

impl Released {
    /// Waits for it; the process id of the new one.
    pub(in crate::app) async fn wait(&mut self) -> u32 {
        match self.0.wait_for(Option::is_some).await.map(|pid| *pid) {
            Ok(Some(pid)) => pid,
            _ => std::future::pending().await,
        }
    }
}

impl Handover {
    /// `config` is what the next process is to read.
    pub(in crate::app) fn new(sockets: Sockets, config: &Path) -> Arc<Self> {
        Arc::new(Self {
            sockets: Mutex::new(Arc::new(sockets)),
            // As it was typed: a link that leads to another version by then is followed anew.
            program: std::env::args_os().next().unwrap_or_default(),
            config: config.to_owned(),
            taking: Turn::new(()),
            starting: Turn::new(()),
            successor: watch::channel(None).0,
        })
    }

    /// To wait for a successor.
    pub(in crate::app) fn released(&self) -> Released {
        Released(self.successor.subscribe())
    }

    /// Lets go of the sockets; they close with those that Pingora holds.
    pub(in crate::app) fn let_go(&self) {
        *self.sockets.lock() = Arc::default();
    }

    /// Serves the socket until another process has taken over.
    pub(in crate::app) async fn serve(self: Arc<Self>, listener: Listener) {
        let listener = match UnixListener::from_std(listener) {
            Ok(listener) => listener,
            Err(error) => return log::error!("upgrade socket: {error}; upgrades are off"),
        };
        let mut released = self.released();
        loop {
            let stream = tokio::select! {
                _ = released.wait() => return,
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => stream,
                    Err(error) => {
                        log::warn!("upgrade socket: {error}");
                        tokio::time::sleep(Duration::from_secs(1)).await;
                        continue;
                    }
                },
            };
            let handover = Arc::clone(&self);
            tokio::spawn(async move {
                if let Err(error) = handover.talk(stream).await {
                    log::warn!("upgrade: {error}");
                }
            });
        }
    }

    async fn talk(&self, mut stream: UnixStream) -> io::Result<()> {
        let peer = stream.peer_cred()?;
        if peer.uid() != 0 && peer.uid() != rustix::process::geteuid().as_raw() {
            return Err(io::Error::other(format!(
                "user {} may not upgrade",
                peer.uid()
            )));
        }
        let word = timeout(PATIENCE, wire::next_line(&mut stream)).await??;
        match word.as_str() {
            TAKE => self.give(stream, peer.pid()).await,
            UPGRADE => {
                let answer = match self.start_next().await {
                    Ok(pid) => format!("ok {pid}\n"),
                    Err(why) => format!("failed {why}\n"),
                };
                stream.write_all(answer.as_bytes()).await
            }
            other => Err(io::Error::other(format!("{other:?} is not understood"))),
        }
    }

    async fn give(&self, mut stream: UnixStream, pid: Option<i32>) -> io::Result<()> {
        let Ok(_turn) = self.taking.try_lock() else {
            return stream
                .write_all(b"another process is taking over\n\n")
                .await;
        };
        let sockets = Arc::clone(&self.sockets.lock());
        if sockets.iter().next().is_none() {
            return stream.write_all(b"it is shutting down\n\n").await;
        }
        wire::send(&stream, &sockets).await?;
        let pid = pid.and_then(|pid| u32::try_from(pid).ok()).unwrap_or(0);
        log::info!("process {pid} has the listening sockets too");
        let said = timeout(START_WITHIN, wire::next_line(&mut stream)).await??;
        if said != READY {
            return Err(io::Error::other(format!(
                "process {pid} ended before it served; this one goes on"
            )));
        }
        log::info!("process {pid} serves now");
        // systemd takes it from its main process only, which this one still is.
        if let Err(error) = sd_notify::notify(&[NotifyState::MainPid(pid)]) {
            log::warn!("cannot tell systemd about process {pid}: {error}");
        }
        drop(sockets);
        self.let_go();
        self.successor.send_replace(Some(pid));
        stream.write_all(format!("{YOURS}\n").as_bytes()).await
    }

    /// Starts the binary that now lies where this one was started from, and waits until it serves.
    ///
    /// # Errors
    /// Why it does not; this process goes on then.
    pub(in crate::app) async fn start_next(&self) -> Result<u32, String> {
        let Ok(_turn) = self.starting.try_lock() else {
            return Err("an upgrade is running already".to_owned());
        };
        if let Some(pid) = *self.successor.borrow() {
            return Err(format!("process {pid} has taken over already"));
        }
        let mut child = Command::new(&self.program)
            .args(["run", "--upgrade", "--config"])
            .arg(&self.config)
            .stdin(Stdio::null())
            .spawn()
            .map_err(|error| format!("cannot start {}: {error}", self.program.display()))?;
        log::info!("upgrade: started process {}", child.id().unwrap_or(0));
        let mut released = self.released();
        tokio::select! {
            pid = released.wait() => Ok(pid),
            ended = child.wait() => Err(match ended {
                Ok(status) => format!("the new process ended ({status}); its log says why"),
                Err(error) => format!("the new process is lost: {error}"),
            }),
            () = tokio::time::sleep(START_WITHIN) => {
                // It may be about to say that it serves: better none than two.
                let _ = child.kill().await;
                Err(format!("the new process did not serve within {START_WITHIN:?}"))
            }
        }
    }
}
