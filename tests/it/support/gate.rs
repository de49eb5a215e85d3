//! The proxy under test: the real binary with a configuration of its own.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use super::client::{self, Answer};
use super::{free_address, until};

/// A running Tollgate; ends with the test.
pub struct Gate {
    pub address: SocketAddr,
    pub admin: SocketAddr,
    pub config: PathBuf,
    /// Further keys of its listener.
    listener: String,
    folder: TempDir,
    child: Child,
}

impl Gate {
    /// Starts the binary with `rest` below the `listen` and `admin` sections and waits until it answers.
    pub async fn start(rest: &str) -> Self {
        Self::started("", rest, |_, _| {}).await
    }

    /// `start` with a command that `prepare` has changed, given the folder of the configuration.
    pub async fn start_with(
        rest: &str,
        prepare: impl FnOnce(&mut Command, &std::path::Path),
    ) -> Self {
        Self::started("", rest, prepare).await
    }

    /// `start` with further keys of its listener, indented by four.
    pub async fn listening(listener: &str, rest: &str) -> Self {
        Self::started(listener, rest, |_, _| {}).await
    }

    async fn started(
        listener: &str,
        rest: &str,
        prepare: impl FnOnce(&mut Command, &std::path::Path),
    ) -> Self {
        let folder = tempfile::tempdir().expect("folder");
        let (address, admin) = (free_address(), free_address());
        let config = folder.path().join("tollgate.yaml");
        fs::write(&config, text(address, admin, listener, rest)).expect("config");
        let mut command = run(&config, folder.path());
        prepare(&mut command, folder.path());
        let child = command.spawn().expect("starts");
        let gate = Self {
            address,
            admin,
            config,
            listener: listener.to_owned(),
            folder,
            child,
        };
        gate.answers().await;
        gate
    }

    /// Starts the binary again, once it has ended, where the first was.
    pub async fn start_again(&mut self) {
        assert!(!self.running());
        self.child = run(&self.config, self.folder.path())
            .spawn()
            .expect("starts");
        self.answers().await;
    }

    async fn answers(&self) {
        until("tollgate answers", || async {
            client::get(self.admin, "/healthz").await.is_ok()
                && tokio::net::TcpStream::connect(self.address).await.is_ok()
        })
        .await;
    }

    /// kill -9.
    pub fn kill(&mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("ended");
    }

    /// One pool named `pool` of these peers with health checks off, and `rest` at the top level.
    pub async fn before(peers: &[SocketAddr], rest: &str) -> Self {
        Self::start(&format!("{}{rest}", pool(peers, ""))).await
    }

    /// Writes another configuration in place of the first.
    pub fn rewrite(&self, rest: &str) {
        fs::write(&self.config, self.text(rest)).expect("config");
    }

    /// The whole text of a configuration with this gate's addresses.
    pub fn text(&self, rest: &str) -> String {
        text(self.address, self.admin, &self.listener, rest)
    }

    /// `POST /api/v1/reload`.
    pub async fn reload(&self) -> Answer {
        client::send(self.admin, "POST", "/api/v1/reload", &[], b"")
            .await
            .expect("admin answers")
    }

    /// `GET /api/v1/status`.
    pub async fn status(&self) -> Value {
        client::get(self.admin, "/api/v1/status")
            .await
            .expect("admin answers")
            .json()
    }

    /// The value of one series, named as in the text format; 0 when it is not there.
    pub async fn metric(&self, series: &str) -> f64 {
        let text = client::get(self.admin, "/metrics")
            .await
            .expect("admin answers")
            .text();
        text.lines()
            .filter_map(|line| line.rsplit_once(' '))
            .find(|(name, _)| *name == series)
            .map_or(0.0, |(_, value)| value.parse().expect("a number"))
    }

    /// Waits until the cache `answers` can serve by meaning.
    pub async fn embeds(&self) {
        until("the embedder is ready", || async {
            self.metric("tollgate_embedder_ready{cache=\"answers\"}")
                .await
                == 1.0
        })
        .await;
    }

    /// Asserts that nothing is counted as running any more.
    pub async fn is_at_rest(&self) {
        until("every gauge is zero", || async {
            let text = client::get(self.admin, "/metrics")
                .await
                .expect("admin answers")
                .text();
            busy(&text).is_empty()
        })
        .await;
    }

