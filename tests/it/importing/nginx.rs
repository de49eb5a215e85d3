//! The same requests to nginx and to Tollgate with the same file. Without nginx what it does is taken from the table.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;
use tokio::net::TcpStream;

use super::import;
use crate::support::gate::Gate;
use crate::support::peer::{Peer, Wire};
use crate::support::{client, free_address, until};

/// Method, host, path, bytes of the body; and what comes of it.
const REQUESTS: [(&str, &str, &str, usize, &str); 30] = [
    ("GET", "a.test", "/healthz", 0, "200 text/plain: ok\n"),
    ("GET", "a.test", "/healthz/x", 0, "404"),
    (
        "GET",
        "a.test",
        "/json",
        0,
        "200 application/json: {\"a\":\"b\"}",
    ),
    (
        "GET",
        "a.test",
        "/old/x?a=b",
        0,
        "301 https://a.test/old/x?a=b",
    ),
    ("GET", "else.test", "/old/", 0, "301 https://else.test/old/"),
    (
        "POST",
        "a.test",
        "/moved/x",
        5,
        "308 https://new.example.com/here",
    ),
    ("GET", "a.test", "/gone", 0, "410"),
    (
        "GET",
        "a.test",
        "/for/good/x?a=b",
        0,
        "301 https://x.test/for/good/x?a=b",
    ),
    ("GET", "a.test", "/pre/x", 0, "200 peer GET /b/x for a.test"),
    ("GET", "a.test", "/pre", 0, "200 peer GET /b for a.test"),
    (
        "GET",
        "a.test",
        "/api/x?q=1",
        0,
        "200 peer GET /internal/x?q=1 for a.test",
    ),
    (
        "GET",
        "a.test",
        "/api/a%20b",
        0,
        "200 peer GET /internal/a%20b for a.test",
    ),
    (
        "GET",
        "a.test",
        "/api/deep/x/y",
        0,
        "200 peer GET /d/x/y for a.test",
    ),
    (
        "PUT",
        "a.test",
        "/v1/x",
        3,
        "200 peer PUT /v1/x for inner.test, env prod; served by edge",
    ),
    (
        "GET",
        "else.test",
        "/v1/x",
        0,
        "200 peer GET /v1/x for inner.test, env prod; served by edge",
    ),
    (
        "GET",
        "a.test",
        "/v2/chat",
        0,
        "200 peer GET /v2/chat for a.test",
    ),
    ("GET", "a.test", "/v2/other", 0, "404"),
    ("GET", "a.test", "/closed/x", 0, "403"),
    (
        "GET",
        "a.test",
        "/closed/%2e%2e/local/x",
        0,
        "200 peer GET /closed/%2e%2e/local/x for a.test",
    ),
    ("GET", "a.test", "/local/../closed/x", 0, "403"),
    (
        "GET",
        "a.test",
        "/local/x",
        0,
        "200 peer GET /local/x for a.test",
    ),
    ("GET", "a.test", "/away/x", 0, "403"),
    (
        "POST",
        "a.test",
        "/small/x",
        10,
        "200 peer POST /small/x for a.test",
    ),
    ("POST", "a.test", "/small/x", 11, "413"),
    (
        "GET",
        "a.test",
        "/limited/1",
        0,
        "200 peer GET /limited/1 for a.test",
    ),
    (
        "GET",
        "a.test",
        "/limited/2",
        0,
        "200 peer GET /limited/2 for a.test",
    ),
    ("GET", "a.test", "/limited/3", 0, "429"),
    (
        "GET",
        "a.test",
        "/mirrored/x",
        0,
        "200 peer GET /mirrored/x for a.test",
    ),
    ("GET", "x.c.test", "/who", 0, "200 text/plain: b or c"),
    ("GET", "c.test", "/who", 0, "404"),
];

