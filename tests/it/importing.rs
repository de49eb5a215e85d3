//! `tollgate import`: what it makes of nginx's files is a configuration, and works like nginx's.

mod nginx;

use std::fs;
use std::path::Path;

use crate::support::client;
use crate::support::gate::{Gate, binary};
use crate::support::peer::Peer;

fn import(conf: &str) -> (Option<i32>, String, String) {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("nginx.conf");
    fs::write(&path, conf).expect("written");
    let output = binary()
        .args(["import", path.to_str().expect("text")])
        .output()
        .expect("runs");
    (
        output.status.code(),
        String::from_utf8(output.stdout).expect("text"),
        String::from_utf8(output.stderr).expect("text"),
    )
}

#[test]
fn what_is_imported_passes_the_check() {
    let (code, yaml, said) = import(
        "worker_processes 2;
         http {
             access_log off;
             gzip on;
             client_max_body_size 8m;
             upstream chat { least_conn; server 10.0.0.11:8000 weight=3; server gpu.internal:8000 backup max_conns=9; }
             server {
                 listen 127.0.0.1:8080;
                 location /v1/ { proxy_pass http://chat; proxy_read_timeout 5m; proxy_next_upstream error http_503; }
                 location = /status { proxy_pass http://10.0.0.20:9000; }
             }
         }",
    );
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("left out"), "{said}");
    assert!(yaml.contains("gzip on;  (Tollgate passes"), "{yaml}");
    let folder = tempfile::tempdir().expect("folder");
    passes_the_check(folder.path(), &yaml);
}

#[test]
fn an_imported_edge_passes_the_check() {
    let folder = tempfile::tempdir().expect("folder");
    let at = |name: &str| folder.path().join(name).display().to_string();
    let own = rcgen::generate_simple_self_signed(vec!["api.example.com".to_owned()]);
    let own = own.expect("a certificate");
    fs::write(at("a.pem"), own.cert.pem()).expect("written");
    fs::write(at("a.key"), own.signing_key.serialize_pem()).expect("written");
    let conf = include_str!("../nginx/edge.conf")
        .replace("/etc/a.", &at("a."))
        .replace("/var/log/nginx/", &at(""))
        // Also what this sample does not have.
        .replace(
            "location = /healthz",
            "location /tls/ { proxy_pass https://api.example.org; proxy_ssl_verify on; allow 10.0.0.0/8; deny all; }
             location /in/ { proxy_pass http://chat/out/; deny 10.0.0.1; mirror /copy; client_max_body_size 1m; }
             location = /copy { internal; proxy_pass http://10.0.0.20:8000$request_uri; }
             location /moved/ { return 308 https://$host/new/; }
             location = /healthz",
        )
        .replace(
            "server { listen 80; server_name api.example.com;",
            "limit_conn_zone $binary_remote_addr zone=conns:10m;
             server { listen [::]:8080; server_name .b.example.com c.example.com www.d.*; limit_conn conns 5; location / { proxy_pass http://chat; } }
             server { listen 80; server_name api.example.com;",
        );
    let (code, yaml, said) = import(&conf);
    assert_eq!(code, Some(0), "{said}");
    passes_the_check(folder.path(), &yaml);
}

fn passes_the_check(folder: &Path, yaml: &str) {
    let file = folder.join("tollgate.yaml");
    fs::write(&file, yaml).expect("written");
    let checked = binary()
        .args(["check", "--config"])
        .arg(&file)
        .output()
        .expect("runs");
    assert!(
        checked.status.success(),
        "{}\n{yaml}",
        String::from_utf8_lossy(&checked.stderr)
    );
}

#[tokio::test]
async fn imported_routes_lead_where_nginx_led() {
    let (one, two) = (Peer::mirror().await, Peer::mirror().await);
    let (code, yaml, said) = import(&format!(
        "http {{ server {{ listen 127.0.0.1:1; location /a/ {{ proxy_pass http://{}; }} location /a/b/ {{ proxy_pass http://{}; }} }} }}",
        one.address, two.address
    ));
    assert_eq!(code, Some(0), "{said}");
    let rest = yaml.split_once("\npools:").expect("pools").1;
    let gate = Gate::start(&format!("pools:{rest}")).await;
    for (path, status) in [("/a/x", 200), ("/a/b/x", 200), ("/c", 404)] {
        let answer = client::get(gate.address, path).await.expect("an answer");
        assert_eq!(answer.status, status, "{path}");
    }
    // Lines come in the order in which requests end, which is after their answers.
    let mut routes: Vec<(String, String)> = crate::support::until_lines(|| gate.stdout(), 3)
        .await
        .iter()
        .map(|line| {
            let line: serde_json::Value = serde_json::from_str(line).expect("JSON");
            let text = |field: &str| line[field].as_str().unwrap_or("none").to_owned();
            (text("path"), text("upstream"))
        })
        .collect();
    routes.sort();
    let led = |path: &str, to: String| (path.to_owned(), to);
    assert_eq!(
        routes,
        [
            led("/a/b/x", two.address.to_string()),
            led("/a/x", one.address.to_string()),
            led("/c", "none".to_owned())
        ]
    );
}

#[test]
fn an_existing_file_is_not_written_over_and_a_bad_one_ends_with_64() {
    let folder = tempfile::tempdir().expect("folder");
    let (conf, out) = (folder.path().join("n.conf"), folder.path().join("t.yaml"));
    fs::write(
        &conf,
        "server { listen 80; location / { proxy_pass http://10.0.0.1; } }",
    )
    .expect("written");
    let run = || {
        binary()
            .arg("import")
            .arg(&conf)
            .arg("-o")
            .arg(&out)
            .output()
            .expect("runs")
    };
    assert!(run().status.success());
    let first = fs::read_to_string(&out).expect("written");
    assert!(first.contains("10.0.0.1:80"));
    let again = run();
    assert_eq!(again.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&again.stderr).contains("t.yaml"));
    assert_eq!(fs::read_to_string(&out).expect("still there"), first);
    fs::write(&conf, "server { listen 80;").expect("written");
    assert_eq!(run().status.code(), Some(64));
}
