//! Official clients as users.

use std::path::Path;
use std::process::Stdio;

use tokio::process::Command;
use tollgate::sim::{SimConfig, SimServer};

use crate::support::free_address;
use crate::support::gate::{Gate, pool};
use crate::support::peer::sha256;

#[tokio::test(flavor = "multi_thread")]
async fn the_openai_python_client_gets_what_it_expects_from_every_call() {
    let Some(packages) = std::env::var_os("TOLLGATE_PYTHON") else {
        eprintln!(
            "skipped: TOLLGATE_PYTHON names no folder with the official clients (scripts/test sets it up)"
        );
        return;
    };
    let sim = SimServer::start(SimConfig::default())
        .await
        .expect("starts");
    let two_pools = format!(
        "pools:\n  one: {{ peers: [{{ address: \"{0}\" }}] }}\n  two: {{ peers: [{{ address: \"{0}\" }}] }}\nroutes:\n  - {{ match: {{ path: \"/v1/*\", model: \"sim*\" }}, pool: one }}\n  - {{ match: {{ path: \"/*\" }}, pool: two }}\n",
        sim.addr()
    );
    let open = Gate::start(&two_pools).await;
    let keys = format!(
        "keys:\n  - {{ name: ok, sha256: \"{}\" }}\n  - {{ name: once, sha256: \"{}\", tier: tiny }}\nlimits:\n  - {{ per: key, tier: tiny, requests: 1/min }}\n",
        sha256(b"key-ok"),
        sha256(b"key-once")
    );
    let limited = Gate::start(&format!("{}{keys}", pool(&[sim.addr()], ""))).await;
    let down = Gate::before(&[free_address()], "").await;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/openai_client.py");
    let output = Command::new("python3")
        .arg(script)
        .env("PYTHONPATH", packages)
        .env("BASE_URL", format!("http://{}/v1", open.address))
        .env("LIMITED_URL", format!("http://{}/v1", limited.address))
        .env("DOWN_URL", format!("http://{}/v1", down.address))
        .stdin(Stdio::null())
        .output()
        .await
        .expect("python3 runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("the OpenAI client is content"), "{said}");
}
