//! `upstream` blocks, and addresses in `proxy_pass`, as pools.

use super::ledger::Ledger;
use super::locations::Scope;
use super::proxy::Target;
use super::tree::Dir;
use super::units;
use super::yaml::{Item, Map, Yaml, list};

/// The pools that routes asked for so far.
pub(super) struct Pools<'a> {
    upstreams: Vec<&'a Dir>,
    drafts: Vec<Draft>,
}

struct Draft {
    /// What makes two uses the same pool: the peers, and how they are spoken to.
    target: String,
    speech: (Map, bool),
    name: String,
    comments: Vec<String>,
    map: Map,
    timeouts: Map,
    retry: Map,
}

/// A pool for a route, and what of the route's own timeouts differs from the pool's.
pub(super) struct Use {
    pub(super) pool: String,
    pub(super) timeouts: Map,
}

impl<'a> Pools<'a> {
    pub(super) fn new(upstreams: Vec<&'a Dir>) -> Self {
        Self {
            upstreams,
            drafts: Vec::new(),
        }
    }

    pub(super) fn is_upstream(&self, name: &str) -> bool {
        self.upstreams.iter().any(|dir| dir.arg(0) == name)
    }

    /// The pool behind `target` as it is used in `scope`.
    pub(super) fn get(
        &mut self,
        target: &Target,
        scope: &Scope<'_>,
        ledger: &mut Ledger,
        comments: &mut Vec<String>,
    ) -> Result<Use, String> {
        let speech = (
            tls(target, scope, ledger),
            scope.find("proxy_http_version").is_some_and(|dir| {
                ledger.carry(dir);
                dir.arg(0).starts_with('2')
            }),
        );
        let wanted = timeouts(scope, ledger, comments);
        let found = |draft: &&mut Draft| draft.target == target.host && draft.speech == speech;
        if let Some(draft) = self.drafts.iter_mut().find(found) {
            let timeouts = match draft.timeouts == wanted {
                true => Map::default(),
                // What nginx does without being told, where the pool was told otherwise.
                false if wanted.is_empty() => nginx_timeouts(),
                false => wanted,
            };
            let pool = draft.name.clone();
            let again = retry(scope, ledger, comments);
            if again != draft.retry {
                comments.push(format!(
                    "retry holds for the pool {pool}; this route had another one in nginx"
                ));
            }
            return Ok(Use { pool, timeouts });
        }
        let retry = retry(scope, ledger, comments);
        let mut draft = self.draft(target, ledger)?;
        if !speech.0.is_empty() {
            draft.map.put("tls", speech.0.clone());
        } else if target.https {
            draft.map.put("tls", "on");
        }
        if speech.1 {
            draft.map.put("http2", "on");
        }
        (draft.speech, draft.timeouts, draft.retry) = (speech, wanted, retry);
        let pool = draft.name.clone();
        self.drafts.push(draft);
        Ok(Use {
            pool,
            timeouts: Map::default(),
        })
    }

    fn draft(&self, target: &Target, ledger: &mut Ledger) -> Result<Draft, String> {
        let upstream = self.upstreams.iter().find(|dir| dir.arg(0) == target.host);
        let (mut comments, mut map) = (Vec::new(), Map::default());
        match upstream {
            Some(dir) => {
                ledger.carry(dir);
                from_upstream(dir, &mut map, ledger, &mut comments)?;
            }
            None => {
                let address = target
                    .address()
                    .ok_or("a socket file is no peer of Tollgate")?;
                let mut peer = Map::default();
                peer.put("address", address);
                map.put("peers", list([peer]));
            }
        }
        // nginx asks nobody how it is, and a peer without such a path would be taken out.
        map.put("health", "off");
        let base = target.host.replace(['[', ']'], "");
        let taken = |name: &str| self.drafts.iter().any(|draft| draft.name == name);
        let mut name = base.clone();
        for n in 2.. {
            if !taken(&name) {
                break;
            }
            name = format!("{base}-{n}");
        }
        Ok(Draft {
            target: target.host.clone(),
            speech: (Map::default(), false),
            name,
            comments,
            map,
            timeouts: Map::default(),
            retry: Map::default(),
        })
    }

    /// The section `pools`, with the upstreams that no route asks for.
    pub(super) fn section(mut self, ledger: &mut Ledger) -> Map {
        for dir in self.upstreams.clone() {
            if !ledger.is_open(dir) {
                continue;
            }
            let target = Target::named(dir.arg(0));
            match self.draft(&target, ledger) {
                Ok(mut draft) => {
                    draft.comments.push("no route asks for it".to_owned());
                    self.drafts.push(draft);
                }
                Err(reason) => drop(ledger.leave(dir, &reason)),
            }
        }
        let mut section = Map::default();
        for draft in self.drafts {
            let mut map = draft.map;
            map.put_map("timeouts", draft.timeouts)
                .put_map("retry", draft.retry);
            section.put_with(draft.comments, &draft.name, map);
        }
        section
    }
}

