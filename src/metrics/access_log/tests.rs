use std::io::{self, Write};
use std::time::UNIX_EPOCH;

use jiff::tz::TimeZone;

use super::super::spool::MOST_WAITING;
use super::redact::redacted;
use super::stamp::Stamps;
use super::*;

const LONG: Duration = Duration::from_secs(30);

fn line(id: &str) -> Line<'_> {
    Line {
        request_id: id,
        status: 200,
        ..Line::default()
    }
}

fn combined(line: &Line<'_>) -> String {
    let mut text = Vec::new();
    combined::render(line, &mut Stamps::in_zone(TimeZone::UTC), &mut text);
    String::from_utf8(text).expect("escaped to ASCII")
}

#[test]
fn a_flushed_line_is_in_the_file() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("access.log");
    let log = AccessLog::file(&path, Format::Json).expect("opens");
    log.write(&Line {
        arrived: UNIX_EPOCH + Duration::from_millis(1_763_734_144_007),
        target: "/v1/x?api_key=hidden",
        duration_ms: 1.5,
        ..line("r1")
    });
    log.flush(LONG);
    let text = std::fs::read_to_string(&path).expect("reads");
    let line: serde_json::Value = serde_json::from_str(&text).expect("one JSON object");
    assert_eq!(line["request_id"], "r1");
    assert_eq!(line["time"], "2025-11-21T14:09:04.007Z");
    assert_eq!(line["path"], "/v1/x");
    assert_eq!(line["duration_ms"], 1.5);
    assert!(line.get("key").is_none());
}

#[test]
fn texts_are_escaped_as_json_wants_it_and_addresses_are_written_as_ever() {
    for odd in ["a\"b", "a\\b", "a\nb", "\u{1}", "\u{e9}\u{1f600}", ""] {
        let mut text = Vec::new();
        let line = Line {
            model: Some(odd),
            ..line(odd)
        };
        json::render(&line, &mut Stamps::default(), &mut text);
        let value: serde_json::Value = serde_json::from_slice(&text).expect("JSON");
        assert_eq!(value["request_id"], odd);
        assert_eq!(value["gen_ai.request.model"], odd);
    }
    for ip in [
        "0.0.0.0",
        "10.1.20.255",
        "100.9.99.109",
        "::1",
        "2001:db8::5",
    ] {
        let mut text = Vec::new();
        json::address(ip.parse().expect("an address"), &mut text);
        assert_eq!(String::from_utf8(text).expect("text"), ip);
    }
}

#[test]
fn combined_is_what_nginx_writes() {
    let full = Line {
        arrived: UNIX_EPOCH + Duration::from_secs(971_186_136),
        client: Some("10.1.2.3".parse().expect("an address")),
        key: Some("acme-web"),
        method: "GET",
        target: "/a%20b?q=1&token=hidden",
        referer: Some(b"http://x/?q=\"\xe9"),
        user_agent: Some(b"curl/8 \\"),
        response_bytes: 2326,
        ..line("r1")
    };
    assert_eq!(
        combined(&full),
        "10.1.2.3 - acme-web [10/Oct/2000:13:55:36 +0000] \"GET /a%20b?q=1&token=*** HTTP/1.1\" 200 2326 \"http://x/?q=\\x22\\xE9\" \"curl/8 \\x5C\"\n"
    );
    let least = Line {
        method: "POST",
        target: "/",
        version: Version::HTTP_2,
        status: 0,
        client_aborted: true,
        ..line("r1")
    };
    assert_eq!(
        combined(&least),
        "- - - [01/Jan/1970:00:00:00 +0000] \"POST / HTTP/2.0\" 499 0 \"-\" \"-\"\n"
    );
}

#[test]
fn local_time_has_the_zones_offset_and_stamps_follow_the_second() {
    let zone = TimeZone::fixed(jiff::tz::offset(-7));
    let mut stamps = Stamps::in_zone(zone);
    let mut text = Vec::new();
    for second in [971_211_336, 971_211_337, 971_211_336] {
        stamps.local(UNIX_EPOCH + Duration::from_secs(second), &mut text);
        text.push(b' ');
    }
    assert_eq!(
        String::from_utf8(text).expect("text"),
        "10/Oct/2000:13:55:36 -0700 10/Oct/2000:13:55:37 -0700 10/Oct/2000:13:55:36 -0700 "
    );
}

#[test]
fn secrets_in_a_query_are_blanked_and_nothing_else_is() {
    for (from, to) in [
        ("/v1/models", "/v1/models"),
        ("/x?key=s", "/x?key=***"),
        ("/x?a=1&API-Key=s&b=2", "/x?a=1&API-Key=***&b=2"),
        ("/x?%6bey=s", "/x?%6bey=***"),
        ("/x?access_token=s#f", "/x?access_token=***#f"),
        ("/x?X-Amz-Signature=s;v=1", "/x?X-Amz-Signature=***;v=1"),
        ("/x?monkey=1&keyboard=2&key", "/x?monkey=1&keyboard=2&key"),
        ("https://h/p?id_token=a=b&", "https://h/p?id_token=***&"),
        ("/x??key=s", "/x??key=***"),
    ] {
        assert_eq!(
            String::from_utf8_lossy(&redacted(from.as_bytes())),
            to,
            "{from}"
        );
    }
}

