//! `proxy_pass`: to whom, and what becomes of the path and the headers.

use super::ledger::Ledger;
use super::locations::{Kind, Location};
use super::tree::Dir;
use super::yaml::{Map, list};

/// Whom a `proxy_pass` names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) https: bool,
    /// The name of an upstream, or a host with or without a port.
    pub(super) host: String,
    /// What takes the place of the location's path.
    pub(super) uri: Option<String>,
}

impl Target {
    /// From the argument of `proxy_pass`; the error is the reason why it cannot be carried over.
    pub(super) fn read(url: &str) -> Result<Self, &'static str> {
        // The whole of the client's target after the host is what is sent without any URI.
        let url = url.strip_suffix("$request_uri").unwrap_or(url);
        let (https, rest) = match (url.strip_prefix("http://"), url.strip_prefix("https://")) {
            (Some(rest), _) => (false, rest),
            (_, Some(rest)) => (true, rest),
            _ => return Err("not an address of a peer"),
        };
        if rest.contains('$') {
            return Err("the peer is in a variable");
        }
        if rest.starts_with("unix:") {
            return Err("a socket file is no peer of Tollgate");
        }
        let (host, uri) = match rest.find('/') {
            Some(at) => (&rest[..at], Some(rest[at..].to_owned())),
            None => (rest, None),
        };
        Ok(Self {
            https,
            host: host.to_owned(),
            uri,
        })
    }

    pub(super) fn named(host: &str) -> Self {
        Self {
            https: false,
            host: host.to_owned(),
            uri: None,
        }
    }

    /// Host and port.
    pub(super) fn address(&self) -> Option<String> {
        let has_port = match self.host.rsplit_once(':') {
            Some((_, port)) => !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()),
            None => false,
        };
        match has_port {
            _ if self.host.is_empty() || self.host.starts_with("unix:") => None,
            true => Some(self.host.clone()),
            false => Some(format!(
                "{}:{}",
                self.host,
                if self.https { 443 } else { 80 }
            )),
        }
    }
}

/// `rewrite.path` for a `proxy_pass` with a URI in `location`.
pub(super) fn path(location: &Location<'_>, uri: Option<&str>) -> Result<Map, &'static str> {
    let Some(uri) = uri else {
        return Ok(Map::default());
    };
    match location.kind {
        Kind::Regex { .. } | Kind::Named => {
            return Err("nginx takes no URI in proxy_pass here either");
        }
        Kind::Exact | Kind::Prefix | Kind::FinalPrefix => {}
    }
    prefix(location.path, uri)
}

/// A path that begins with `from` begins with `to` instead.
pub(super) fn prefix(from: &str, to: &str) -> Result<Map, &'static str> {
    let (strip, add) = match (from.strip_suffix('/'), to.strip_suffix('/')) {
        (Some(strip), Some(add)) => (strip, add),
        (None, Some("")) => (from, ""),
        (None, None) => (from, to),
        _ => return Err("it joins path segments, which a prefix cannot express"),
    };
    let mut map = Map::default();
    if strip == add {
        return Ok(map);
    }
    if !strip.is_empty() {
        map.put("strip_prefix", strip);
    }
    if !add.is_empty() {
        map.put("add_prefix", add);
    }
    Ok(map)
}

/// `rewrite.path` for `rewrite ^/from/(.*)$ /to/$1 break`.
pub(super) fn broken_off(rewrite: &Dir) -> Option<Map> {
    if rewrite.arg(2) != "break" {
        return None;
    }
    let from = rewrite.arg(0).strip_prefix('^')?;
    let from = from.strip_suffix('$').unwrap_or(from);
    let from = from.strip_suffix("(.*)").or(from.strip_suffix("(.+)"))?;
    let to = rewrite.arg(1).strip_suffix("$1")?;
    let is_plain = |text: &str| {
        text.chars()
            .all(|c| c.is_ascii_alphanumeric() || "/_-".contains(c))
    };
    (is_plain(from) && is_plain(to))
        .then(|| prefix(from, to).ok())
        .flatten()
}

