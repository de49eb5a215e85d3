use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_yaml::Value;

use super::*;
use crate::config::model::ClientRules;
use crate::config::path::{At, Step};
use crate::config::raw::RawConfig;
use crate::config::{load, report::Report, shape};
use crate::tls::testing::Authority;

fn conf(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("conf")
        .join(name)
}

fn full() -> String {
    std::fs::read_to_string(conf("tollgate.yaml")).unwrap()
}

/// The explained file with what it only shows in comments made part of it: each names files that exist nowhere else.
fn opened() -> String {
    let mut block = None;
    let open = |line: &str| {
        let indent = line.len() - line.trim_start().len();
        let comment = line.trim_start().strip_prefix('#');
        let begins = comment.is_some_and(|comment| {
            [" tls:", " ca: ", " - name: ops", " token_file:"]
                .iter()
                .any(|key| comment.starts_with(key))
        });
        let goes_on =
            block == Some(indent) && comment.is_some_and(|comment| comment.starts_with("   "));
        block = (begins || goes_on).then_some(indent);
        match (block, comment) {
            (Some(_), Some(comment)) => format!("{}{}\n", &line[..indent], &comment[1..]),
            _ => format!("{line}\n"),
        }
    };
    full().lines().map(open).collect()
}

#[test]
fn every_shipped_file_is_good() {
    let mut names: Vec<String> = std::fs::read_dir(conf(""))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(
        names,
        [
            "demo.yaml",
            "minimal.yaml",
            "packaged.yaml",
            "tollgate.yaml"
        ]
    );
    for name in names {
        let loaded = load(&conf(&name)).unwrap_or_else(|errors| panic!("{name}:\n{errors}"));
        let open = usize::from(name != "tollgate.yaml");
        assert_eq!(loaded.warnings.len(), open, "{name}: {:?}", loaded.warnings);
    }
}

#[test]
fn the_demo_has_what_it_shows() {
    let text = std::fs::read_to_string(conf("demo.yaml")).unwrap();
    let loaded = parse_with(&text, &conf(""), &|name| {
        (name == "TOLLGATE_MODELS").then(|| "/m".to_owned())
    })
    .unwrap();
    let ports: Vec<u16> = loaded.config.pools[0]
        .peers
        .iter()
        .map(|peer| peer.port)
        .collect();
    assert_eq!(ports, [18001, 18002, 18003]);
    let semantic = loaded.config.caches[0].semantic.as_ref().unwrap();
    assert_eq!(semantic.embedder.path, Path::new("/m/all-MiniLM-L6-v2"));
}

/// What a raw key is called, lists without their numbers and names as `*`, and whether it is somewhere given.
fn given(value: &Value, path: &str, keys: &mut BTreeMap<String, bool>) {
    match value {
        Value::Mapping(mapping) => {
            for (key, value) in mapping {
                let named = [".pools", ".caches", ".tiers", ".headers", ".set", ".add"]
                    .iter()
                    .any(|map| path.ends_with(map));
                let path = format!("{path}.{}", if named { "*" } else { key.as_str().unwrap() });
                *keys.entry(path.clone()).or_default() |= !value.is_null();
                given(value, &path, keys);
            }
        }
        Value::Sequence(items) => items
            .iter()
            .for_each(|item| given(item, &format!("{path}[]"), keys)),
        _ => {}
    }
}

#[test]
fn every_key_there_is_stands_in_the_explained_file() {
    let raw: RawConfig = shape::fit(
        serde_yaml::from_str(&opened()).unwrap(),
        &mut Report::default(),
    );
    let mut keys = BTreeMap::new();
    given(&serde_yaml::to_value(&raw).unwrap(), "", &mut keys);
    let left_out: Vec<&String> = keys
        .iter()
        .filter(|(_, given)| !**given)
        .map(|(key, _)| key)
        .collect();
    assert_eq!(left_out, [""; 0]);
    assert!(keys.len() > 120, "{}", keys.len());
}

