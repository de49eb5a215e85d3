//! `server` blocks: where they listen, which names they answer to, and which of them can stand side by side.

use super::ledger::Ledger;
use super::tree::{Dir, named};
use super::yaml::{Item, Map, Yaml};

/// A `server` and what decides when it is asked.
pub(super) struct Server<'a> {
    pub(super) dir: &'a Dir,
    pub(super) listens: Vec<Listen<'a>>,
    /// Names, and `*.` before names; none for a server without names.
    pub(super) hosts: Vec<String>,
    /// It has names, and none that could be carried over.
    pub(super) is_unnamed: bool,
    pub(super) tls: bool,
    pub(super) is_default: bool,
}

/// One `listen`.
pub(super) struct Listen<'a> {
    pub(super) address: String,
    /// Absent where nginx listens on port 80 by itself.
    dir: Option<&'a Dir>,
}

pub(super) fn server<'a>(
    dir: &'a Dir,
    ledger: &mut Ledger,
    comments: &mut Vec<String>,
) -> Server<'a> {
    let mut listens = Vec::new();
    let mut tls = dir.all("ssl").iter().any(|ssl| ssl.arg(0) == "on");
    let mut is_default = false;
    for listen in dir.all("listen") {
        tls |= listen.args.iter().any(|arg| arg == "ssl");
        is_default |= listen
            .args
            .iter()
            .any(|arg| arg == "default_server" || arg == "default");
        match address(listen.arg(0)) {
            Some(address) => listens.push(Listen {
                address,
                dir: Some(listen),
            }),
            None => comments.extend(ledger.leave(listen, "not an address Tollgate listens on")),
        }
    }
    if dir.all("listen").is_empty() {
        listens.push(Listen {
            address: "0.0.0.0:80".to_owned(),
            dir: None,
        });
    }
    let (mut hosts, mut lost, mut takes_none) = (Vec::new(), false, false);
    for names in dir.all("server_name") {
        ledger.carry(names);
        for name in &names.args {
            match name.as_str() {
                "" | "_" => takes_none = true,
                name if name.trim_start_matches("*.").contains(['~', '*', '$']) => {
                    lost = true;
                    comments.push(format!(
                        "{}: the name {name} was left out: hosts are names, or *. and a name",
                        names.place
                    ));
                }
                name => {
                    let name = name.to_ascii_lowercase();
                    match name.strip_prefix('.') {
                        Some(rest) => hosts.extend([rest.to_owned(), format!("*.{rest}")]),
                        None => hosts.push(name),
                    }
                }
            }
        }
    }
    Server {
        dir,
        listens,
        is_unnamed: lost && hosts.is_empty() && !takes_none,
        hosts,
        tls,
        is_default,
    }
}

/// An address and port as Tollgate writes them.
fn address(text: &str) -> Option<String> {
    let (host, port) = match text {
        "" => return None,
        text if text.starts_with("unix:") => return None,
        port if port.bytes().all(|b| b.is_ascii_digit()) => ("0.0.0.0", port),
        text => match text.rsplit_once(':') {
            Some((host, port)) if !port.is_empty() && !port.contains(']') => (host, port),
            _ => (text, "80"),
        },
    };
    let host = match host {
        "*" => "0.0.0.0",
        "localhost" => "127.0.0.1",
        host => host,
    };
    let address = format!("{host}:{port}");
    address
        .parse::<std::net::SocketAddr>()
        .is_ok()
        .then_some(address)
}

impl Server<'_> {
    /// How narrow its names are: exact ones go before `*.example.com`, longer before shorter.
    pub(super) fn rank(&self) -> (u8, std::cmp::Reverse<usize>) {
        let class = |host: &String| u8::from(host.contains('*'));
        let widest = self.hosts.iter().map(class).max().unwrap_or(2);
        let shortest = self.hosts.iter().map(String::len).min().unwrap_or(0);
        (widest, std::cmp::Reverse(shortest))
    }

    /// Whether both answer to one name.
    pub(super) fn clashes(&self, other: &Server<'_>) -> bool {
        match (self.hosts.is_empty(), other.hosts.is_empty()) {
            (true, true) => true,
            (false, false) => self.hosts.iter().any(|host| other.hosts.contains(host)),
            _ => false,
        }
    }
}