    /// Sends a signal by name, as `kill` knows it.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .args([&format!("-{name}"), &self.child.id().to_string()])
            .status()
            .expect("kill runs");
        assert!(status.success());
    }

    /// Whether the process has not ended yet.
    pub fn running(&mut self) -> bool {
        self.child.try_wait().expect("waits").is_none()
    }

    /// Waits for the process to end by itself.
    pub async fn ended(&mut self) -> ExitStatus {
        loop {
            if let Some(status) = self.child.try_wait().expect("waits") {
                return status;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Memory of its own that it holds right now, in bytes.
    pub fn resident(&self) -> u64 {
        let path = format!("/proc/{}/status", self.child.id());
        let status = fs::read_to_string(path).expect("it runs");
        let anonymous = status
            .lines()
            .find_map(|line| line.strip_prefix("RssAnon:"))
            .expect("a line");
        let kib = anonymous.trim().trim_end_matches(" kB");
        1024 * kib.parse::<u64>().expect("a number")
    }

    /// What it wrote to standard output: the access log unless configured otherwise.
    pub fn stdout(&self) -> String {
        fs::read_to_string(self.folder.path().join("stdout")).expect("file")
    }

    /// Waits until the access log says `text`.
    pub async fn has_logged(&self, text: &str) {
        until(text, || async { self.stdout().contains(text) }).await;
    }

    /// What it logged.
    pub fn stderr(&self) -> String {
        fs::read_to_string(self.folder.path().join("stderr")).expect("file")
    }

    /// Its folder, for files of the test.
    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- tollgate's log ---\n{}", self.stderr());
        }
    }
}

/// What it says goes to files in `folder`, after what was said there before.
fn run(config: &std::path::Path, folder: &std::path::Path) -> Command {
    let said = |name: &str| {
        let mut open = fs::OpenOptions::new();
        open.create(true).append(true).open(folder.join(name))
    };
    let mut command = binary();
    command
        .args(["run", "--config"])
        .arg(config)
        .stdout(said("stdout").expect("file"))
        .stderr(said("stderr").expect("file"));
    command
}

/// Gauges that are not about requests, and so are not zero at rest.
const STANDING: [&str; 15] = [
    "tollgate_peer_up",
    "tollgate_cache_entries",
    "tollgate_cache_bytes",
    "tollgate_cache_vectors",
    "tollgate_cache_vectors_waiting",
    "tollgate_cache_vectors_lost",
    "tollgate_cache_store_ready",
    "tollgate_cache_store_bytes",
    "tollgate_cache_store_waiting_bytes",
    "tollgate_cache_store_lost",
    "tollgate_cache_store_damaged",
    "tollgate_cache_familiar_body_bytes",
    "tollgate_embedder_ready",
    "tollgate_embed_remembered_bytes",
    "tollgate_config_generation",
];

/// Lines of a scrape whose gauges count something that runs.
pub fn busy(scrape: &str) -> Vec<&str> {
    let is_gauge = |name: &str| scrape.contains(&format!("# TYPE {name} gauge\n"));
    scrape
        .lines()
        .filter(|line| line.starts_with("tollgate_") && !line.ends_with(" 0"))
        .filter(|line| {
            let name = line.split(['{', ' ']).next().unwrap_or(line);
            is_gauge(name) && !STANDING.contains(&name)
        })
        .collect()
}

/// The binary under test.
pub fn binary() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
    command.stdin(Stdio::null());
    command
}

/// A pool named `pool` of these peers with health checks off; `more` are further keys, indented by four.
pub fn pool(peers: &[SocketAddr], more: &str) -> String {
    let peers: String = peers
        .iter()
        .map(|peer| format!("      - address: {peer}\n"))
        .collect();
    format!("pools:\n  pool:\n    health: off\n{more}    peers:\n{peers}")
}

fn text(address: SocketAddr, admin: SocketAddr, listener: &str, rest: &str) -> String {
    format!(
        "listen:\n  - address: {address}\n{listener}admin:\n  address: {admin}\nthreads: 2\n{rest}"
    )
}