fn from_upstream(
    dir: &Dir,
    map: &mut Map,
    ledger: &mut Ledger,
    comments: &mut Vec<String>,
) -> Result<(), String> {
    let mut balance = "round_robin";
    for inner in dir.inside() {
        balance = match (inner.name.as_str(), inner.arg(0), inner.arg(1)) {
            ("least_conn", ..) | ("least_time", ..) => "least_requests",
            ("ip_hash", ..) | ("hash", "$remote_addr" | "$binary_remote_addr", _) => "ip_hash",
            ("random", "two", _) => "power_of_two",
            ("random", ..) => "random",
            _ => continue,
        };
        ledger.carry(inner);
    }
    map.put("balance", balance);
    let (mut peers, mut ejects) = (Vec::new(), Vec::new());
    for server in dir.all("server") {
        let address = server.arg(0);
        let refused = match address {
            address if address.starts_with("unix:") => Some("a socket file is no peer of Tollgate"),
            _ if server.args.iter().any(|arg| arg == "down") => Some("it is marked as down"),
            _ => None,
        };
        if let Some(reason) = refused {
            comments.extend(ledger.leave(server, reason));
            continue;
        }
        let (mut peer, mut eject, mut notes) = (Map::default(), Map::default(), Vec::new());
        ledger.carry(server);
        let target = Target::named(address);
        peer.put("address", target.address().unwrap_or_default());
        for arg in server.args.iter().skip(1) {
            match arg.split_once('=').unwrap_or((arg, "")) {
                ("weight", weight) => drop(peer.put("weight", weight)),
                ("max_conns", "0") | ("resolve", _) => {}
                ("max_conns", most) => drop(peer.put("max_requests", most)),
                ("backup", _) => drop(peer.put("backup", "true")),
                ("max_fails", fails) => drop(eject.put("after", fails)),
                ("fail_timeout", time) if units::time(time).is_some() => {
                    eject.put("base", units::time(time).unwrap_or_default());
                }
                _ => notes.push(format!("{}: {arg} was left out", server.place)),
            }
        }
        ejects.push(eject);
        peers.push(Item {
            comments: notes,
            value: peer.into(),
        });
    }
    if peers.is_empty() {
        return Err(format!("{} has no peer that Tollgate can use", dir.place));
    }
    if let Some(eject) = ejects.first().filter(|eject| !eject.is_empty()) {
        map.put("eject", eject.clone());
        if ejects.iter().any(|other| other != eject) {
            comments.push("eject holds for all peers; in nginx they differed".to_owned());
        }
    }
    map.put("peers", peers);
    comments.extend(ledger.rest(dir.inside()));
    Ok(())
}

fn tls(target: &Target, scope: &Scope<'_>, ledger: &mut Ledger) -> Map {
    let mut map = Map::default();
    if !target.https {
        return map;
    }
    let mut take = |name: &str| {
        let dir = scope.find(name)?;
        ledger.carry(dir);
        Some(dir.arg(0))
    };
    let verify = take("proxy_ssl_verify") == Some("on");
    let ca = take("proxy_ssl_trusted_certificate");
    let (name, named) = (take("proxy_ssl_name"), take("proxy_ssl_server_name"));
    if let Some(ca) = ca {
        map.put("ca", ca);
    }
    let host = target
        .host
        .rsplit_once(':')
        .map_or(&*target.host, |(host, _)| host);
    let sni = name.filter(|name| !name.contains('$')).unwrap_or(host);
    if (named == Some("on") || verify) && sni.parse::<std::net::IpAddr>().is_err() {
        map.put("sni", sni);
    }
    match verify {
        true => map.put("verify", "on"),
        false => map.put_with(
            vec!["nginx does not verify unless told to; `on` is safer".to_owned()],
            "verify",
            "off",
        ),
    };
    map
}

fn nginx_timeouts() -> Map {
    let mut map = Map::default();
    map.put("connect", "60s")
        .put("first_byte", "60s")
        .put("between_chunks", "60s");
    map
}

fn timeouts(scope: &Scope<'_>, ledger: &mut Ledger, comments: &mut Vec<String>) -> Map {
    let mut map = Map::default();
    for (name, keys) in [
        ("proxy_connect_timeout", &["connect"][..]),
        ("proxy_read_timeout", &["first_byte", "between_chunks"]),
    ] {
        let Some(dir) = scope.find(name) else {
            continue;
        };
        let Some(time) = units::time(dir.arg(0)).filter(|time| units::seconds(time) > Some(0.0))
        else {
            comments.extend(ledger.leave(dir, "not a time that Tollgate takes"));
            continue;
        };
        ledger.carry(dir);
        for key in keys {
            map.put(key, time.clone());
        }
        // nginx has no bound on the whole; Tollgate's must at least hold the parts.
        if units::seconds(&time) > Some(900.0) && !map.has("total") {
            map.put("total", time);
        }
    }
    map
}

fn retry(scope: &Scope<'_>, ledger: &mut Ledger, comments: &mut Vec<String>) -> Map {
    let mut map = Map::default();
    let tries = scope.find("proxy_next_upstream_tries");
    let when = scope.find("proxy_next_upstream");
    if when.is_some_and(|dir| dir.arg(0) == "off") {
        map.put("attempts", "1");
        tries.into_iter().for_each(|dir| ledger.carry(dir));
    } else if let Some(dir) = tries {
        match dir.arg(0).parse::<u32>() {
            Ok(most @ 1..=100) => {
                ledger.carry(dir);
                map.put("attempts", most.to_string());
            }
            _ => comments.extend(ledger.leave(dir, "attempts are always bounded, 3 by default")),
        }
    }
    if let Some(dir) = when {
        ledger.carry(dir);
        let mut statuses = Vec::new();
        for arg in &dir.args {
            match (arg.as_str(), arg.strip_prefix("http_")) {
                ("error" | "timeout" | "off", _) => {}
                (_, Some(status)) => statuses.push(Yaml::from(status)),
                (other, _) => comments.push(format!("{}: {other} was left out", dir.place)),
            }
        }
        map.put("statuses", list(statuses));
    }
    map
}
