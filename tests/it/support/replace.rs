//! Replacing the binary under test by another of its kind.

use std::process::{Command, Output, Stdio};

use super::gate::{Gate, binary};

/// A process that nobody here is the parent of; ends with the test.
pub struct Process(pub u32);

impl Process {
    pub fn signal(&self, name: &str) -> bool {
        Command::new("kill")
            .args([&format!("-{name}"), &self.0.to_string()])
            .stderr(Stdio::null())
            .status()
            .expect("kill runs")
            .success()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.signal("KILL");
    }
}

/// `tollgate upgrade` with the gate's configuration.
pub async fn upgrade(gate: &Gate) -> Output {
    let config = gate.config.clone();
    let command = move || {
        binary()
            .args(["upgrade", "--config"])
            .arg(config)
            .output()
            .expect("runs")
    };
    tokio::task::spawn_blocking(command).await.expect("runs")
}

/// The process that an upgrade said serves now.
pub fn successor(output: &Output) -> Process {
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{output:?}");
    let pid = said.split(' ').nth(1).and_then(|pid| pid.parse().ok());
    Process(pid.unwrap_or_else(|| panic!("no process id in {said:?}")))
}