/// Answers with what it was asked, and a header that is hidden from clients.
async fn peer() -> Peer {
    Peer::start(|mut wire: Wire, _| async move {
        while let Some(request) = wire.request().await? {
            let line = request.line.trim_end_matches(" HTTP/1.1");
            let mut text = format!("peer {line} for {}", request.header("host").unwrap_or("nobody"));
            if let Some(env) = request.header("x-env") {
                text.push_str(&format!(", env {env}"));
            }
            if let Some(secret) = request.header("x-secret").filter(|_| line.contains("/v1/")) {
                text.push_str(&format!(", secret {secret}"));
            }
            wire.raw(format!(
                "HTTP/1.1 200 OK\r\ncontent-type: text/x-peer\r\nx-engine: e\r\ncontent-length: {}\r\n\r\n{text}",
                text.len()
            ))
            .await?;
        }
        Ok(())
    })
    .await
}

/// Sends each request; what comes of it, in words.
async fn outcomes(address: SocketAddr) -> Vec<String> {
    let mut all = Vec::new();
    for (method, host, path, bytes, _) in REQUESTS {
        let body = vec![b'x'; bytes];
        let headers = [("x-secret", "s"), ("host", host)];
        let answer = client::send(address, method, path, &headers, &body).await;
        let answer = answer.unwrap_or_else(|error| panic!("{method} {path}: {error}"));
        let mut seen = answer.status.as_u16().to_string();
        match answer.header("content-type") {
            _ if answer.status.is_redirection() => {
                seen.push_str(&format!(
                    " {}",
                    answer.header("location").unwrap_or("nowhere")
                ));
            }
            Some("text/x-peer") => seen.push_str(&format!(" {}", answer.text())),
            Some(kind) if answer.status == 200 => {
                seen.push_str(&format!(" {kind}: {}", answer.text()))
            }
            _ => {}
        }
        if let Some(by) = answer.header("x-served-by") {
            seen.push_str(&format!("; served by {by}"));
            assert_eq!(answer.header("x-engine"), None);
        }
        all.push(seen);
    }
    all
}

struct Nginx(Child);

impl Nginx {
    /// Runs the file; `None` where there is no nginx.
    async fn run(conf: &str, folder: &TempDir, address: SocketAddr) -> Option<Self> {
        let file = folder.path().join("nginx.conf");
        std::fs::write(&file, conf).expect("written");
        let error_log = folder.path().join("error.log");
        let child = Command::new("nginx")
            .arg("-p")
            .arg(folder.path())
            .arg("-c")
            .arg(&file)
            .arg("-e")
            .arg(&error_log)
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let mut nginx = Self(child.ok()?);
        until("nginx listens", || {
            let ended = nginx.0.try_wait().expect("waits");
            let said = std::fs::read_to_string(&error_log).unwrap_or_default();
            assert_eq!(ended, None, "{said}");
            async move { TcpStream::connect(address).await.is_ok() }
        })
        .await;
        Some(nginx)
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn an_imported_file_answers_as_nginx_does() {
    let (peer, copies) = (peer().await, Peer::mirror().await);
    let folder = tempfile::tempdir().expect("folder");
    let listen = free_address();
    let conf = include_str!("../../nginx/routes.conf")
        .replace("@FOLDER@", &folder.path().display().to_string())
        .replace("@LISTEN@", &listen.to_string())
        .replace("@PEER@", &peer.address.to_string())
        .replace("@COPY@", &copies.address.to_string());
    let (code, yaml, said) = import(&conf);
    assert_eq!(code, Some(0), "{said}");
    let expected = REQUESTS.map(|(_, _, _, _, outcome)| outcome);

    match Nginx::run(&conf, &folder, listen).await {
        Some(_nginx) => assert_eq!(outcomes(listen).await, expected, "nginx"),
        None => eprintln!("skipped: there is no nginx here to compare with"),
    }
    let before = copies.connections();
    let rest = yaml.split_once("\npools:").expect("pools").1;
    let gate = Gate::start(&format!("access_log: off\npools:{rest}")).await;
    assert_eq!(outcomes(gate.address).await, expected, "tollgate");
    until("the copy has come", || async {
        copies.connections() > before
    })
    .await;
    let status: Value = gate.status().await;
    assert_eq!(status["config"]["refused"], Value::Null);
    gate.is_at_rest().await;
}