#[test]
fn lines_before_a_reopening_go_to_the_old_file_and_lines_after_it_to_the_new_one() {
    let folder = tempfile::tempdir().expect("folder");
    let (path, old) = (folder.path().join("log"), folder.path().join("log.1"));
    let log = AccessLog::file(&path, Format::Json).expect("opens");
    for round in 0..20 {
        std::fs::rename(&path, &old).expect("rotated");
        log.write(&line(&format!("before-{round}")));
        log.reopen().expect("opens again");
        log.write(&line(&format!("after-{round}")));
        log.flush(LONG);
        let (was, is) = (
            std::fs::read_to_string(&old).expect("reads"),
            std::fs::read_to_string(&path).expect("reads"),
        );
        assert!(was.ends_with('\n') && was.contains(&format!("before-{round}\"")));
        assert!(!was.contains(&format!("after-{round}\"")));
        assert_eq!(is.lines().count(), 1);
        assert!(is.contains(&format!("after-{round}\"")));
    }
    std::fs::remove_file(&path).expect("removed");
    log.reopen().expect("made anew");
    log.write(&line("anew"));
    log.flush(LONG);
    let text = std::fs::read_to_string(&path).expect("reads");
    assert_eq!(text.lines().count(), 1);
}

#[test]
fn a_log_that_cannot_be_opened_again_stays_where_it_is() {
    let folder = tempfile::tempdir().expect("folder");
    let inner = folder.path().join("logs");
    std::fs::create_dir(&inner).expect("folder");
    let path = inner.join("log");
    let log = AccessLog::file(&path, Format::Json).expect("opens");
    let moved = folder.path().join("moved");
    std::fs::rename(&inner, &moved).expect("moved");
    let error = log.reopen().expect_err("its folder is gone").to_string();
    assert!(error.contains(path.to_str().expect("text")), "{error}");
    log.write(&line("still"));
    log.flush(LONG);
    let text = std::fs::read_to_string(moved.join("log")).expect("reads");
    assert!(text.contains("still"));
}

/// A disk that is full after so many bytes, until it is cleared.
#[derive(Clone, Default)]
struct Small(Arc<parking_lot::Mutex<(Vec<u8>, usize)>>);

impl Write for Small {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut disk = self.0.lock();
        let room = disk.1.min(bytes.len());
        if room == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        disk.1 -= room;
        disk.0.extend_from_slice(&bytes[..room]);
        Ok(room)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_full_disk_costs_whole_lines_which_are_counted_and_no_line_is_glued_to_half_a_one() {
    let disk = Small::default();
    disk.0.lock().1 = 40;
    let log = AccessLog::to(disk.clone(), Format::Combined).expect("starts");
    let before = crate::metrics::names::LOG_DROPPED.get();
    for _ in 0..3 {
        log.write(&line("lost"));
    }
    log.flush(LONG);
    assert!(crate::metrics::names::LOG_DROPPED.get() >= before + 3);
    disk.0.lock().1 = usize::MAX;
    log.write(&line("kept"));
    log.flush(LONG);
    let text = String::from_utf8(disk.0.lock().0.clone()).expect("text");
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 2, "{text}");
    assert_eq!(lines[0].len(), 40);
    assert!(lines[1].starts_with("- - - ["));
}

/// Takes nothing until it is let go.
struct Stuck(std::sync::mpsc::Receiver<()>);

impl Write for Stuck {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = self.0.recv();
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_disk_that_hangs_costs_lines_and_neither_time_nor_memory_without_end() {
    let (let_go, stuck) = std::sync::mpsc::channel();
    let log = AccessLog::to(Stuck(stuck), Format::Json).expect("starts");
    let before = crate::metrics::names::LOG_DROPPED.get();
    let target = "/x".repeat(50_000);
    for _ in 0..2 * MOST_WAITING / target.len() + 2 {
        log.write(&Line {
            target: &target,
            ..Line::default()
        });
    }
    assert!(crate::metrics::names::LOG_DROPPED.get() > before);
    log.flush(Duration::from_millis(1));
    drop(let_go);
}

#[test]
#[ignore = "a measurement: cargo test --release --lib hand_over -- --ignored --nocapture"]
fn what_a_hand_over_costs_a_request() {
    const LINES: u32 = 200_000;
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("log");
    let log = AccessLog::file(&path, Format::Json).expect("opens");
    let line = Line {
        method: "POST",
        target: "/v1/chat/completions",
        model: Some("qwen3-8b"),
        upstream: Some("10.0.0.11:8000"),
        ttft_ms: Some(12.345),
        ..line("req_0123456789abcdef0123456789abcdef")
    };
    let mut spent = Duration::ZERO;
    for _ in 0..LINES / 1000 {
        let start = std::time::Instant::now();
        for _ in 0..1000 {
            log.write(&line);
        }
        spent += start.elapsed();
        log.flush(LONG);
    }
    println!("{:?} a line", spent / LINES);
    let written = std::fs::read_to_string(&path).expect("reads");
    assert_eq!(written.lines().count(), LINES as usize);
}
