//! A new binary takes over from the running one, and no client notices.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use http_body_util::BodyExt;
use parking_lot::Mutex;
use serde_json::json;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::support::client::{self, ask};
use crate::support::gate::{Gate, binary, pool};
use crate::support::peer::{Peer, Wire};
use crate::support::raw::{Raw, post};
use crate::support::replace::{Process, successor, upgrade};
use crate::support::{free_address, until};

const SOCKET: &str = "upgrade_socket: ./upgrade.sock\n";

/// A peer whose streams wait for `finish` before they end; other requests are answered at once.
async fn patient(finish: watch::Receiver<bool>) -> Peer {
    Peer::start(move |mut wire: Wire, _| {
        let mut finish = finish.clone();
        async move {
            while let Some(request) = wire.request().await? {
                if !String::from_utf8_lossy(&request.body).contains("\"stream\":true") {
                    wire.json(200, &request.digest()).await?;
                    continue;
                }
                wire.events().await?;
                wire.token("first").await?;
                let _ = finish.wait_for(|done| *done).await;
                wire.token("last").await?;
                wire.chunk("data: [DONE]\n\n").await?;
                wire.raw("0\r\n\r\n").await?;
            }
            Ok(())
        }
    })
    .await
}

/// Asks on new connections, one after the other on each of four tasks, until told to stop.
struct Load {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    failed: Arc<Mutex<Vec<String>>>,
    tasks: JoinSet<()>,
}

impl Load {
    fn on(gate: &Gate) -> Self {
        let mut load = Self {
            stop: Arc::default(),
            answered: Arc::default(),
            failed: Arc::default(),
            tasks: JoinSet::new(),
        };
        for _ in 0..4 {
            let address = gate.address;
            let (stop, answered) = (Arc::clone(&load.stop), Arc::clone(&load.answered));
            let failed = Arc::clone(&load.failed);
            load.tasks.spawn(async move {
                let body = client::chat("hello", json!({}));
                while !stop.load(Ordering::Relaxed) {
                    let path = "/v1/chat/completions";
                    match client::send(address, "POST", path, &[], &body).await {
                        Ok(answer) if answer.status == 200 => {
                            answered.fetch_add(1, Ordering::Relaxed);
                        }
                        Ok(answer) => failed.lock().push(answer.status.to_string()),
                        Err(error) => failed.lock().push(error.to_string()),
                    }
                }
            });
        }
        load
    }

    async fn more(&self, count: usize) {
        let until_now = self.answered.load(Ordering::Relaxed);
        until("more requests are answered", || async {
            self.answered.load(Ordering::Relaxed) >= until_now + count
                || !self.failed.lock().is_empty()
        })
        .await;
    }

    async fn end(mut self) {
        self.stop.store(true, Ordering::Relaxed);
        while let Some(task) = self.tasks.join_next().await {
            task.expect("runs");
        }
        assert_eq!(*self.failed.lock(), Vec::<String>::new());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upgrade_under_load_refuses_no_connection_and_cuts_no_stream() {
    let (finish, finished) = watch::channel(false);
    let peer = patient(finished).await;
    let mut gate = Gate::before(&[peer.address], SOCKET).await;
    let body = client::chat("hello", json!({ "stream": true }));
    let mut streams = Vec::new();
    for _ in 0..20 {
        let begun = client::begin(gate.address, "POST", "/v1/chat/completions", &[], &body).await;
        streams.push(begun.expect("begins"));
    }
    let load = Load::on(&gate);
    load.more(50).await;

    let next = successor(&upgrade(&gate).await);
    load.more(200).await;
    // The old one is there for its streams alone: what is counted now is the new one's.
    assert!(next.signal("0"), "the new process runs");
    until("the new one counts its own requests only", || async {
        gate.metric("tollgate_inflight_requests").await < 20.0
    })
    .await;
    assert!(gate.running(), "the old process drains");
    load.more(200).await;

    finish.send(true).expect("the peer waits");
    for stream in streams {
        let text = stream
            .into_body()
            .collect()
            .await
            .expect("whole")
            .to_bytes();
        assert!(text.ends_with(b"data: [DONE]\n\n"));
    }
    assert!(gate.ended().await.success());
    // Once more with the old process gone.
    load.more(50).await;
    load.end().await;
    gate.is_at_rest().await;
    let log = gate.stderr();
    assert!(log.contains("drained") && !log.contains("cut off"), "{log}");

    next.signal("TERM");
    until("the new one has ended", || async {
        TcpStream::connect(gate.address).await.is_err()
    })
    .await;
}

#[tokio::test]
async fn a_client_that_connected_to_the_old_process_and_asks_after_the_upgrade_is_answered() {
    let peer = Peer::mirror().await;
    let mut gate = Gate::before(&[peer.address], SOCKET).await;
    let mut early = Raw::connect(&gate).await;
    let _next = successor(&upgrade(&gate).await);
    let body = client::chat("hello", json!({}));
    early.send(post("/v1/chat/completions", "", &body)).await;
    let (head, _) = early.answer().await.expect("answered");
    assert!(head.starts_with("http/1.1 200"), "{head}");
    assert!(head.contains("connection: close"), "{head}");
    assert!(gate.ended().await.success());
}

#[tokio::test]
async fn a_new_process_that_does_not_come_up_leaves_the_old_one_serving_and_the_next_try_works() {
    let peer = Peer::mirror().await;
    let mut gate = Gate::before(&[peer.address], SOCKET).await;
    gate.rewrite("pools: {}\n");
    let refused = upgrade(&gate).await;
    assert_eq!(refused.status.code(), Some(64));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("pools"));

    // Past the check: the new process itself ends.
    gate.signal("USR2");
    until("the new process has failed", || async {
        gate.stderr().contains("the new process ended")
    })
    .await;
    assert_eq!(ask(gate.address, "hello", &[]).await.status, 200);

    // One that cannot listen fails after it has taken the sockets.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("binds");
    let taken_address = taken.local_addr().expect("bound");
    let listen = format!("listen:\n  - address: {taken_address}\n");
    let rest = format!("{}{SOCKET}", pool(&[peer.address], ""));
    let more = gate.text(&rest).replacen("listen:\n", &listen, 1);
    fs::write(&gate.config, &more).expect("written");
    let failed = upgrade(&gate).await;
    assert_eq!(failed.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&failed.stderr).contains("the new process ended"));
    assert_eq!(ask(gate.address, "hello", &[]).await.status, 200);
    assert!(gate.running());

