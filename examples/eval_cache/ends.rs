//! Ending: whatever ends the program, its Tollgate ends with it.

use std::process::Child;
use std::thread;

use parking_lot::Mutex;
use tempfile::TempDir;
use tokio::signal::unix::{SignalKind, signal};

/// A Tollgate and the folder of its files.
pub(crate) struct Running {
    pub(crate) child: Child,
    pub(crate) folder: TempDir,
}

/// The one that runs, if any. Held while it is being started, so that a signal finds it.
pub(crate) static RUNNING: Mutex<Option<Running>> = Mutex::new(None);

/// Ends what runs and removes its files.
pub(crate) fn end(running: Option<Running>) {
    let Some(mut running) = running else { return };
    // It may have ended by itself.
    let _ = running.child.kill();
    let _ = running.child.wait();
}

/// From now on SIGINT, SIGTERM and SIGHUP end the Tollgate before the program.
pub(crate) fn on_signals() -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?;
    let within = runtime.enter();
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    drop(within);
    thread::spawn(move || {
        let signal = runtime.block_on(async {
            tokio::select! {
                _ = interrupt.recv() => SignalKind::interrupt(),
                _ = terminate.recv() => SignalKind::terminate(),
                _ = hangup.recv() => SignalKind::hangup(),
            }
        });
        // Not given back: nothing may be started any more.
        let mut running = RUNNING.lock();
        end(running.take());
        std::process::exit(128 + signal.as_raw_value());
    });
    Ok(())
}
