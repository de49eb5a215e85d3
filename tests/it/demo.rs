//! The demo as a user runs it.

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::support::free_address;
use crate::support::gate::binary;

/// The variables of conf/demo.yaml that move its ports.
const PORTS: [&str; 5] = [
    "TOLLGATE_DEMO_PORT",
    "TOLLGATE_DEMO_ADMIN_PORT",
    "TOLLGATE_DEMO_SIM_1",
    "TOLLGATE_DEMO_SIM_2",
    "TOLLGATE_DEMO_SIM_3",
];

/// `tollgate demo --once` on free ports, with its log in a folder of the test.
fn demo(folder: &TempDir) -> Command {
    let mut command = binary();
    command
        .args(["demo", "--once", "--config"])
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("conf/demo.yaml"));
    command.env("TMPDIR", folder.path());
    for name in PORTS {
        command.env(name, free_address().port().to_string());
    }
    command
}

/// Where the variable puts a listener of this demo.
fn address(command: &Command, name: &str) -> SocketAddr {
    let port = command
        .get_envs()
        .find_map(|(set, port)| (set == name).then_some(port?.to_str()?))
        .expect("set");
    ([127, 0, 0, 1], port.parse().expect("a port")).into()
}

fn said(output: &Output) -> (String, String) {
    (
        String::from_utf8_lossy(&output.stdout).into_owned(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}

/// The rows of the table with this status.
fn rows<'a>(table: &'a str, status: &str) -> Vec<&'a str> {
    table
        .lines()
        .filter(|line| {
            let mut words = line
                .split_whitespace()
                .skip_while(|word| !["stream", "JSON"].contains(word));
            words.nth(1) == Some(status)
        })
        .collect()
}

#[test]
fn the_demo_shows_each_kind_of_answer_and_leaves_nothing_running() {
    let model = std::env::var_os("TOLLGATE_MODELS")
        .map(|models| Path::new(&models).join("all-MiniLM-L6-v2/model.onnx"));
    if !model.is_some_and(|model| model.exists()) {
        eprintln!("skipped: TOLLGATE_MODELS names no folder with all-MiniLM-L6-v2");
        return;
    }
    let folder = tempfile::tempdir().expect("folder");
    let mut command = demo(&folder);
    let output = command.output().expect("runs");
    let (table, errors) = said(&output);
    assert_eq!(output.status.code(), Some(0), "{table}\n{errors}");
    let (misses, hits, semantic) = (
        rows(&table, "MISS"),
        rows(&table, "HIT"),
        rows(&table, "SEMANTIC_HIT"),
    );
    assert!(
        misses.len() >= 6 && hits.len() >= 3 && !semantic.is_empty(),
        "{table}"
    );
    for engine in ["engine-1", "engine-2", "engine-3"] {
        assert!(
            misses.iter().any(|row| row.contains(engine)),
            "{engine}: {table}"
        );
    }
    assert!(
        hits.iter()
            .chain(&semantic)
            .all(|row| row.contains("  -  ")),
        "{table}"
    );
    assert!(misses.iter().any(|row| row.contains("try 2")), "{table}");
    assert!(
        table.lines().all(|line| line.chars().count() <= 100),
        "{table}"
    );
    assert!(!table.contains('\x1b'), "colours are for terminals");
    for name in PORTS {
        TcpListener::bind(address(&command, name))
            .unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

#[test]
fn without_a_model_the_demo_says_what_is_left_out_and_once_fails() {
    let folder = tempfile::tempdir().expect("folder");
    let output = demo(&folder)
        .env("TOLLGATE_MODELS", "/nonexistent")
        .output()
        .expect("runs");
    let (table, errors) = said(&output);
    assert_eq!(output.status.code(), Some(1), "{table}\n{errors}");
    assert!(table.contains("semantic hits are left out"), "{table}");
    assert!(errors.contains("no answer was a SEMANTIC_HIT"), "{errors}");
    let log = folder.path().display().to_string();
    assert!(errors.contains(&log), "the log is named: {errors}");
    assert!(
        !rows(&table, "HIT").is_empty() && !rows(&table, "MISS").is_empty(),
        "{table}"
    );
}

#[test]
fn a_taken_port_is_one_clear_line_that_names_it() {
    let folder = tempfile::tempdir().expect("folder");
    for name in PORTS {
        let taken = TcpListener::bind("127.0.0.1:0").expect("binds");
        let address = taken.local_addr().expect("bound");
        let output = demo(&folder)
            .env(name, address.port().to_string())
            .output()
            .expect("runs");
        let (table, errors) = said(&output);
        assert_eq!(output.status.code(), Some(1), "{name}: {table}");
        assert_eq!(errors.lines().count(), 1, "{name}: {errors}");
        assert!(
            errors.contains(&format!("cannot listen on {address}")),
            "{name}: {errors}"
        );
    }
}

#[test]
fn killed_or_ended_the_demo_takes_its_tollgate_with_it() {
    let folder = tempfile::tempdir().expect("folder");
    for (signal, code) in [("KILL", None), ("TERM", Some(1))] {
        let mut command = demo(&folder);
        let mut running = command
            .env("TOLLGATE_MODELS", "/nonexistent")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("starts");
        let rows = BufReader::new(running.stdout.take().expect("piped")).lines();
        let mut answered = rows
            .map_while(Result::ok)
            .skip_while(|line| !line.contains("MISS"));
        assert!(answered.next().is_some(), "tollgate was up");
        let killed = Command::new("kill")
            .args([format!("-{signal}"), running.id().to_string()])
            .status()
            .expect("kill runs");
        assert!(killed.success());
        assert_eq!(running.wait().expect("waits").code(), code, "{signal}");
        let address = address(&command, "TOLLGATE_DEMO_PORT");
        let end = Instant::now() + Duration::from_secs(30);
        // A demo that was killed cannot wait for its child.
        while TcpListener::bind(address).is_err() {
            assert!(Instant::now() < end, "{signal}: tollgate lives on");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}
