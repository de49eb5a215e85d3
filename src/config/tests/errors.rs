use super::*;

#[test]
fn mistakes_of_every_kind_are_shown_at_once_in_file_order() {
    let text = r#"listen:
  - address: localhost:8080
threads: many
max_boddy: 1MiB
pools:
  chat:
    engine: vlm
    peers:
      - address: 10.0.0.1:8000
      - address: 10.0.0.1:8000
        weight: -2
        max_requests: 0
      - weight: 1
    health: never
    timeouts: { connect: 5, total: 0s }
    timeouts: { connect: 5 }
    slow_start: ${NO_SUCH}
    retry: [3]
routes:
  - match: { path: v1, model: "[" }
    pool: chta
    cache: none
keys:
  - { name: k, sha256: abc }
limits:
  - { per: user }
"#;
    assert_eq!(
        lines(text),
        [
            r#"listen[0].address: localhost:8080: is not an IP address with a port (such as 127.0.0.1:8080 or "[::]:8080")"#,
            "threads: many: is not a whole number (digits only)",
            "max_boddy: 1MiB: unknown key (did you mean `max_body`?)",
            "pools.chat.engine: vlm: must be one of vllm, sglang, llama_cpp, tgi, openai, anthropic, http (did you mean `vllm`?)",
            "pools.chat.peers[1].address: 10.0.0.1:8000: is in this pool twice (use weight for a larger share)",
            "pools.chat.peers[1].weight: -2: must be greater than 0 (leave it out for 1)",
            "pools.chat.peers[1].max_requests: 0: must be at least 1 (leave it out for no cap)",
            "pools.chat.peers[2].address: is required (such as 10.0.0.11:8000)",
            "pools.chat.health: never: must be `off` or a mapping",
            "pools.chat.timeouts: is there twice (remove one)",
            "pools.chat.timeouts.connect: 5: is a time without a unit (write 5s or 5ms)",
            "pools.chat.timeouts.total: 0s: must be at least 1ms (leave it out for 15m)",
            "pools.chat.slow_start: ${NO_SUCH}: environment variable `NO_SUCH` is not set (set it, or give a default: ${NAME:-default})",
            "pools.chat.retry: [...]: must be a mapping such as `{ attempts: 3 }`",
            "routes[0].match.path: v1: must begin with / or a wildcard (write /v1)",
            "routes[0].match.model: [: is not a pattern: unclosed character class; missing ']' (* any text, ? one character, [ab] one of, {a,b} either)",
            "routes[0].pool: chta: there is no pool of this name (did you mean `chat`?)",
            "routes[0].cache: none: there is no cache of this name (there is none)",
            "keys[0].sha256: ***: must be 64 hexadecimal digits (the output of: printf %s KEY | sha256sum)",
            "limits[0]: limits nothing (give requests, tokens or concurrency)",
            "limits[0].per: user: must be one of key, tenant (did you mean `key`?)",
        ]
    );
}

#[test]
fn an_error_knows_its_line() {
    let errors =
        parsed("listen:\n  - address: 0.0.0.0:80\npools:\n  a:\n    peers:\n      - address: b\n")
            .unwrap_err();
    let found: Vec<_> = errors
        .iter()
        .map(|error| (error.path(), error.line()))
        .collect();
    assert_eq!(found, [("pools.a.peers[0].address", Some(6))]);
}

#[test]
fn a_key_written_where_its_hash_belongs_is_not_repeated() {
    for keys in [
        "keys: [{name: k, sha256: sk-secret}]",
        "keys: [{name: k, key: sk-secret}]",
        "keys: [sk-secret]",
        "keys: {k: sk-secret}",
        "keys: sk-secret",
    ] {
        let found = bad("", keys);
        assert!(found[0].starts_with("keys"), "{found:?}");
        assert!(!found.concat().contains("sk-secret"), "{found:?}");
    }
}

#[test]
fn an_empty_section_is_an_error_not_an_open_door() {
    assert_eq!(
        bad("", "keys:"),
        ["keys: has no value (write one or leave the key out)"]
    );
    assert_eq!(
        bad("", "keys: []"),
        ["keys: has no key, so nobody gets in (leave it out to ask for none)"]
    );
    assert_eq!(bad("", "routes: []").len(), 1);
    assert_eq!(lines("listen: []\npools: {}\n").len(), 2);
    assert_eq!(lines("{}").len(), 2);
}

