//! Commands, exit codes, shipped files.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::support::gate::binary;

fn run(args: &[&str]) -> Output {
    binary().args(args).output().expect("runs")
}

fn shipped() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("conf");
    let mut files: Vec<_> = fs::read_dir(folder)
        .expect("conf/")
        .map(|entry| entry.expect("entry").path())
        .collect();
    files.sort();
    files
}

#[test]
fn every_shipped_configuration_passes_the_check() {
    let files = shipped();
    assert!(files.len() >= 3, "{files:?}");
    for file in files {
        let output = run(&["check", "--config", file.to_str().expect("text")]);
        assert_eq!(
            output.status.code(),
            Some(0),
            "{}: {}",
            file.display(),
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

#[test]
fn a_wrong_configuration_ends_with_64_and_every_error_by_path() {
    let folder = tempfile::tempdir().expect("folder");
    let file = folder.path().join("wrong.yaml");
    fs::write(&file, "listen: [{ address: nowhere }]\npool: {}\npools:\n  chat:\n    balence: least_tokens\n    peers: [{ address: \"127.0.0.1:1\", weight: 0 }]\nlimits: [{ per: key, tokens: many }]\n").expect("written");
    for command in ["check", "run"] {
        let output = run(&[command, "--config", file.to_str().expect("text")]);
        assert_eq!(output.status.code(), Some(64));
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        for path in [
            "listen[0].address",
            "pool",
            "pools.chat.balence",
            "pools.chat.peers[0].weight",
            "limits[0].tokens",
        ] {
            assert!(errors.contains(path), "{path} is missing in:\n{errors}");
        }
    }
    let output = run(&["check", "--config", "/no/such/file.yaml"]);
    assert_eq!(output.status.code(), Some(64));
}

#[test]
fn bad_usage_ends_with_64_and_version_with_0() {
    assert_eq!(run(&["frobnicate"]).status.code(), Some(64));
    assert_eq!(run(&["run", "--no-such-flag"]).status.code(), Some(64));
    let version = run(&["version"]);
    assert_eq!(version.status.code(), Some(0));
    assert_eq!(
        String::from_utf8_lossy(&version.stdout).trim(),
        format!("tollgate {}", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn a_taken_address_is_a_clear_error() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("binds");
    let address = taken.local_addr().expect("bound");
    let folder = tempfile::tempdir().expect("folder");
    let file = folder.path().join("tollgate.yaml");
    fs::write(&file, format!("listen: [{{ address: \"{address}\" }}]\npools: {{ p: {{ peers: [{{ address: \"127.0.0.1:1\" }}] }} }}\n")).expect("written");
    let output = run(&["run", "--config", file.to_str().expect("text")]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains(&address.to_string()));
}

#[test]
fn the_systemd_unit_verifies_and_is_hardened() {
    if Command::new("systemd-analyze")
        .arg("--version")
        .output()
        .is_err()
    {
        eprintln!("skipped: there is no systemd-analyze");
        return;
    }
    let folder = tempfile::tempdir().expect("folder");
    let unit =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd/tollgate.service"))
            .expect("the unit");
    // Verified with the binary that was just built in place of the installed one.
    let file = folder.path().join("tollgate.service");
    fs::write(
        &file,
        unit.replace("/usr/bin/tollgate", env!("CARGO_BIN_EXE_tollgate")),
    )
    .expect("written");
    let verified = Command::new("systemd-analyze")
        .args(["verify", "--man=no"])
        .arg(&file)
        .output()
        .expect("runs");
    let said = String::from_utf8_lossy(&verified.stderr).into_owned();
    assert!(
        verified.status.success() && !said.contains("tollgate.service:"),
        "{said}"
    );
    let security = Command::new("systemd-analyze")
        .args(["security", "--offline=yes", "--threshold=20"])
        .arg(&file)
        .output()
        .expect("runs");
    assert!(
        security.status.success(),
        "exposure above 2.0: {}",
        String::from_utf8_lossy(&security.stdout)
            .lines()
            .last()
            .unwrap_or("")
    );
}
