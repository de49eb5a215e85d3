//! Tollgate as a child process that never outlives the demo.
//!
//! A small shell holds the leash: it waits for the end of its standard input, whose other end only the demo has, and then
//! sends SIGTERM. So the child ends properly when it is let go and also when the demo is killed, without `unsafe`.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, SystemTime};

use tokio::process::{Child, Command};

/// The shell's whole script; `$1` is the child.
const LEASH: &str = "read _; kill -TERM \"$1\" 2>/dev/null";
/// Beyond its own grace, before it is killed.
const MARGIN: Duration = Duration::from_secs(2);
/// Lines of the log that a failure shows.
const LOG_LINES: usize = 5;

/// A running Tollgate. Dropping it kills it.
pub(super) struct Tollgate {
    child: Child,
    leash: Child,
    log: PathBuf,
}

impl Tollgate {
    /// Starts this same program as `tollgate run`. Needs a Tokio runtime.
    ///
    /// # Errors
    /// What could not be started, in one line.
    pub(super) fn start(config: &Path) -> Result<Self, String> {
        let program = std::env::current_exe()
            .map_err(|error| format!("cannot find my own program: {error}"))?;
        let (log, file) = new_log()?;
        let child = Command::new(&program)
            .args(["run", "--config"])
            .arg(config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(file)
            // Out of the terminal's group: Ctrl-C is for the demo, which then ends the child in order.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| format!("cannot run {}: {error}", program.display()))?;
        let leash = Command::new("sh")
            .args(["-c", LEASH, "leash"])
            .arg(child.id().unwrap_or_default().to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .map_err(|error| format!("cannot run sh: {error}"))?;
        Ok(Self { child, leash, log })
    }

    /// Where its log is.
    pub(super) fn log(&self) -> &Path {
        &self.log
    }

    /// Waits until it ends, by itself or not.
    pub(super) async fn ended(&mut self) -> String {
        match self.child.wait().await {
            Ok(status) => status.to_string(),
            Err(error) => error.to_string(),
        }
    }

    /// Ends it in order, within its grace, and waits until nothing of it is left.
    pub(super) async fn stop(mut self, grace: Duration) {
        if matches!(self.child.try_wait(), Ok(None)) {
            drop(self.leash.stdin.take());
            if tokio::time::timeout(grace + MARGIN, self.child.wait())
                .await
                .is_err()
            {
                // It can only have ended in between.
                let _ = self.child.kill().await;
            }
        } else {
            // Its process number may be another's by now: the leash must not pull.
            let _ = self.leash.start_kill();
        }
        let _ = self.leash.wait().await;
    }
}

/// A new file of its own; an existing one is never followed or overwritten.
fn new_log() -> Result<(PathBuf, File), String> {
    let since = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    let name = format!(
        "tollgate-demo-{}-{}.log",
        std::process::id(),
        since.as_millis()
    );
    let path = std::env::temp_dir().join(name);
    let file = File::create_new(&path)
        .map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    Ok((path, file))
}

/// A reason, with the end of the child's log and its place.
pub(super) fn with_log(reason: &str, log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let from = lines.len().saturating_sub(LOG_LINES);
    let mut said = format!("{reason}; tollgate's log is {}", log.display());
    for line in &lines[from..] {
        said.push_str("\n  ");
        said.push_str(line);
    }
    said
}
