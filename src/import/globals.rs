//! What holds for everything: logs, limits on clients, threads, body sizes.

use super::ledger::Ledger;
use super::tree::{Dir, named};
use super::units;
use super::yaml::{Map, Yaml, list};

/// Directives that become one value of `client`, whatever server they stand in.
const CLIENT: &[(&str, &str)] = &[
    ("large_client_header_buffers", "max_header_bytes"),
    ("client_header_timeout", "header_timeout"),
    ("client_body_timeout", "body_timeout"),
    ("keepalive_timeout", "idle_timeout"),
    ("send_timeout", "write_timeout"),
];

/// The top of the file; `levels` are the blocks in which these directives may stand, the outermost first.
pub(super) fn translate(levels: &[&[Dir]], ledger: &mut Ledger) -> Map {
    let mut out = Map::default();
    let all =
        |name: &str| -> Vec<&Dir> { levels.iter().flat_map(|dirs| named(dirs, name)).collect() };
    threads(&mut out, &all("worker_processes"), ledger);
    let http = levels.get(1).copied().unwrap_or_default();
    if let [dir, ..] = named(http, "client_max_body_size").as_slice()
        && let Some(bytes) = units::bytes(dir.arg(0)).filter(|bytes| *bytes > 0)
    {
        ledger.carry(dir);
        out.put("max_body", units::size(bytes));
    }
    client(&mut out, &all, ledger);
    access_log(&mut out, &all("access_log"), &all("log_format"), ledger);
    error_log(&mut out, &all("error_log"), ledger);
    out
}

fn threads(out: &mut Map, dirs: &[&Dir], ledger: &mut Ledger) {
    let Some(dir) = dirs.first() else { return };
    match dir.arg(0) {
        "auto" => ledger.carry(dir),
        count if count.parse::<u16>().is_ok_and(|count| count > 0) => {
            ledger.carry(dir);
            out.put("threads", count);
        }
        _ => {}
    }
}

fn client<'a>(out: &mut Map, all: &impl Fn(&str) -> Vec<&'a Dir>, ledger: &mut Ledger) {
    let (mut map, mut comments) = (Map::default(), Vec::new());
    let proxies: Vec<&Dir> = all("set_real_ip_from");
    let mut trusted: Vec<&str> = Vec::new();
    for dir in &proxies {
        let address = dir.arg(0);
        if address.starts_with(|c: char| c.is_ascii_digit()) || address.contains("::") {
            ledger.carry(dir);
            if !trusted.contains(&address) {
                trusted.push(address);
            }
        } else {
            comments.extend(ledger.leave(dir, "only addresses and ranges are trusted"));
        }
    }
    if !trusted.is_empty() {
        map.put("trusted_proxies", list(trusted));
    }
    for dir in all("real_ip_header") {
        match dir.arg(0).to_ascii_lowercase().as_str() {
            "x-forwarded-for" | "proxy_protocol" => ledger.carry(dir),
            _ => comments
                .extend(ledger.leave(dir, "the address comes from X-Forwarded-For or PROXY")),
        }
    }
    for dir in all("real_ip_recursive") {
        match dir.arg(0) {
            "on" => ledger.carry(dir),
            _ => comments.extend(ledger.leave(dir, "all trusted proxies are passed over")),
        }
    }
    for (name, key) in CLIENT {
        let mut taken: Option<(&Dir, String)> = None;
        for dir in all(name) {
            let value = match *key {
                "max_header_bytes" => dir
                    .arg(0)
                    .parse()
                    .ok()
                    .zip(units::bytes(dir.arg(1)))
                    .and_then(|(count, bytes): (u64, u64)| count.checked_mul(bytes))
                    // What Tollgate takes at least and at most.
                    .map(|bytes| units::size(bytes.clamp(1 << 10, 1 << 20))),
                _ => units::time(dir.arg(0)).filter(|time| time != "0s"),
            };
            match (value, &taken) {
                (None, _) => comments.extend(ledger.leave(dir, "not a value that Tollgate takes")),
                (Some(value), None) => {
                    ledger.carry(dir);
                    taken = Some((dir, value));
                }
                (Some(value), Some((_, first))) if value == *first => ledger.carry(dir),
                (Some(_), Some((first, _))) => {
                    let reason = format!("one value holds for all; {} was taken", first.place);
                    comments.extend(ledger.leave(dir, &reason));
                }
            }
        }
        if let Some((_, value)) = taken {
            map.put(key, value);
        }
    }
    if map.is_empty() && comments.is_empty() {
        return;
    }
    out.put_with(comments, "client", map);
}