#[test]
fn what_has_to_be_unique_is() {
    let hash = "ab".repeat(32);
    let keys = format!("keys: [{{name: k, sha256: {hash}}}, {{name: k, sha256: {hash}}}]");
    assert_eq!(bad("", &keys).len(), 2);
    assert_eq!(
        bad("", "routes: [{name: route-2, pool: a}, {pool: a}]").len(),
        1
    );
    assert_eq!(bad("", "admin: {address: 127.0.0.1:8080}").len(), 1);
    assert_eq!(
        lines(&file("", "").replace("0:8080 }", "0:8080 }, { address: 127.0.0.1:8080 }")).len(),
        1
    );
}

#[test]
fn a_peer_that_is_tollgate_itself_is_refused() {
    let found = lines(&file("", "").replace("10.0.0.1:8000", "localhost:8080"));
    assert!(found[0].contains("Tollgate itself"), "{found:?}");
}

#[test]
fn several_pools_need_routes() {
    let found = bad("  b: {peers: [{address: b:1}]}", "");
    assert_eq!(
        found,
        ["routes: is required (there are several pools (a, b): say what goes where)"]
    );
}

#[test]
fn parts_that_do_not_fit_each_other_are_refused() {
    for (pool, rest, path) in [
        ("    eject: {base: 10min}", "", "pools.a.eject.base"),
        (
            "    retry: {max_backoff: 1ms}",
            "",
            "pools.a.retry.base_backoff",
        ),
        ("    queue: {max_wait: 0s}", "", "pools.a.queue.max_wait"),
        (
            "    retry: {statuses: [200]}",
            "",
            "pools.a.retry.statuses[0]",
        ),
        ("    health: {path: health}", "", "pools.a.health.path"),
        (
            "",
            "caches: {c: {exact: {max_bytes: 1kB, max_entry: 2kB}}}",
            "caches.c.exact.max_entry",
        ),
        (
            "",
            "caches: {c: {semantic: {}}}",
            "caches.c.semantic.embedder",
        ),
        (
            "",
            "caches: {c: {semantic: {threshold: 1.1, embedder: {model: m, path: p}}}}",
            "caches.c.semantic.threshold",
        ),
        ("", "keys: [{name: k}]", "keys[0].sha256"),
        ("", "tiers: {t: {}}", "tiers.t.priority"),
        ("", "limits: [{requests: 1/s}]", "limits[0].per"),
        (
            "",
            "limits: [{per: key, requests: 1}]",
            "limits[0].requests",
        ),
        ("", "access_log: sdtout", "access_log"),
        ("", "access_log: [stdout]", "access_log"),
        ("", "access_log: {to: 7}", "access_log.to"),
        ("", "access_log: {format: nginx}", "access_log.format"),
        ("", "access_log: {path: /x}", "access_log.path"),
        ("", "error_log: off", "error_log"),
        ("", "error_log: {level: trace}", "error_log.level"),
        ("", "shutdown_grace: 400d", "shutdown_grace"),
        ("", "max_body: 0", "max_body"),
        ("", "upgrade_socket: on", "upgrade_socket"),
    ] {
        let errors = parsed(&file(pool, rest)).unwrap_err();
        assert_eq!(
            errors.iter().map(|error| error.path()).collect::<Vec<_>>(),
            [path],
            "{errors}"
        );
    }
}

#[test]
fn two_caches_with_one_file_are_refused() {
    let text = "listen:\n  - address: 127.0.0.1:1\npools:\n  p: { peers: [{ address: 127.0.0.1:2 }] }\ncaches:\n  a: { store: { path: /x/one } }\n  b: { store: { path: /x/two } }\n  c: { store: { path: /x/one } }\n";
    assert_eq!(
        lines(text),
        [
            "caches.c.store.path: /x/one: is where `a` keeps its answers (each cache needs a file of its own)"
        ]
    );
}