    drop(taken);
    let socket = gate.folder().join("upgrade.sock");
    let output = binary()
        .args(["upgrade", "--socket"])
        .arg(socket)
        .output()
        .expect("runs");
    let _next = successor(&output);
    assert!(gate.ended().await.success());
    assert_eq!(ask(gate.address, "hello", &[]).await.status, 200);
    assert_eq!(ask(taken_address, "hello", &[]).await.status, 200);
}

#[tokio::test]
async fn addresses_can_change_and_upgrades_follow_each_other() {
    let peer = Peer::mirror().await;
    let mut gate = Gate::before(&[peer.address], SOCKET).await;
    let rest = format!("{}{SOCKET}", pool(&[peer.address], ""));
    let (old, new) = (gate.address, free_address());
    let moved = gate.text(&rest).replace(&old.to_string(), &new.to_string());
    fs::write(&gate.config, moved).expect("written");
    let first = successor(&upgrade(&gate).await);
    assert!(gate.ended().await.success());
    assert_eq!(ask(new, "hello", &[]).await.status, 200);
    until("nobody listens on the old address", || async {
        TcpStream::connect(old).await.is_err()
    })
    .await;

    // Two at once: one at least does it, and there is one process that serves in the end.
    let (one, two) = tokio::join!(upgrade(&gate), upgrade(&gate));
    let done: Vec<Process> = [one, two]
        .iter()
        .filter(|output| output.status.success())
        .map(successor)
        .collect();
    assert!(!done.is_empty());
    until("the one before has ended", || async { !first.signal("0") }).await;
    assert_eq!(ask(new, "hello", &[]).await.status, 200);
}

#[tokio::test]
async fn systemd_hears_that_it_serves_and_which_process_is_the_main_one() {
    let peer = Peer::mirror().await;
    let rest = format!("{}{SOCKET}", pool(&[peer.address], ""));
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("notify");
    let notify = UnixDatagram::bind(&path).expect("binds");
    notify
        .set_read_timeout(Some(Duration::from_secs(20)))
        .expect("set");
    let hear = || {
        let mut text = [0; 256];
        let read = notify.recv(&mut text).expect("heard in time");
        String::from_utf8_lossy(&text[..read]).into_owned()
    };
    let mut gate = Gate::start_with(&rest, |command, _| {
        command.env("NOTIFY_SOCKET", &path);
    })
    .await;
    assert_eq!(hear().trim(), "READY=1");
    let next = successor(&upgrade(&gate).await);
    assert_eq!(hear().trim(), format!("MAINPID={}", next.0));
    assert!(gate.ended().await.success());
}

#[tokio::test]
async fn the_runtime_directory_of_systemd_holds_the_socket_unless_it_is_off() {
    let peer = Peer::mirror().await;
    let rest = pool(&[peer.address], "");
    let gate = Gate::start_with(&rest, |command, folder| {
        command.env("RUNTIME_DIRECTORY", folder);
    })
    .await;
    until("the socket is there", || async {
        gate.folder().join("upgrade.sock").exists()
    })
    .await;
    let off = Gate::start_with(
        &format!("{rest}upgrade_socket: off\n"),
        |command, folder| {
            command.env("RUNTIME_DIRECTORY", folder);
        },
    )
    .await;
    assert!(!off.folder().join("upgrade.sock").exists());
    let output = upgrade(&off).await;
    assert!(String::from_utf8_lossy(&output.stderr).contains("upgrade_socket is off"));
}

#[tokio::test]
async fn what_cannot_be_taken_over_or_made_is_said_clearly() {
    let peer = Peer::mirror().await;
    let gate = Gate::before(&[peer.address], SOCKET).await;
    let run = |config: &std::path::Path, more: &[&str]| {
        let output = binary()
            .args(["run", "--config"])
            .arg(config)
            .args(more)
            .output()
            .expect("runs");
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    // The same file twice.
    let said = run(&gate.config, &[]);
    assert!(said.contains("another process answers there"), "{said}");

    let folder = tempfile::tempdir().expect("folder");
    let config = folder.path().join("tollgate.yaml");
    let rest = format!("{}{SOCKET}", pool(&[peer.address], ""));
    let text = format!("listen:\n  - address: {}\n{rest}", free_address());
    fs::write(&config, text).expect("written");
    let said = run(&config, &["--upgrade"]);
    assert!(said.contains("cannot take over from"), "{said}");

    let file = folder.path().join("upgrade.sock");
    fs::write(&file, "precious").expect("written");
    let said = run(&config, &[]);
    assert!(said.contains("no socket lies there"), "{said}");
    assert_eq!(fs::read_to_string(&file).expect("there"), "precious");
}