/// What Tollgate tells peers by itself.
const BY_ITSELF: &[(&str, &[&str])] = &[
    ("host", &["$host", "$http_host", "$host:$server_port"]),
    ("x-forwarded-for", &["$proxy_add_x_forwarded_for"]),
    ("x-forwarded-proto", &["$scheme"]),
    ("x-forwarded-host", &["$host", "$http_host"]),
    ("x-request-id", &["$request_id"]),
    ("upgrade", &["$http_upgrade"]),
    (
        "connection",
        &[
            "",
            "upgrade",
            "Upgrade",
            "$connection_upgrade",
            "$http_connection",
        ],
    ),
    ("te", &[""]),
];

/// Headers of the connection and the framing, which are not anybody's to change.
const OF_THE_CONNECTION: &[&str] = &[
    "connection",
    "content-length",
    "expect",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];
const NOT_TO_CHANGE: &str = "it belongs to the connection, which Tollgate sees to";

fn is_of_the_connection(name: &str) -> bool {
    OF_THE_CONNECTION
        .iter()
        .any(|known| name.eq_ignore_ascii_case(known))
}

/// `rewrite.request_headers`. `host` is the peer's own, where it has one: without being told otherwise nginx asks for that.
pub(super) fn request_headers(
    dirs: &[&Dir],
    host: Option<&str>,
    ledger: &mut Ledger,
    comments: &mut Vec<String>,
) -> Map {
    let is_host = |dir: &Dir| dir.arg(0).eq_ignore_ascii_case("host");
    let (mut set, mut remove) = (Map::default(), Vec::new());
    for dir in dirs {
        let (name, value) = (dir.arg(0), dir.arg(1));
        let known = BY_ITSELF
            .iter()
            .find(|(known, _)| name.eq_ignore_ascii_case(known));
        if known.is_some_and(|(_, values)| values.contains(&value)) {
            ledger.carry(dir);
        } else if is_of_the_connection(name) {
            comments.extend(ledger.leave(dir, NOT_TO_CHANGE));
        } else if let (true, "$proxy_host", Some(host)) = (is_host(dir), value, host) {
            ledger.carry(dir);
            set.put("Host", host);
        } else if value.contains('$') {
            comments.extend(ledger.leave(dir, "headers take no variables"));
        } else if is_host(dir) && value.is_empty() {
            comments.extend(ledger.leave(dir, "a request has a host"));
        } else if value.is_empty() {
            ledger.carry(dir);
            remove.push(name);
        } else if !set.has(name) {
            ledger.carry(dir);
            set.put(name, value);
        }
    }
    if let (Some(host), None) = (host, dirs.iter().find(|dir| is_host(dir)))
        && host.contains(|c: char| c.is_ascii_alphabetic())
        && !host.starts_with('[')
    {
        set.put("Host", host);
    }
    let mut map = Map::default();
    map.put_map("set", set);
    if !remove.is_empty() {
        map.put("remove", list(remove));
    }
    map
}

/// `rewrite.response_headers`.
pub(super) fn response_headers(
    added: &[&Dir],
    hidden: &[&Dir],
    ledger: &mut Ledger,
    comments: &mut Vec<String>,
) -> Map {
    let (mut add, mut remove) = (Map::default(), Vec::new());
    for dir in added {
        let (name, value) = (dir.arg(0), dir.arg(1));
        if is_of_the_connection(name) {
            comments.extend(ledger.leave(dir, NOT_TO_CHANGE));
        } else if value.contains('$') {
            comments.extend(ledger.leave(dir, "headers take no variables"));
        } else if add.has(name) {
            comments.extend(ledger.leave(dir, "a header is added once"));
        } else if !value.is_empty() {
            ledger.carry(dir);
            add.put(name, value);
        }
    }
    for dir in hidden {
        match is_of_the_connection(dir.arg(0)) {
            true => comments.extend(ledger.leave(dir, NOT_TO_CHANGE)),
            false => {
                ledger.carry(dir);
                remove.push(dir.arg(0));
            }
        }
    }
    let mut map = Map::default();
    map.put_map("add", add);
    if !remove.is_empty() {
        map.put("remove", list(remove));
    }
    map
}
