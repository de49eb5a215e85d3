//! Logs are rotated, changed and lost without anybody waiting for them.

use std::fs;
use std::path::Path;

use crate::support::client;
use crate::support::gate::{Gate, pool};
use crate::support::peer::Peer;
use crate::support::until;

fn lines(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

fn numbers(lines: &[String]) -> Vec<usize> {
    let number = |line: &String| {
        let rest = line.split("/n-").nth(1).expect("a path");
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().expect("a number")
    };
    lines.iter().map(number).collect()
}

#[tokio::test]
async fn no_line_is_lost_or_doubled_while_the_log_is_rotated_under_load() {
    let peer = Peer::mirror().await;
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("access.log");
    let conf = format!(
        "access_log: {{ to: {}, format: combined }}\n",
        path.display()
    );
    let gate = Gate::before(&[peer.address], &conf).await;
    let address = gate.address;
    let (stop, mut stopped) = tokio::sync::oneshot::channel::<()>();
    let load = tokio::spawn(async move {
        let mut sent = 0;
        while stopped.try_recv().is_err() {
            client::get(address, &format!("/n-{sent}"))
                .await
                .expect("an answer");
            sent += 1;
        }
        sent
    });
    let mut rotated = Vec::new();
    for n in 0..5 {
        until("the log has lines", || async { !lines(&path).is_empty() }).await;
        let old = folder.path().join(format!("access.log.{n}"));
        fs::rename(&path, &old).expect("rotated");
        fs::File::create(&path).expect("made anew, as `create` of logrotate does");
        gate.signal("USR1");
        rotated.push(old);
    }
    // Removed altogether, as a careless hand does.
    until("the log has lines", || async { !lines(&path).is_empty() }).await;
    let last = folder.path().join("access.log.last");
    fs::hard_link(&path, &last).expect("kept for the test");
    fs::remove_file(&path).expect("removed");
    gate.signal("USR1");
    rotated.push(last);
    until("it is there again", || async { path.exists() }).await;
    stop.send(()).expect("still asking");
    let sent = load.await.expect("answered");
    rotated.push(path);
    let all = || -> Vec<String> { rotated.iter().flat_map(|path| lines(path)).collect() };
    until("every line is written", || async { all().len() >= sent }).await;
    let mut numbers = numbers(&all());
    numbers.sort_unstable();
    assert_eq!(numbers, (0..sent).collect::<Vec<_>>());
}

#[tokio::test]
async fn combined_lines_have_nginxs_form_and_no_secrets() {
    let peer = Peer::mirror().await;
    let gate = Gate::before(&[peer.address], "access_log: { format: combined }\n").await;
    let headers = [
        ("referer", "http://r/?token=hidden"),
        ("user-agent", "a \"b\""),
    ];
    client::send(gate.address, "GET", "/x?api_key=hidden&q=1", &headers, b"")
        .await
        .expect("an answer");
    until("the line is written", || async {
        gate.stdout().ends_with('\n')
    })
    .await;
    let line = gate.stdout();
    assert!(!line.contains("hidden"), "{line}");
    let (before, after) = line.split_once(" - - [").expect("nobody's key");
    assert_eq!(before, "127.0.0.1");
    let (time, after) = after.split_once("] ").expect("a time");
    assert_eq!((time.len(), &time[2..3], &time[11..12]), (26, "/", ":"));
    let after = after.trim_end();
    assert!(
        after.starts_with("\"GET /x?api_key=***&q=1 HTTP/1.1\" 200 ")
            && after.ends_with(" \"http://r/?token=***\" \"a \\x22b\\x22\""),
        "{after}"
    );
}

#[tokio::test]
async fn a_disk_that_takes_nothing_costs_lines_that_are_counted_and_no_request() {
    let full = Path::new("/dev/full");
    if !full.exists() {
        eprintln!("skipped: there is no /dev/full");
        return;
    }
    let peer = Peer::mirror().await;
    let gate = Gate::before(&[peer.address], "access_log: /dev/full\n").await;
    for _ in 0..20 {
        let answer = client::get(gate.address, "/x").await.expect("an answer");
        assert_eq!(answer.status, 200);
    }
    until("every lost line is counted", || async {
        gate.metric("tollgate_access_log_dropped_total").await == 20.0
    })
    .await;
    let said = gate.stderr();
    assert_eq!(
        said.matches("No space left").count(),
        1,
        "said once: {said}"
    );
}

#[tokio::test]
async fn the_error_log_goes_to_a_file_whose_level_and_place_a_reload_changes() {
    let peer = Peer::mirror().await;
    let folder = tempfile::tempdir().expect("folder");
    let (first, second) = (folder.path().join("one.log"), folder.path().join("two.log"));
    let conf = |path: &Path, level: &str| {
        let log = format!("error_log: {{ to: {}, level: {level} }}\n", path.display());
        pool(&[peer.address], "") + &log
    };
    let gate = Gate::start(&conf(&first, "info")).await;
    let has =
        |path: &Path, what: &str| fs::read_to_string(path).is_ok_and(|text| text.contains(what));
    until("the start is logged", || async {
        has(&first, "listening on")
    })
    .await;
    let old = folder.path().join("one.log.1");
    fs::rename(&first, &old).expect("rotated");
    gate.signal("USR1");
    until("the new file is in use", || async {
        has(&first, "logs are opened again")
    })
    .await;
    assert!(!has(&old, "logs are opened again"));
    gate.rewrite(&conf(&second, "error"));
    gate.reload().await;
    gate.rewrite("pools: 7\n");
    assert_eq!(gate.reload().await.status, 422);
    until("errors are said in the second file", || async {
        has(&second, "configuration refused")
    })
    .await;
    assert!(!has(&second, "INFO"), "below the level");
    assert!(!has(&first, "configuration refused"));
}

#[tokio::test]
async fn a_log_that_cannot_be_opened_is_a_clear_error_and_a_reload_keeps_the_old_one() {
    let peer = Peer::mirror().await;
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("access.log");
    let conf =
        |path: &Path| pool(&[peer.address], "") + &format!("access_log: {}\n", path.display());
    let gate = Gate::start(&conf(&path)).await;
    for (section, rest) in [
        ("access_log", "access_log: /no/such/folder/x.log\n"),
        ("error_log", "error_log: /no/such/folder/x.log\n"),
    ] {
        gate.rewrite(&(pool(&[peer.address], "") + rest));
        let answer = gate.reload().await.text();
        assert!(
            answer.contains(&format!("{section}: /no/such/folder/x.log")),
            "{answer}"
        );
    }
    client::get(gate.address, "/n-1").await.expect("an answer");
    until("the old log is written", || async {
        numbers(&lines(&path)) == [1]
    })
    .await;
}