/// The section `listen` for these servers; `http` is the level around them.
pub(super) fn section(servers: &[Server<'_>], http: &[Dir], ledger: &mut Ledger) -> Vec<Item> {
    let mut addresses: Vec<&str> = Vec::new();
    for listen in servers.iter().flat_map(|server| &server.listens) {
        if !addresses.contains(&listen.address.as_str()) {
            addresses.push(&listen.address);
        }
    }
    // One socket takes both families; two would be in each other's way.
    let both: Vec<String> = addresses
        .iter()
        .filter_map(|address| Some(format!("0.0.0.0:{}", address.strip_prefix("[::]:")?)))
        .filter(|four| addresses.contains(&four.as_str()))
        .collect();
    let mut items = Vec::new();
    for address in addresses {
        if both.iter().any(|four| four == address) {
            continue;
        }
        let four = address
            .strip_prefix("[::]:")
            .map(|port| format!("0.0.0.0:{port}"))
            .filter(|four| both.contains(four));
        items.push(item(address, four.as_deref(), servers, http, ledger));
    }
    items
}

fn item(
    address: &str,
    also: Option<&str>,
    servers: &[Server<'_>],
    http: &[Dir],
    ledger: &mut Ledger,
) -> Item {
    let mut map = Map::default();
    map.put("address", address);
    let (mut comments, mut certificates, mut min) = (Vec::new(), Vec::new(), None);
    let (mut tls, mut http2, mut proxy) = (false, false, false);
    if let Some(also) = also {
        comments.push(format!("takes {also} as well"));
    }
    for server in servers {
        let here = |listen: &&Listen<'_>| {
            listen.address == address || Some(listen.address.as_str()) == also
        };
        let mut of_server = server.listens.iter().filter(here).peekable();
        if of_server.peek().is_none() {
            continue;
        }
        for dir in of_server.filter_map(|listen| listen.dir) {
            ledger.carry(dir);
            for arg in dir.args.iter().skip(1) {
                match arg.as_str() {
                    "ssl" => tls = true,
                    "http2" => http2 = true,
                    "proxy_protocol" => proxy = true,
                    "default_server" | "default" => {}
                    other => comments.push(format!("{}: {other} was left out", dir.place)),
                }
            }
        }
        for dir in server.dir.all("ssl") {
            ledger.carry(dir);
            tls |= dir.arg(0) == "on";
        }
        let inherited = |name: &str| match server.dir.all(name) {
            own if own.is_empty() => named(http, name),
            own => own,
        };
        for dir in inherited("http2") {
            ledger.carry(dir);
            http2 |= dir.arg(0) == "on";
        }
        if !tls {
            continue;
        }
        let keys = inherited("ssl_certificate_key");
        for (n, cert) in inherited("ssl_certificate").iter().enumerate() {
            let mut pair = Map::default();
            pair.put("cert", cert.arg(0));
            ledger.carry(cert);
            if let Some(key) = keys.get(n) {
                ledger.carry(key);
                pair.put("key", key.arg(0));
            }
            let pair = Item::from(Yaml::from(pair));
            if !certificates.contains(&pair) {
                certificates.push(pair);
            }
        }
        for dir in inherited("ssl_protocols") {
            let old = dir
                .args
                .iter()
                .filter(|arg| !matches!(arg.as_str(), "TLSv1.2" | "TLSv1.3"));
            for arg in old {
                comments.push(format!("{}: {arg} was left out: it is broken", dir.place));
            }
            ledger.carry(dir);
            if !dir.args.iter().any(|arg| arg == "TLSv1.2") && min.is_none() {
                min = Some("1.3");
            } else {
                min = Some("1.2");
            }
        }
    }
    if tls {
        let mut section = Map::default();
        section.put("certificates", certificates);
        if let Some(min) = min {
            section.put("min_version", min);
        }
        map.put("tls", section);
        map.put("http2", if http2 { "on" } else { "off" });
    } else if http2 {
        map.put("http2", "on");
    }
    if proxy {
        map.put("proxy_protocol", "on");
    }
    Item {
        comments,
        value: map.into(),
    }
}
