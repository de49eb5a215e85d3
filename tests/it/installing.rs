//! `scripts/install` and `scripts/uninstall`, below a folder of the test.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use crate::support::gate::binary;

fn script(name: &str, args: &[&str], dest: &Path) -> Output {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("scripts")
        .join(name);
    let output = Command::new(path)
        .args(args)
        .env("DESTDIR", dest)
        .env("PREFIX", "/opt/tollgate")
        .output()
        .expect("runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

#[test]
fn installing_twice_keeps_the_configuration_and_uninstalling_leaves_what_is_not_ours_to_take() {
    let folder = tempfile::tempdir().expect("folder");
    let dest = folder.path();
    // In place of the real one, which takes long to copy.
    let program = dest.join("program");
    fs::write(&program, "#!/bin/sh\n").expect("written");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("a program");
    let args = ["--binary", program.to_str().expect("text")];
    script("install", &args, dest);

    let at = |path: &str| dest.join(path.trim_start_matches('/'));
    let (installed, conf) = (
        at("/opt/tollgate/bin/tollgate"),
        at("/etc/tollgate/tollgate.yaml"),
    );
    let unit = at("/etc/systemd/system/tollgate.service");
    let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
    assert_eq!(mode(&installed), 0o755);
    assert_eq!(mode(&conf), 0o640);
    assert_eq!(mode(&at("/var/log/tollgate")), 0o750);
    assert!(at("/etc/logrotate.d/tollgate").exists());
    let text = fs::read_to_string(&unit).expect("a unit");
    assert!(text.contains("ExecStart=/opt/tollgate/bin/tollgate") && !text.contains("/usr/bin"));
    let checked = binary()
        .args(["check", "--config"])
        .arg(&conf)
        .status()
        .expect("runs");
    assert!(checked.success());

    fs::write(&conf, "# mine\n").expect("edited");
    fs::write(&program, "#!/bin/sh\n# new\n").expect("written");
    script("install", &args, dest);
    assert_eq!(fs::read_to_string(&conf).expect("there"), "# mine\n");
    assert!(
        fs::read_to_string(&installed)
            .expect("there")
            .contains("# new")
    );

    script("uninstall", &[], dest);
    assert!(!installed.exists() && !unit.exists());
    assert_eq!(fs::read_to_string(&conf).expect("there"), "# mine\n");
    script("uninstall", &["--purge"], dest);
    assert!(!conf.exists() && !at("/var/lib/tollgate").exists());
    // Once more, where there is nothing.
    script("uninstall", &["--purge"], dest);
}

#[test]
fn logrotate_takes_the_file_that_is_shipped() {
    if Command::new("logrotate").arg("--version").output().is_err() {
        eprintln!("skipped: there is no logrotate");
        return;
    }
    let folder = tempfile::tempdir().expect("folder");
    let logs = folder.path().join("logs");
    fs::create_dir(&logs).expect("folder");
    fs::write(logs.join("access.log"), "line\n").expect("written");
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/logrotate");
    // Without the user, which is not on every machine, and with a sign in place of the signal.
    let text = fs::read_to_string(shipped)
        .expect("shipped")
        .replace("/var/log/tollgate", logs.to_str().expect("text"))
        .replace("    su tollgate tollgate\n", "")
        .replace("create 0640 tollgate tollgate", "create 0640")
        .replace(
            "systemctl kill -s USR1 tollgate.service",
            &format!("touch {}", folder.path().join("sent").display()),
        );
    let conf = folder.path().join("logrotate.conf");
    fs::write(&conf, text).expect("written");
    let output = Command::new("logrotate")
        .arg("--force")
        .arg("--state")
        .arg(folder.path().join("state"))
        .arg(&conf)
        .output()
        .expect("runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && !said.contains("error"), "{said}");
    assert!(folder.path().join("sent").exists(), "{said}");
    let old = fs::read_to_string(logs.join("access.log.1")).expect("rotated");
    let new = fs::read_to_string(logs.join("access.log")).expect("made anew");
    assert_eq!((old.as_str(), new.as_str()), ("line\n", ""));
}

#[test]
fn the_work_that_the_compiler_learns_from_is_all_answered() {
    let tools = [
        ("python3", "--version"),
        ("h2load", "--version"),
        ("openssl", "version"),
    ];
    if let Some((missing, _)) = tools
        .into_iter()
        .find(|(tool, asked)| Command::new(tool).arg(asked).output().is_err())
    {
        eprintln!("skipped: there is no {missing} here (scripts/test sets it up)");
        return;
    }
    let counts = tempfile::tempdir().expect("folder");
    let work = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/build.d/work.py");
    let output = Command::new("python3")
        .arg(work)
        .arg(binary().get_program())
        .arg(counts.path())
        .arg("0.01")
        .output()
        .expect("runs");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    for part in [
        "/v1/chat/completions",
        "/v1/embeddings",
        "/files",
        "https://",
    ] {
        assert!(said.contains(part), "{said}");
    }
}
