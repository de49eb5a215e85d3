//! Imports go one way: `main -> cli -> app -> {front, proxy, admin} -> state -> {exchange, engines} -> config -> {llm, metrics,
//! tls, util}`.

use std::fs;
use std::path::{Path, PathBuf};

/// Each room and the rooms it may use, besides itself.
const MAY_USE: [(&str, &[&str]); 18] = [
    ("cli", &["app", "config", "import", "sim"]),
    (
        "app",
        &[
            "front", "proxy", "admin", "exchange", "state", "config", "metrics",
        ],
    ),
    (
        "proxy",
        &[
            "front", "exchange", "state", "admit", "cache", "route", "balance", "config", "llm",
            "metrics", "util", "wire",
        ],
    ),
    ("admin", &["state", "cache", "config", "metrics", "util"]),
    (
        "front",
        &["config", "llm", "metrics", "tls", "util", "wire"],
    ),
    (
        "exchange",
        &["config", "llm", "metrics", "tls", "util", "wire"],
    ),
    (
        "state",
        &[
            "exchange", "admit", "cache", "route", "balance", "front", "config", "metrics", "util",
            "wire",
        ],
    ),
    ("import", &[]),
    ("admit", ENGINE),
    ("cache", ENGINE),
    ("route", ENGINE),
    ("balance", ENGINE),
    ("config", &["tls", "util"]),
    ("tls", &[]),
    ("llm", &["util"]),
    ("metrics", &["util"]),
    ("util", &[]),
    ("wire", &["util"]),
];
const ENGINE: &[&str] = &["config", "llm", "metrics", "util"];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn room(path: &Path, src: &Path) -> String {
    let first = path
        .strip_prefix(src)
        .expect("inside")
        .components()
        .next()
        .expect("a name");
    first
        .as_os_str()
        .to_string_lossy()
        .trim_end_matches(".rs")
        .to_owned()
}

/// The rooms that a source file names with `crate::`.
fn used(text: &str) -> Vec<String> {
    let mut rooms = Vec::new();
    for (at, _) in text.match_indices("crate::") {
        let rest = &text[at + "crate::".len()..];
        let names: Vec<&str> = match rest.strip_prefix('{') {
            Some(group) => {
                let mut depth = 1;
                let end = group
                    .find(|c| {
                        if c == '{' {
                            depth += 1
                        } else if c == '}' {
                            depth -= 1
                        }
                        depth == 0
                    })
                    .unwrap_or(0);
                group[..end].split(',').map(str::trim).collect()
            }
            None => vec![rest],
        };
        for name in names {
            let name: String = name
                .chars()
                .take_while(|c| c.is_alphanumeric() || *c == '_')
                .collect();
            rooms.push(name);
        }
    }
    rooms
}

#[test]
fn imports_go_one_way() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&src, &mut files);
    let known: Vec<&str> = MAY_USE
        .iter()
        .map(|(room, _)| *room)
        .chain(["sim", "main", "lib"])
        .collect();
    let mut wrong = Vec::new();
    for file in &files {
        let room = room(file, &src);
        assert!(
            known.contains(&room.as_str()),
            "{room} is not in the picture"
        );
        let allowed = MAY_USE
            .iter()
            .find(|(name, _)| *name == room)
            .map_or(&[][..], |(_, allowed)| allowed);
        for used in used(&fs::read_to_string(file).expect("readable")) {
            let is_room = known.contains(&used.as_str());
            if is_room
                && used != room
                && !allowed.contains(&used.as_str())
                && !(room == "sim" && used == "util")
            {
                wrong.push(format!("{} uses {used}", file.display()));
            }
        }
    }
    assert!(files.len() > 50, "the sources were found");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn engines_know_neither_pingora_nor_sockets() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for engine in ["admit", "cache", "route", "balance"] {
        let mut files = Vec::new();
        sources(&src.join(engine), &mut files);
        for file in files {
            let text = fs::read_to_string(&file).expect("readable");
            for banned in [
                "pingora",
                "tokio::net",
                "std::net::Tcp",
                "std::net::Udp",
                "hyper::",
            ] {
                assert!(
                    !text.contains(banned),
                    "{} mentions {banned}",
                    file.display()
                );
            }
        }
    }
}
