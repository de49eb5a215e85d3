//! Builders for what the tests need: the proxy under test, peers, clients.

#![allow(
    dead_code,
    unreachable_pub,
    reason = "builders shared by the test files, not all used by each"
)]

pub mod client;
pub mod gate;
pub mod peer;
pub mod raw;
pub mod recorded;
pub mod replace;
pub mod strict;

use std::collections::BTreeSet;
use std::future::Future;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// An address that nobody listens on, and that was not given to any other test of this process.
pub fn free_address() -> SocketAddr {
    static GIVEN: Mutex<BTreeSet<SocketAddr>> = Mutex::new(BTreeSet::new());
    loop {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound");
        if GIVEN.lock().insert(address) {
            return address;
        }
    }
}

/// Asks until the answer is yes. The limit only ends a test that would hang.
pub async fn until<F: Future<Output = bool>>(what: &str, mut ask: impl FnMut() -> F) {
    let end = Instant::now() + Duration::from_secs(30);
    while !ask().await {
        assert!(Instant::now() < end, "never happened: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The lines of `text` once there are so many.
pub async fn until_lines(text: impl Fn() -> String, count: usize) -> Vec<String> {
    until("the lines are written", || async {
        text().lines().count() >= count && text().ends_with('\n')
    })
    .await;
    text().lines().map(str::to_owned).collect()
}

/// Directory of the sentence model that `scripts/setup-embedder` makes; says so where there is none.
pub fn sentence_model() -> Option<PathBuf> {
    let models = std::env::var_os("TOLLGATE_MODELS").map(PathBuf::from);
    let model = models.map(|models| models.join("all-MiniLM-L6-v2"));
    let model = model.filter(|model| model.join("model.onnx").exists());
    if model.is_none() {
        eprintln!("skipped: TOLLGATE_MODELS names no folder with all-MiniLM-L6-v2");
    }
    model
}

/// The folder of recorded data, or `None` with a clear word when it is absent.
pub fn data(folder: &str) -> Option<PathBuf> {
    let path = std::env::var_os("TOLLGATE_DATA")
        .map_or_else(
            || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/data"),
            PathBuf::from,
        )
        .join(folder);
    if path.exists() {
        return Some(path);
    }
    eprintln!("skipped: {} is absent", path.display());
    None
}
