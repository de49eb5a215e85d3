//! Programs that others wrote as users, and transfers as large as theirs.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use tokio::task::JoinHandle;
use tollgate::sim::{SimConfig, SimServer};

use crate::support::free_address;
use crate::support::gate::{Gate, pool};
use crate::support::peer::{Peer, sha256};

/// The folder with the official Python clients, or `None` with a clear word.
fn packages() -> Option<OsString> {
    let packages = std::env::var_os("TOLLGATE_PYTHON");
    if packages.is_none() {
        eprintln!(
            "skipped: TOLLGATE_PYTHON names no folder with the official clients (scripts/test sets it up)"
        );
    }
    packages
}

fn python(packages: OsString, script: &str) -> Command {
    let script = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/clients")
        .join(script);
    let mut command = Command::new("python3");
    command
        .arg(script)
        .env("PYTHONPATH", packages)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

fn is_content(output: &Output, word: &str) {
    let said = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains(word), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_anthropic_python_client_gets_what_it_expects_from_every_call() {
    let Some(packages) = packages() else { return };
    let sim = SimServer::start(SimConfig::default())
        .await
        .expect("starts");
    let open = Gate::before(&[sim.addr()], "").await;
    let keys = format!(
        "keys:\n  - {{ name: ok, sha256: \"{}\" }}\n  - {{ name: once, sha256: \"{}\", tier: tiny }}\nlimits:\n  - {{ per: key, tier: tiny, requests: 1/min }}\n",
        sha256(b"key-ok"),
        sha256(b"key-once")
    );
    let limited = Gate::start(&format!("{}{keys}", pool(&[sim.addr()], ""))).await;
    let down = Gate::before(&[free_address()], "").await;
    let output = python(packages, "anthropic_client.py")
        .env("BASE_URL", format!("http://{}", open.address))
        .env("LIMITED_URL", format!("http://{}", limited.address))
        .env("DOWN_URL", format!("http://{}", down.address))
        .output()
        .await
        .expect("python3 runs");
    is_content(&output, "the Anthropic client is content");
    open.is_at_rest().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_library_on_both_sides_sees_every_message_ping_and_close_code() {
    let Some(packages) = packages() else { return };
    let mut server = python(packages.clone(), "websocket_client.py")
        .arg("serve")
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 runs");
    let mut port = String::new();
    BufReader::new(server.stdout.take().expect("piped"))
        .read_line(&mut port)
        .await
        .expect("a port");
    let peer: SocketAddr = format!("127.0.0.1:{}", port.trim())
        .parse()
        .expect("an address");
    let gate = Gate::before(&[peer], "").await;
    let output = python(packages, "websocket_client.py")
        .arg("talk")
        .arg(format!("ws://{}/echo", gate.address))
        .output()
        .await
        .expect("python3 runs");
    is_content(&output, "the WebSocket client is content");
    gate.is_at_rest().await;
}

/// `curl` with these arguments; `None` with a clear word where it is absent or without HTTP/2.
async fn curl(arguments: &[&str]) -> Option<String> {
    let version = Command::new("curl").arg("--version").output().await;
    let known = version.is_ok_and(|output| {
        String::from_utf8_lossy(&output.stdout)
            .split_whitespace()
            .any(|word| word == "HTTP2")
    });
    if !known {
        eprintln!("skipped: there is no curl with HTTP/2 here (apt-get install curl)");
        return None;
    }
    let output = Command::new("curl")
        .args(["--silent", "--show-error", "--max-time", "60"])
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .await
        .expect("curl runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {said}");
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// What a curl with HTTP/2 asks, given how it is to speak it.
async fn curl_is_served(how: &[&str], base: &str, folder: &Path) {
    let version = ["--write-out", " %{http_version} %{http_code}"];
    let call = |more: &[&str]| [how, &version, more].concat().join("\n");
    let run = async |more: &[&str]| {
        let call = call(more);
        curl(&call.split('\n').collect::<Vec<_>>()).await
    };
    let large = folder.join("large");
    let body: Vec<u8> = (0..3_000_000_u32).map(|i| (i % 251) as u8).collect();
    std::fs::write(&large, &body).expect("written");
    let upload = format!("@{}", large.display());
    let Some(mirrored) = run(&["--data-binary", &upload, &format!("{base}/mirror")]).await else {
        return;
    };
    assert!(mirrored.contains(&sha256(&body)), "{mirrored}");
    assert!(mirrored.ends_with(" 2 200"), "{mirrored}");
    let chunked = ["--header", "content-length:", "--data-binary", &upload];
    let mirrored = run(&[&chunked[..], &[&format!("{base}/v1/chat/completions")]].concat())
        .await
        .expect("it ran before");
    assert!(mirrored.contains(&sha256(&body)), "{mirrored}");
    let head = run(&["--head", &format!("{base}/head")])
        .await
        .expect("it ran before");
    assert!(head.to_lowercase().contains("content-length:"), "{head}");
    if how.contains(&"--http2-prior-knowledge") {
        // curl 7.88 fails at its second request on such a connection, before any server (7.88.1, also before nginx).
        return;
    }
    let twice = run(&[&format!("{base}/one"), &format!("{base}/two")])
        .await
        .expect("it ran before");
    assert!(twice.contains("/one") && twice.contains("/two"), "{twice}");
}

#[tokio::test(flavor = "multi_thread")]
async fn curl_with_prior_knowledge_of_http_2_is_served() {
    let peer = Peer::mirror().await;
    let gate = Gate::before(&[peer.address], "").await;
    let base = format!("http://{}", gate.address);
    curl_is_served(&["--http2-prior-knowledge"], &base, gate.folder()).await;
    gate.is_at_rest().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn curl_that_offers_http_2_without_tls_is_served_in_http_1() {
    let peer = Peer::mirror().await;
    let gate = Gate::before(&[peer.address], "").await;
    let url = format!("http://{}/plain", gate.address);
    let version = [
        "--http2",
        "--write-out",
        " %{http_version} %{http_code}",
        &url,
    ];
    let Some(said) = curl(&version).await else {
        return;
    };
    // A server may also take the offer and switch.
    assert!(
        said.ends_with(" 1.1 200") || said.ends_with(" 2 200"),
        "{said}"
    );
    gate.is_at_rest().await;
}

/// A certificate for `localhost` and its key, made by the `openssl` program; `None` with a clear word where it is absent.
async fn certificate(folder: &Path) -> Option<(PathBuf, PathBuf)> {
    let (cert, key) = (folder.join("cert.pem"), folder.join("key.pem"));
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
        ])
        .args(["-nodes", "-days", "2", "-subj", "/CN=localhost"])
        .args(["-addext", "subjectAltName=DNS:localhost"])
        .arg("-keyout")
        .arg(&key)
        .arg("-out")
        .arg(&cert)
        .stdin(Stdio::null())
        .output()
        .await;
    match made {
        Ok(output) if output.status.success() => Some((cert, key)),
        _ => {
            eprintln!("skipped: there is no openssl here (apt-get install openssl)");
            None
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn curl_gets_http_2_over_tls_when_it_asks_for_it_and_http_1_when_it_does_not() {
    let folder = tempfile::tempdir().expect("folder");
    let Some((cert, key)) = certificate(folder.path()).await else {
        return;
    };
    let peer = Peer::mirror().await;
    let listener = format!(
        "    tls: {{ certificates: [ {{ cert: {}, key: {} }} ] }}\n",
        cert.display(),
        key.display()
    );
    let gate = Gate::listening(&listener, &pool(&[peer.address], "")).await;
    let base = format!("https://localhost:{}", gate.address.port());
    let trust = cert.display().to_string();
    curl_is_served(&["--http2", "--cacert", &trust], &base, folder.path()).await;
    let old = [
        "--http1.1",
        "--cacert",
        &trust,
        "--write-out",
        " %{http_version}",
        &base,
    ];
    if let Some(said) = curl(&old).await {
        assert!(said.ends_with(" 1.1"), "{said}");
    }
    gate.is_at_rest().await;
}

const LARGE: usize = 2 << 30;
const PIECE: usize = 256 << 10;
/// Most memory that a transfer may add.
const MOST: u64 = 64 << 20;

/// Samples the memory of a gate until it is dropped.
async fn while_watched(gate: &Gate, transfer: impl Future<Output = ()>) -> u64 {
    let mut highest = 0;
    tokio::pin!(transfer);
    loop {
        tokio::select! {
            () = &mut transfer => return highest,
            () = tokio::time::sleep(Duration::from_millis(20)) => highest = highest.max(gate.resident()),
        }
    }
}

/// Reads `length` bytes, each of which must be as `write` sends them.
async fn read_large(stream: &mut TcpStream) {
    let mut part = vec![0; PIECE];
    let mut left = LARGE;
    while left > 0 {
        let most = left.min(PIECE);
        let read = stream.read(&mut part[..most]).await.expect("read");
        assert!(read > 0, "cut with {left} bytes left");
        let at = LARGE - left;
        assert_eq!(
            (part[0], part[read - 1]),
            (byte_at(at), byte_at(at + read - 1))
        );
        left -= read;
    }
}

fn byte_at(at: usize) -> u8 {
    (at % PIECE / 1024) as u8
}

async fn write_large(stream: &mut TcpStream) {
    let piece: Vec<u8> = (0..PIECE).map(byte_at).collect();
    for _ in 0..LARGE / PIECE {
        stream.write_all(&piece).await.expect("written");
    }
}

async fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.expect("a head"));
    }
    String::from_utf8(head).expect("text")
}

/// A peer that takes one large upload, or gives one large download.
async fn large_peer() -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let address = listener.local_addr().expect("bound");
    let task = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("accepts");
        let head = read_head(&mut stream).await;
        let answer = if head.starts_with("PUT") {
            read_large(&mut stream).await;
            "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok".to_owned()
        } else {
            format!("HTTP/1.1 200 OK\r\ncontent-length: {LARGE}\r\n\r\n")
        };
        stream.write_all(answer.as_bytes()).await.expect("written");
        if head.starts_with("GET") {
            write_large(&mut stream).await;
        }
        // The gate closes first.
        let _ = stream.read_u8().await;
    });
    (address, task)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long; run by scripts/test"]
async fn two_gibibytes_go_down_and_up_in_bounded_memory() {
    for (method, length) in [("GET", 0), ("PUT", LARGE)] {
        let (peer, _task) = large_peer().await;
        let gate = Gate::before(&[peer], "").await;
        let rest = gate.resident();
        let began = std::time::Instant::now();
        let highest = while_watched(&gate, async {
            let mut stream = TcpStream::connect(gate.address).await.expect("connects");
            let head = format!(
                "{method} /large HTTP/1.1\r\nhost: t\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n"
            );
            stream.write_all(head.as_bytes()).await.expect("sent");
            if length > 0 {
                write_large(&mut stream).await;
            }
            let head = read_head(&mut stream).await;
            assert!(head.starts_with("HTTP/1.1 200"), "{head}");
            if length == 0 {
                read_large(&mut stream).await;
            }
        })
        .await;
        println!(
            "{method} of 2 GiB: {:.1} s; {:.1} MiB at rest, at most {:.1} MiB",
            began.elapsed().as_secs_f64(),
            rest as f64 / 1048576.0,
            highest as f64 / 1048576.0
        );
        assert!(highest > 0, "memory was seen while bytes flowed");
        assert!(
            highest < rest + MOST,
            "{rest} bytes at rest, then {highest}"
        );
        gate.is_at_rest().await;
    }
}