fn access_log(out: &mut Map, dirs: &[&Dir], formats: &[&Dir], ledger: &mut Ledger) {
    let mut comments = Vec::new();
    let mut taken: Option<(&Dir, Map)> = None;
    for dir in dirs {
        if let Some((first, _)) = &taken {
            if dir.args == first.args {
                ledger.carry(dir);
            } else {
                let reason = format!("there is one access log; {} was taken", first.place);
                comments.extend(ledger.leave(dir, &reason));
            }
            continue;
        }
        let to = dir.arg(0);
        if to.starts_with("syslog:") || to.contains('$') {
            comments.extend(ledger.leave(dir, "the access log goes to one file or stdout"));
            continue;
        }
        let mut map = Map::default();
        map.put("to", if to == "/dev/stdout" { "stdout" } else { to });
        if to != "off" {
            map.put("format", format(dir, formats, ledger, &mut comments));
        }
        for extra in dir.args.iter().skip(2) {
            comments.push(format!("{}: {extra} was left out", dir.place));
        }
        ledger.carry(dir);
        taken = Some((dir, map));
    }
    if let Some((_, map)) = taken {
        out.put_with(comments, "access_log", map);
    } else if !comments.is_empty() {
        out.put_with(comments, "access_log", "stdout");
    }
}

fn format(
    dir: &Dir,
    formats: &[&Dir],
    ledger: &mut Ledger,
    comments: &mut Vec<String>,
) -> &'static str {
    let name = dir.arg(1);
    if matches!(name, "" | "combined") {
        return "combined";
    }
    let known = formats.iter().find(|format| format.arg(0) == name);
    let format = match known {
        Some(known) if known.args[1..].join("").trim_start().starts_with('{') => "json",
        Some(known) if known.args.iter().any(|arg| arg == "escape=json") => "json",
        _ => "combined",
    };
    comments.push(format!(
        "{}: the format {name} became {format}: fields and their names are Tollgate's",
        dir.place
    ));
    if let Some(known) = known {
        comments.extend(ledger.leave(known, "access_log.format is json or combined"));
    }
    format
}

fn error_log(out: &mut Map, dirs: &[&Dir], ledger: &mut Ledger) {
    let mut comments = Vec::new();
    let mut taken: Option<(&Dir, Map)> = None;
    for dir in dirs {
        let to = dir.arg(0);
        if let Some((first, _)) = &taken {
            if dir.args == first.args {
                ledger.carry(dir);
            } else {
                let reason = format!("there is one error log; {} was taken", first.place);
                comments.extend(ledger.leave(dir, &reason));
            }
        } else if to.contains(':') || to == "/dev/null" {
            comments.extend(ledger.leave(dir, "the error log goes to one file or stderr"));
        } else {
            let mut map = Map::default();
            map.put("to", if to == "/dev/stderr" { "stderr" } else { to });
            map.put(
                "level",
                match dir.arg(1) {
                    "debug" => "debug",
                    "info" | "notice" => "info",
                    "warn" => "warn",
                    _ => "error",
                },
            );
            ledger.carry(dir);
            taken = Some((dir, map));
        }
    }
    if let Some((_, map)) = taken {
        out.put_with(comments, "error_log", map);
    } else if !comments.is_empty() {
        out.put_with(comments, "error_log", Yaml::from("stderr"));
    }
}