#[test]
fn what_the_explained_file_only_shows_is_good_too() {
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let issued = authority.issue("site", &["example.com"]);
    let read = |path: std::path::PathBuf| std::fs::read_to_string(path).unwrap();
    let (cert, key, ca) = (read(issued.cert), read(issued.key), read(authority.file()));
    for (name, content) in [
        ("tls/example.com.pem", cert.as_str()),
        ("tls/example.com.key", key.as_str()),
        ("tls/ca.pem", ca.as_str()),
        ("keys/ops", "secret\n"),
        ("admin.token", "other\n"),
    ] {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
    let text = opened().replace("/etc/tollgate", &dir.path().display().to_string());
    let config = parsed(&text).unwrap().config;
    let certificate = &config.listen[0].tls.as_ref().unwrap().certificates[0];
    assert_eq!(certificate.cert, dir.path().join("tls/example.com.pem"));
    assert!(config.admin.unwrap().token.is_some());
    assert!(config.pools[0].tls.as_ref().unwrap().ca.is_some());
    assert_eq!(config.keys.unwrap().len(), 3);
}

#[test]
fn what_the_explained_file_calls_defaults_are_the_defaults() {
    let full = load(&conf("tollgate.yaml")).unwrap().config;
    let least = load(&conf("minimal.yaml")).unwrap().config;
    assert_eq!(
        (full.max_body, full.shutdown_grace),
        (least.max_body, least.shutdown_grace)
    );
    assert_eq!(full.access_log, least.access_log);
    assert_eq!(full.listen[0].http2, least.listen[0].http2);
    assert_eq!(
        full.listen[0].proxy_protocol,
        least.listen[0].proxy_protocol
    );
    let trusting = ClientRules {
        trusted_proxies: full.client.trusted_proxies.clone(),
        ..least.client.clone()
    };
    assert_eq!(full.client, trusting);
    assert_eq!(full.error_log, least.error_log);
    let (a, b) = (&full.pools[0], &least.pools[0]);
    assert_eq!(
        (a.balance, a.http2, &a.health, &a.eject, &a.cooldown),
        (b.balance, b.http2, &b.health, &b.eject, &b.cooldown)
    );
    assert_eq!(
        (a.slow_start, a.resolve_every, a.timeouts),
        (b.slow_start, b.resolve_every, b.timeouts)
    );
    assert_eq!((&a.retry, &a.queue), (&b.retry, &b.queue));

    let bare = "    engine: http\n";
    let rest =
        "routes: [{pool: a, cache: c}]\ncaches: {c: {semantic: {embedder: {model: m, path: p}}}}";
    let (a, b) = (&full.caches[0], &good(bare, rest).config.caches[0]);
    assert_eq!(
        (a.scope, a.ttl, a.max_bytes, a.max_entry_bytes),
        (b.scope, b.ttl, b.max_bytes, b.max_entry_bytes)
    );
    assert_eq!(
        (a.single_flight, a.min_hit_ratio),
        (b.single_flight, b.min_hit_ratio)
    );
    let (a, b) = (a.semantic.as_ref().unwrap(), b.semantic.as_ref().unwrap());
    assert_eq!(
        (
            a.mode,
            a.decision,
            a.guard,
            a.min_words,
            a.max_entries,
            a.deadline
        ),
        (
            b.mode,
            b.decision,
            b.guard,
            b.min_words,
            b.max_entries,
            b.deadline
        )
    );
    assert_eq!(
        (
            a.max_temperature,
            a.embedder.threads,
            a.embedder.cache_bytes
        ),
        (
            b.max_temperature,
            b.embedder.threads,
            b.embedder.cache_bytes
        )
    );
}

fn leaves(value: &Value, at: At, all: &mut Vec<At>) {
    match value {
        Value::Mapping(mapping) => mapping
            .iter()
            .for_each(|(k, v)| leaves(v, at.key(k.as_str().unwrap()), all)),
        Value::Sequence(items) => items
            .iter()
            .enumerate()
            .for_each(|(n, v)| leaves(v, at.index(n), all)),
        _ => all.push(at),
    }
}

/// Replaces what stands at a path.
fn put(tree: &mut Value, at: &At, new: Value) {
    let place = at.steps().iter().fold(tree, |node, step| match step {
        Step::Key(key) => node.get_mut(key.as_str()).unwrap(),
        Step::Index(index) => node.get_mut(*index).unwrap(),
    });
    *place = new;
}

#[test]
fn a_wrong_value_is_reported_where_it_stands() {
    let tree: Value = serde_yaml::from_str(&full()).unwrap();
    let mut all = Vec::new();
    leaves(&tree, At::top(), &mut all);
    assert!(all.len() > 70, "{}", all.len());
    for at in &all {
        let mut broken = tree.clone();
        put(&mut broken, at, Value::Sequence(vec![]));
        let errors = parsed(&serde_yaml::to_string(&broken).unwrap()).unwrap_err();
        assert!(
            errors.iter().any(|error| error.path() == at.to_string()),
            "{at}: {errors}"
        );
    }
    // Fewer at once than a report keeps.
    for some in all.chunks(40) {
        let mut broken = tree.clone();
        for at in some {
            put(&mut broken, at, Value::Sequence(vec![]));
        }
        let errors = parsed(&serde_yaml::to_string(&broken).unwrap()).unwrap_err();
        for at in some {
            assert!(
                errors.iter().any(|error| error.path() == at.to_string()),
                "{at} is lost among the others"
            );
        }
    }
}

#[test]
fn a_file_that_cannot_be_read_is_an_error_that_names_it() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("none.yaml");
    let error = load(&missing).unwrap_err().to_string();
    assert!(
        error.starts_with(&missing.display().to_string()) && error.contains("No such file"),
        "{error}"
    );
    assert!(
        load(dir.path())
            .unwrap_err()
            .to_string()
            .contains("not a regular file")
    );
    std::fs::write(&missing, b"a: 1\nb: \xff\n").unwrap();
    assert!(
        load(&missing)
            .unwrap_err()
            .to_string()
            .contains("line 2 is not UTF-8")
    );
}

#[test]
fn a_symlink_is_followed_and_paths_start_from_its_folder() {
    let dir = tempfile::tempdir().unwrap();
    let (real, link) = (dir.path().join("v1"), dir.path().join("tollgate.yaml"));
    std::fs::create_dir(&real).unwrap();
    std::fs::write(
        real.join("file.yaml"),
        file("", "keys: [{name: k, key_file: key}]\naccess_log: ./log"),
    )
    .unwrap();
    std::fs::write(dir.path().join("key"), "secret\n").unwrap();
    std::os::unix::fs::symlink(real.join("file.yaml"), &link).unwrap();
    let config = load(&link).unwrap().config;
    assert_eq!(config.keys.unwrap()[0].tenant, "k");
    assert_eq!(
        config.access_log.to,
        crate::config::model::AccessLogTo::File(dir.path().join("./log"))
    );
}
