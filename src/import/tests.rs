use std::fs;

use proptest::prelude::*;
use serde_yaml::Value;

use super::tree::{Dir, read};
use super::*;

fn imported(conf: &str) -> (Imported, Value) {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("nginx.conf");
    fs::write(&path, conf).expect("written");
    let imported = import(&path).unwrap_or_else(|error| panic!("{error}"));
    let value = serde_yaml::from_str(&imported.yaml)
        .unwrap_or_else(|error| panic!("{error}\n{}", imported.yaml));
    (imported, value)
}

fn server(inside: &str) -> Value {
    imported(&format!(
        "http {{ upstream u {{ server 10.0.0.1:8000; }} server {{ {inside} }} }}"
    ))
    .1
}

fn yaml(text: &str) -> Value {
    serde_yaml::from_str(text).expect("YAML")
}

const EDGE: &str = include_str!("../../tests/nginx/edge.conf");

#[test]
fn an_edge_is_carried_over() {
    let (imported, value) = imported(EDGE);
    let expected = yaml(
        r#"
listen:
  - address: 0.0.0.0:443
    tls: { certificates: [{ cert: /etc/a.pem, key: /etc/a.key }], min_version: "1.2" }
    http2: on
threads: 4
max_body: 20MiB
client: { trusted_proxies: [10.0.0.0/8], max_header_bytes: 32KiB, idle_timeout: 65s }
access_log: { to: /var/log/nginx/access.log, format: combined }
error_log: { to: /var/log/nginx/error.log, level: warn }
pools:
  chat:
    balance: least_requests
    eject: { after: 3, base: 30s }
    peers:
      - { address: 10.0.0.11:8000, weight: 2 }
      - { address: 10.0.0.12:8000, max_requests: 64 }
      - { address: 10.0.0.14:80, backup: true }
    health: off
    timeouts: { first_byte: 300s, between_chunks: 300s }
    retry: { attempts: 2, statuses: [503] }
routes:
  - name: api.example.com-healthz
    match: { path: /healthz }
    respond: { status: 200, body: "ok\n", headers: { content-type: text/plain } }
  - name: api.example.com-v1
    match: { path: /v1/* }
    rewrite: { request_headers: { set: { X-Env: prod } }, response_headers: { add: { X-Served-By: tollgate } } }
    pool: chat
    limits: [{ per: key, requests: 21/2100ms }]
"#,
    );
    assert_eq!(text(&value), text(&expected), "{}", imported.yaml);
}

/// Scalars as text: what is a number and what a word is the configuration's business.
fn text(value: &Value) -> Value {
    match value {
        Value::Number(number) => Value::String(number.to_string()),
        Value::Bool(flag) => Value::String(flag.to_string()),
        Value::Sequence(items) => Value::Sequence(items.iter().map(text).collect()),
        Value::Mapping(map) => map
            .iter()
            .map(|(k, v)| (text(k), text(v)))
            .collect::<serde_yaml::Mapping>()
            .into(),
        other => other.clone(),
    }
}

/// Every directive, with its place.
fn all<'a>(dirs: &'a [Dir], found: &mut Vec<&'a Dir>) {
    for dir in dirs {
        found.push(dir);
        all(dir.inside(), found);
    }
}

#[test]
fn every_directive_is_carried_over_or_stands_as_a_comment_with_its_place() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("nginx.conf");
    let odd = "stream { server { listen 53 udp; proxy_pass dns; } } http { more_set_headers 'A: b'; include no.conf; include mime.types; server { listen unix:/s; location ~ (?!x) { proxy_pass http://a; } location @n { return 404; } location /l { content_by_lua_block { ngx.say(1) } } location /p { proxy_pass http://$x; if ($a) { return 403; } location /p/q { proxy_pass http://z; } } } }";
    fs::write(
        folder.path().join("mime.types"),
        "types { text/html html; image/png png; }",
    )
    .expect("written");
    for conf in [EDGE, odd] {
        // A line each, so that places tell them apart.
        let conf = conf
            .replace("{ ", "{\n")
            .replace("; ", ";\n")
            .replace("} ", "}\n");
        fs::write(&path, conf).expect("written");
        let tree = read(&path).expect("parses");
        let mut dirs = Vec::new();
        all(&tree.top, &mut dirs);
        assert_eq!(dirs.len(), tree.count);
        let imported = import(&path).expect("translates");
        let comments: Vec<&str> = imported
            .yaml
            .lines()
            .filter(|line| line.trim_start().starts_with('#'))
            .collect();
        let mut noted = 0;
        for dir in &dirs {
            let wanted = format!("{}: {}", dir.place, dir.source);
            noted += usize::from(comments.iter().any(|line| line.contains(&wanted)));
        }
        assert_eq!(imported.left_out, noted, "{}", imported.yaml);
        assert!(noted < dirs.len());
        // What no comment names has left a trace of its own: nothing is left open.
        let mut ledger = ledger::Ledger::new(tree.count);
        site::translate(&tree.top, &mut ledger).expect("translates");
        assert!(
            dirs.iter().all(|dir| !ledger.is_open(dir)),
            "{:?}",
            dirs.iter().find(|dir| ledger.is_open(dir))
        );
    }
}

#[test]
fn what_protected_a_location_keeps_its_route_out_of_the_file() {
    let value = server(
        "auth_basic x; location /open { auth_basic off; proxy_pass http://u; } location /if { auth_basic off; if ($http_key != s) { return 401; } proxy_pass http://u; } location / { proxy_pass http://u; }",
    );
    let routes = value["routes"].as_sequence().expect("a list");
    assert_eq!(routes.len(), 1);
    assert_eq!(routes[0]["match"]["path"], "/open*");
}

#[test]
fn locations_come_in_the_order_in_which_nginx_would_choose() {
    let value = server(
        "location / { proxy_pass http://u; } location ~ ^/a/(x|y)$ { proxy_pass http://u; } location /a/long/ { proxy_pass http://u; } location ^~ /s/ { proxy_pass http://u; } location /a/ { proxy_pass http://u; } location = /a/x { proxy_pass http://u; } location /s/t/ { proxy_pass http://u; }",
    );
    let paths: Vec<_> = value["routes"]
        .as_sequence()
        .expect("a list")
        .iter()
        .map(|route| route["match"]["path"].as_str().unwrap_or("any"))
        .collect();
    assert_eq!(
        paths,
        [
            "/a/x",
            "/s/t/*",
            "/s/*",
            "/a/{x,y}",
            "/a/long/*",
            "/a/*",
            "any"
        ]
    );
}

#[test]
fn narrow_names_come_first_and_the_default_server_takes_the_rest() {
    let each = |names: &str, path: &str| {
        format!(
            "server {{ listen 80; server_name {names}; location {path} {{ proxy_pass http://10.0.0.1:1; }} }}"
        )
    };
    let (_, value) = imported(&format!(
        "http {{ {} {} {} }}",
        each("first.org", "/"),
        each("*.example.com", "/"),
        each("a.example.com b.example.com", "/"),
    ));
    let hosts: Vec<_> = value["routes"]
        .as_sequence()
        .expect("a list")
        .iter()
        .map(|route| match &route["match"]["host"] {
            Value::Sequence(hosts) => {
                let hosts = hosts.iter().filter_map(Value::as_str);
                hosts.collect::<Vec<_>>().join(" ")
            }
            host => host.as_str().unwrap_or("any").to_owned(),
        })
        .collect();
    assert_eq!(
        hosts,
        [
            "a.example.com b.example.com",
            "first.org",
            "*.example.com",
            "any"
        ]
    );
}

#[test]
fn a_server_whose_names_cannot_be_said_is_no_server_for_every_name() {
    let (_, value) = imported(
        "http { server { listen 80; server_name a.org; location / { proxy_pass http://10.0.0.1; } }
         server { listen 80; server_name ~^x www.*; location / { proxy_pass http://10.0.0.2; } }
         server { listen 80; server_name ~^y b.org; location / { proxy_pass http://10.0.0.3; } } }",
    );
    let routes = value["routes"].as_sequence().expect("a list");
    let led: Vec<_> = routes
        .iter()
        .map(|route| (&route["match"]["host"], &route["pool"]))
        .collect();
    assert_eq!(
        led,
        [
            (&yaml("b.org"), &yaml("10.0.0.3")),
            (&Value::Null, &yaml("10.0.0.1"))
        ]
    );
}

#[test]
fn a_peer_by_name_is_asked_for_its_own_host_unless_told_otherwise() {
    for (inside, host) in [
        ("proxy_pass https://api.x.org;", "api.x.org"),
        (
            "proxy_pass http://x.org:81; proxy_set_header Host $proxy_host;",
            "\"x.org:81\"",
        ),
        (
            "proxy_pass http://x.org; proxy_set_header host y.org;",
            "y.org",
        ),
        ("proxy_pass http://x.org; proxy_set_header Host $host;", "~"),
        ("proxy_pass http://10.0.0.1:8000;", "~"),
        ("proxy_pass http://u;", "~"),
    ] {
        let value = server(&format!("location / {{ {inside} }}"));
        let set = &value["routes"][0]["rewrite"]["request_headers"]["set"];
        let set = set.get("Host").or(set.get("host"));
        assert_eq!(set.unwrap_or(&Value::Null), &yaml(host), "{inside}");
    }
}

#[test]
fn headers_of_the_connection_are_left_to_tollgate() {
    let value = server(
        "location / { proxy_pass http://u; proxy_set_header Connection keep-alive; proxy_set_header Transfer-Encoding ''; proxy_set_header Host ''; proxy_hide_header Upgrade; add_header Keep-Alive x; add_header X-A b; }",
    );
    assert_eq!(
        value["routes"][0]["rewrite"],
        yaml("{ response_headers: { add: { X-A: b } } }")
    );
}

#[test]
fn a_uri_in_proxy_pass_replaces_the_prefix() {
    for (location, pass, expected) in [
        ("/a/", "http://u/b/", "{ strip_prefix: /a, add_prefix: /b }"),
        ("/a/", "http://u/", "{ strip_prefix: /a }"),
        ("/", "http://u/b/", "{ add_prefix: /b }"),
        ("/a", "http://u/b", "{ strip_prefix: /a, add_prefix: /b }"),
        ("/a/", "http://u/a/", "~"),
        ("/a/", "http://u", "~"),
        ("/a/", "http://u$request_uri", "~"),
    ] {
        let value = server(&format!("location {location} {{ proxy_pass {pass}; }}"));
        assert_eq!(
            value["routes"][0]["rewrite"]["path"],
            yaml(expected),
            "{location} {pass}"
        );
    }
    let value = server("location /a/ { rewrite ^/a/(.*)$ /b/$1 break; proxy_pass http://u; }");
    assert_eq!(
        value["routes"][0]["rewrite"]["path"],
        yaml("{ strip_prefix: /a, add_prefix: /b }")
    );
    let value = server("location /a/ { proxy_pass http://u/b; }");
    assert_eq!(
        value["routes"],
        yaml("[]"),
        "no route is better than a wrong path"
    );
}

#[test]
fn addresses_that_are_let_in_stay_the_ones_that_are_let_in() {
    for (rules, allow, deny) in [
        (
            "allow 10.0.0.0/8; allow ::1; deny all;",
            "[10.0.0.0/8, \"::1\"]",
            "~",
        ),
        ("deny 10.0.0.1; allow all;", "~", "[10.0.0.1]"),
        (
            "deny 10.0.0.1; allow 10.0.0.0/8; deny all;",
            "[10.0.0.0/8]",
            "[10.0.0.1]",
        ),
        ("deny all;", "~", "[0.0.0.0/0, \"::/0\"]"),
        ("allow 10.0.0.1;", "~", "~"),
    ] {
        let value = server(&format!("{rules} location / {{ proxy_pass http://u; }}"));
        let route = &value["routes"][0];
        assert_eq!(
            (&route["allow"], &route["deny"]),
            (&yaml(allow), &yaml(deny)),
            "{rules}"
        );
    }
}

#[test]
fn redirects_and_answers_are_carried_over() {
    for (inside, expected) in [
        ("return 204;", "{ name: all, respond: { status: 204 } }"),
        (
            "return https://x.org$request_uri;",
            "{ name: all, redirect: { to: \"https://x.org\", status: 302, keep_path: true } }",
        ),
        (
            "rewrite ^/(.*)$ https://x.org/$1 permanent;",
            "{ name: all, redirect: { to: \"https://x.org\", status: 301, keep_path: true } }",
        ),
        (
            "server_name a.org; return 308 https://$host/new;",
            "{ name: a.org, redirect: { to: \"https://{host}/new\", status: 308, keep_path: false } }",
        ),
    ] {
        let value = server(inside);
        assert_eq!(text(&value["routes"][0]), text(&yaml(expected)), "{inside}");
    }
    for inside in [
        "return 444;",
        "return 200 $host;",
        "return 301 https://$http_host/;",
    ] {
        assert_eq!(server(inside)["routes"], yaml("[]"), "{inside}");
    }
}

#[test]
fn a_mirror_is_a_pool_and_its_location_no_route() {
    let value = server(
        "location / { mirror /m; proxy_pass http://u; } location = /m { internal; proxy_pass http://10.9.9.9:1$request_uri; }",
    );
    assert_eq!(
        text(&value["routes"]),
        text(&yaml(
            "[{ name: all, pool: u, mirror: { pool: \"10.9.9.9:1\", share: 1 } }]"
        ))
    );
}

#[test]
fn peers_behind_tls_are_spoken_to_in_tls() {
    let value = server(
        "location / { proxy_pass https://api.x.org; proxy_ssl_server_name on; proxy_ssl_verify on; proxy_ssl_trusted_certificate /ca.pem; }",
    );
    let pool = &value["pools"]["api.x.org"];
    assert_eq!(pool["peers"], yaml("[{ address: \"api.x.org:443\" }]"));
    assert_eq!(
        text(&pool["tls"]),
        text(&yaml("{ ca: /ca.pem, sni: api.x.org, verify: on }"))
    );
}

#[test]
fn one_socket_takes_both_families() {
    let value = server("listen 80; listen [::]:80; location / { proxy_pass http://u; }");
    assert_eq!(value["listen"], yaml("[{ address: \"[::]:80\" }]"));
}

#[test]
fn what_is_no_nginx_file_is_refused_with_its_place() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("x.conf");
    for conf in [
        "http { server {",
        "http { }",
        "include x.conf; http { server { } }",
    ] {
        fs::write(&path, conf).expect("written");
        match import(&path) {
            Err(error) => assert!(!error.to_string().is_empty()),
            Ok(imported) => assert!(imported.yaml.contains("is included by itself"), "{conf}"),
        }
    }
    let error = import(&folder.path().join("none"))
        .expect_err("absent")
        .to_string();
    assert!(error.contains("none: No such file"), "{error}");
}

/// Any directive with any arguments, nested anyhow.
fn any_conf() -> impl Strategy<Value = String> {
    let name = prop::sample::select(vec![
        "listen",
        "server_name",
        "server",
        "location",
        "upstream",
        "http",
        "proxy_pass",
        "return",
        "rewrite",
        "allow",
        "deny",
        "limit_req",
        "limit_req_zone",
        "limit_conn",
        "mirror",
        "internal",
        "if",
        "access_log",
        "log_format",
        "error_log",
        "include",
        "client_max_body_size",
        "keepalive_timeout",
        "large_client_header_buffers",
        "proxy_read_timeout",
        "proxy_next_upstream",
        "proxy_set_header",
        "add_header",
        "ssl_certificate",
        "ssl_protocols",
        "set_real_ip_from",
        "auth_basic",
        "hash",
        "least_conn",
    ]);
    let word = prop::sample::select(vec![
        "80",
        "443",
        "ssl",
        "[::]:80",
        "a.org",
        "*.b.org",
        "~x",
        "/",
        "/a/",
        "=",
        "^~",
        "~*",
        "^/a(b|c)$",
        "[",
        "(",
        "http://u",
        "https://h/x/",
        "http://$x",
        "301",
        "https://$host$request_uri",
        "'a: b'",
        "\"${x}\"",
        "zone=z:1m",
        "rate=1r/s",
        "burst=18446744073709551615",
        "$binary_remote_addr",
        "weight=2",
        "max_fails=x",
        "down",
        "10.0.0.1:1",
        "all",
        "off",
        "1m",
        "z",
        "#",
        "\\",
        "^",
        "break",
        "$1",
    ]);
    let args = prop::collection::vec(word, 0..4).prop_map(|words| words.join(" "));
    let leaf = (name.clone(), args.clone()).prop_map(|(name, args)| format!("{name} {args}\n;"));
    leaf.prop_recursive(4, 40, 6, move |inner| {
        (
            name.clone(),
            args.clone(),
            prop::collection::vec(inner, 0..6),
        )
            .prop_map(|(name, args, inner)| format!("{name} {args}\n{{\n{}\n}}", inner.join("\n")))
    })
}

proptest! {
    #[test]
    fn whatever_the_file_every_directive_has_a_fate_and_the_output_is_yaml(parts in prop::collection::vec(any_conf(), 0..8)) {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("nginx.conf");
        fs::write(&path, format!("{}\nserver {{ }}\n", parts.join("\n"))).expect("written");
        if let Ok(tree) = read(&path) {
            let mut dirs = Vec::new();
            all(&tree.top, &mut dirs);
            let mut ledger = ledger::Ledger::new(tree.count);
            if let Ok(yaml) = site::translate(&tree.top, &mut ledger) {
                prop_assert!(serde_yaml::from_str::<Value>(&yaml).is_ok(), "{}", yaml);
                for dir in dirs {
                    prop_assert!(!ledger.is_open(dir), "{:?} is lost in\n{}", dir, yaml);
                }
            }
        }
    }
}
