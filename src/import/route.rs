//! One location as one route.

use super::listen::Server;
use super::locations::{Location, Scope};
use super::proxy::{self, Target};
use super::reasons;
use super::site::{self, Site};
use super::tree::Dir;
use super::units;
use super::yaml::{Map, Yaml, list};

/// What became of a location.
pub(super) enum Made {
    /// Name, comments, and everything but the name.
    Route(String, Vec<String>, Map),
    /// The comments that stand in its place.
    LeftOut(Vec<String>),
}

/// What a server answers before any location is looked at.
pub(super) fn of_server<'a>(
    site: &mut Site<'a, '_>,
    server: &Server<'a>,
    scope: &Scope<'a>,
    host: Option<&str>,
) -> Option<Made> {
    let own = Scope(vec![server.dir.inside()]);
    let (action, dir) = direct(&own, server)?;
    site.ledger.carry(dir);
    let name = name(server, "");
    Some(finish(site, scope, name, host, None, action))
}

/// A location, `all` being those of its server.
pub(super) fn of_location<'a>(
    site: &mut Site<'a, '_>,
    server: &Server<'a>,
    location: &Location<'a>,
    all: &[Location<'a>],
    host: Option<&str>,
) -> Made {
    if mirrors(all).any(|mirror| mirror.arg(0) == location.path)
        && !location.scope.own("internal").is_empty()
    {
        // Where the mirror is, it becomes a pool.
        return Made::LeftOut(Vec::new());
    }
    let (action, path) = match action(site, server, location, all) {
        Ok(done) => done,
        Err(reason) => return Made::LeftOut(site.ledger.leave_location(location.dir, &reason)),
    };
    site.ledger.carry(location.dir);
    let name = name(server, location.path);
    let made = finish(site, &location.scope, name, host, path, action);
    match made {
        Made::Route(name, mut comments, map) => {
            let inner = location.dir.inside();
            let rest: Vec<String> = inner
                .iter()
                .filter(|dir| !dir.is("location"))
                .flat_map(|dir| site.ledger.rest(std::slice::from_ref(dir)))
                .collect();
            comments.extend(rest);
            Made::Route(name, comments, map)
        }
        left => left,
    }
}

/// What a route does, and what is to be said about it.
struct Action {
    comments: Vec<String>,
    map: Map,
}

fn action<'a>(
    site: &mut Site<'a, '_>,
    server: &Server<'a>,
    location: &Location<'a>,
    all: &[Location<'a>],
) -> Result<(Action, Option<String>), String> {
    if let Some(guard) = guard(&location.scope) {
        return Err(format!(
            "{}: {} protected it and has no counterpart, so nothing is let through",
            guard.place, guard.name
        ));
    }
    if !location.scope.own("internal").is_empty() {
        return Err("only reached from within nginx".to_owned());
    }
    let path = location.glob()?;
    if let Some((action, dir)) = direct(&location.scope, server) {
        site.ledger.carry(dir);
        return Ok((action, path));
    }
    let passes = location.scope.own("proxy_pass");
    let Some(pass) = passes.last() else {
        let inside: Vec<&str> = location.dir.inside().iter().map(|dir| &*dir.name).collect();
        let files = ["root", "alias", "try_files", "index", "autoindex"];
        return Err(match inside.iter().find(|name| name.contains("_pass")) {
            Some(pass) => format!("{pass}: {}", reasons::of(pass)),
            None if inside.iter().any(|name| files.contains(name)) => {
                "Tollgate serves no files".to_owned()
            }
            None if inside.contains(&"location") => "its inner locations are routes".to_owned(),
            None => "nothing answers it: nginx looks for files".to_owned(),
        });
    };
    let target = Target::read(pass.arg(0))?;
    let mut rewritten = proxy::path(location, target.uri.as_deref())?;
    let mut comments = Vec::new();
    let mut carried = vec![*pass];
    for rewrite in location.scope.own("rewrite") {
        // With a rewritten path nginx ignores the URI of proxy_pass.
        let Some(map) = proxy::broken_off(rewrite) else {
            continue;
        };
        rewritten = map;
        carried.push(rewrite);
    }
    let used = site
        .pools
        .get(&target, &location.scope, site.ledger, &mut comments)?;
    for dir in carried {
        site.ledger.carry(dir);
    }
    let mut rewrite = Map::default();
    rewrite.put_map("path", rewritten);
    let headers = location.scope.all("proxy_set_header");
    rewrite.put_map(
        "request_headers",
        proxy::request_headers(&headers, site.ledger, &mut comments),
    );
    let (added, hidden) = (
        location.scope.all("add_header"),
        location.scope.all("proxy_hide_header"),
    );
    rewrite.put_map(
        "response_headers",
        proxy::response_headers(&added, &hidden, site.ledger, &mut comments),
    );
    let mut map = Map::default();
    map.put_map("rewrite", rewrite);
    map.put("pool", used.pool);
    map.put_map("timeouts", used.timeouts);
    if let Some(mirror) = mirror(site, location, all, &mut comments) {
        map.put("mirror", mirror);
    }
    by_nature(site, &location.scope, &mut comments);
    Ok((Action { comments, map }, path))
}

fn mirrors<'a>(all: &[Location<'a>]) -> impl Iterator<Item = &'a Dir> {
    all.iter().flat_map(|location| location.scope.all("mirror"))
}

/// The first directive around a place that keeps somebody out and cannot be carried over.
fn guard<'a>(scope: &Scope<'a>) -> Option<&'a Dir> {
    let mut around = scope.0.iter().flat_map(|dirs| flat(dirs));
    around.find(|dir| {
        let off = scope.find(&dir.name).is_some_and(|dir| dir.arg(0) == "off");
        let refuses = |dir: &Dir| dir.is("deny") || dir.is("return") && dir.arg(0).starts_with('4');
        match dir.is("if") {
            true => flat(dir.inside()).into_iter().any(refuses),
            false => reasons::protects(&dir.name) && !off,
        }
    })
}

/// A `return`, or a `rewrite` that redirects everything.
fn direct<'a>(scope: &Scope<'a>, server: &Server<'_>) -> Option<(Action, &'a Dir)> {
    for dir in scope.own("rewrite") {
        let status = match dir.arg(2) {
            "permanent" => "301",
            "redirect" => "302",
            _ => continue,
        };
        let all = matches!(
            dir.arg(0),
            "^" | ".*" | "^.*" | "^(.*)$" | "^/(.*)$" | "^(.*)" | "^/(.*)"
        );
        let to = dir.arg(1);
        let to = match (dir.arg(0).contains('/'), to.strip_suffix("/$1")) {
            (true, Some(start)) => format!("{start}$request_uri"),
            _ => match to.strip_suffix("$1") {
                Some(start) if !dir.arg(0).contains('/') => format!("{start}$request_uri"),
                // Without the mark nginx adds the query.
                _ => to.trim_end_matches('?').to_owned(),
            },
        };
        if let Some(map) = all.then(|| redirect(&to, status, server)).flatten() {
            return Some((map, dir));
        }
    }
    let dir = *scope.own("return").first()?;
    let (code, text) = match dir.args.as_slice() {
        [url] if !url.bytes().all(|b| b.is_ascii_digit()) => ("302", Some(url.as_str())),
        [code] => (code.as_str(), None),
        [code, text] => (code.as_str(), Some(text.as_str())),
        _ => return None,
    };
    match (code, text) {
        ("301" | "302" | "303" | "307" | "308", Some(to)) => {
            redirect(to, code, server).map(|action| (action, dir))
        }
        // nginx closes the connection without a word.
        ("444", _) => None,
        (_, text) if text.is_none_or(|text| !text.contains('$')) => {
            let mut respond = Map::default();
            respond.put("status", code);
            if let Some(text) = text {
                let kind = scope
                    .find("default_type")
                    .map_or("text/plain", |dir| dir.arg(0));
                let mut headers = Map::default();
                headers.put("content-type", kind);
                respond.put("body", text);
                respond.put("headers", headers);
            }
            let mut map = Map::default();
            map.put("respond", respond);
            let comments = Vec::new();
            Some((Action { comments, map }, dir))
        }
        _ => None,
    }
}

fn redirect(to: &str, status: &str, server: &Server<'_>) -> Option<Action> {
    let (to, keep_path) = match to.strip_suffix("$request_uri") {
        Some(start) => (start, true),
        None => match to.strip_suffix("$uri$is_args$args") {
            Some(start) => (start, true),
            None => (to, false),
        },
    };
    let scheme = if server.tls { "https" } else { "http" };
    let mut to = to.replacen("$scheme://", &format!("{scheme}://"), 1);
    for variable in ["$host", "$server_name", "$http_host"] {
        if let Some(at) = to.find(variable) {
            // Only where there is but one host it can be.
            let only = match server.hosts.as_slice() {
                [only] if !only.contains('*') => only,
                [first, ..] if variable == "$server_name" && !first.contains('*') => first,
                _ => return None,
            };
            to.replace_range(at..at + variable.len(), only);
        }
    }
    if to.contains('$') || to.is_empty() {
        return None;
    }
    let mut redirect = Map::default();
    redirect.put("to", to).put("status", status);
    if keep_path {
        redirect.put("keep_path", "true");
    }
    let mut map = Map::default();
    map.put("redirect", redirect);
    Some(Action {
        comments: Vec::new(),
        map,
    })
}

/// Everything that a route has whatever it does.
fn finish(
    site: &mut Site<'_, '_>,
    scope: &Scope<'_>,
    name: String,
    host: Option<&str>,
    path: Option<String>,
    action: Action,
) -> Made {
    let Action {
        mut comments,
        map: does,
    } = action;
    let (mut map, mut matches) = (Map::default(), Map::default());
    if let Some(host) = host {
        matches.put("host", host);
    }
    if let Some(path) = path {
        matches.put("path", path);
    }
    map.put_map("match", matches);
    addresses(site, scope, &mut map, &mut comments);
    let mut map = map.and(does);
    limits(site, scope, &mut map, &mut comments);
    // At the level of `http` it is the default for all.
    let levels = scope.0.len().saturating_sub(1);
    let nearer = Scope(scope.0[..levels].to_vec());
    if let Some(dir) = nearer.find("client_max_body_size") {
        match units::bytes(dir.arg(0)).filter(|bytes| *bytes > 0) {
            Some(bytes) => {
                site.ledger.carry(dir);
                map.put("max_body", units::size(bytes));
            }
            None => comments.extend(
                site.ledger
                    .leave(dir, "there is always a limit: see max_body"),
            ),
        }
    }
    Made::Route(name, comments, map)
}

/// `allow` and `deny`, up to the one that decides about all.
fn addresses(
    site: &mut Site<'_, '_>,
    scope: &Scope<'_>,
    map: &mut Map,
    comments: &mut Vec<String>,
) {
    // The two are one list: the level that has either replaces what is further out.
    let mut levels = scope.0.iter();
    let Some(rules) = levels.find_map(|dirs| {
        let rules: Vec<&Dir> = flat(dirs)
            .into_iter()
            .filter(|dir| dir.is("allow") || dir.is("deny"))
            .collect();
        (!rules.is_empty()).then_some(rules)
    }) else {
        return;
    };
    let (mut allow, mut deny, mut closed) = (Vec::new(), Vec::new(), false);
    for rule in rules {
        site.ledger.carry(rule);
        match (rule.name.as_str(), rule.arg(0)) {
            ("allow", "all") => break,
            ("deny", "all") => {
                closed = true;
                break;
            }
            (_, address) if address.starts_with("unix") => {
                comments.extend(site.ledger.leave(rule, "there are no socket files"));
            }
            ("allow", address) => allow.push(address),
            (_, address) => {
                if !allow.is_empty() {
                    comments.push(format!(
                        "{}: here deny outweighs every allow, in nginx the first of both decides",
                        rule.place
                    ));
                }
                deny.push(address);
            }
        }
    }
    match (closed, allow.is_empty()) {
        (true, true) => deny = vec!["0.0.0.0/0", "::/0"],
        (true, false) => drop(map.put("allow", list(allow))),
        // Without `deny all` whoever is not denied may come.
        (false, _) => {}
    }
    if !deny.is_empty() {
        map.put("deny", list(deny));
    }
}

/// Directives, included ones too.
fn flat(dirs: &[Dir]) -> Vec<&Dir> {
    let mut all = Vec::new();
    for dir in dirs {
        match dir.is("include") {
            true => all.extend(flat(dir.inside())),
            false => all.push(dir),
        }
    }
    all
}

/// `limit_req` and `limit_conn` by client address.
fn limits(site: &mut Site<'_, '_>, scope: &Scope<'_>, map: &mut Map, comments: &mut Vec<String>) {
    let mut limits: Vec<Yaml> = Vec::new();
    let by_address = |dir: &Dir| matches!(dir.arg(0), "$binary_remote_addr" | "$remote_addr");
    let zone_named = |zones: &[&Dir], kind: &str, name: &str| -> Option<usize> {
        zones.iter().position(|zone| {
            let own = zone.args.iter().find_map(|arg| arg.strip_prefix("zone="));
            zone.is(kind) && own.and_then(|own| own.split(':').next()) == Some(name)
        })
    };
    let option = |dir: &Dir, key: &str| -> Option<String> {
        dir.args
            .iter()
            .find_map(|arg| arg.strip_prefix(key))
            .map(str::to_owned)
    };
    for dir in scope.all("limit_req") {
        let name = option(dir, "zone=").unwrap_or_default();
        let zone = zone_named(&site.zones, "limit_req_zone", &name).map(|at| site.zones[at]);
        let burst = option(dir, "burst=").and_then(|burst| burst.parse().ok());
        let rate = zone
            .filter(|zone| by_address(zone))
            .and_then(|zone| units::rate(&option(zone, "rate=")?, burst.unwrap_or(0)));
        match (zone, rate) {
            (Some(zone), Some(rate)) => {
                site.ledger.carry(dir);
                site.ledger.carry(zone);
                let mut limit = Map::default();
                limit.put("per", "key").put("requests", rate);
                limits.push(limit.into());
                if !dir.args.iter().any(|arg| arg == "nodelay") && burst.is_some() {
                    comments.push(format!(
                        "{}: a burst passes at once, it is not slowed down",
                        dir.place
                    ));
                }
            }
            _ => comments.extend(
                site.ledger
                    .leave(dir, "limits count by client address or key"),
            ),
        }
    }
    for dir in scope.all("limit_conn") {
        let zone = zone_named(&site.zones, "limit_conn_zone", dir.arg(0)).map(|at| site.zones[at]);
        match zone.filter(|zone| by_address(zone)) {
            Some(zone) => {
                site.ledger.carry(dir);
                site.ledger.carry(zone);
                let mut limit = Map::default();
                limit.put("per", "key").put("concurrency", dir.arg(1));
                limits.push(limit.into());
            }
            None => comments.extend(
                site.ledger
                    .leave(dir, "limits count by client address or key"),
            ),
        }
    }
    for name in ["limit_req_status", "limit_conn_status"] {
        if let Some(dir) = scope.find(name).filter(|dir| dir.arg(0) == "429") {
            site.ledger.carry(dir);
        }
    }
    if !limits.is_empty() {
        map.put("limits", list(limits));
    }
}

fn mirror<'a>(
    site: &mut Site<'a, '_>,
    location: &Location<'a>,
    all: &[Location<'a>],
    comments: &mut Vec<String>,
) -> Option<Map> {
    let dir = location.scope.find("mirror")?;
    if dir.arg(0) == "off" {
        site.ledger.carry(dir);
        return None;
    }
    let to = site::location(all, dir.arg(0));
    let pass = to.and_then(|to| to.scope.own("proxy_pass").last().copied());
    let used = to.zip(pass).and_then(|(to, pass)| {
        let target = Target::read(pass.arg(0)).ok()?;
        let used = site
            .pools
            .get(&target, &to.scope, site.ledger, comments)
            .ok()?;
        Some((to, pass, used))
    });
    let Some((to, pass, used)) = used else {
        comments.extend(site.ledger.leave(dir, "it leads to no pool"));
        return None;
    };
    for dir in [dir, to.dir, pass] {
        site.ledger.carry(dir);
    }
    for dir in to.scope.own("internal") {
        site.ledger.carry(dir);
    }
    let mut map = Map::default();
    map.put("pool", used.pool).put("share", "1");
    Some(map)
}

/// What is so without being told.
fn by_nature(site: &mut Site<'_, '_>, scope: &Scope<'_>, comments: &mut Vec<String>) {
    for (name, values, reason) in [
        (
            "proxy_http_version",
            &["1.1", "2", "2.0"][..],
            "peers are spoken to in HTTP/1.1 or 2",
        ),
        (
            "proxy_buffering",
            &["off"],
            "answers stream through as they come",
        ),
        (
            "proxy_request_buffering",
            &["on"],
            "requests to models are read whole, so that they can be tried again",
        ),
        ("proxy_cache", &["off"], "see caches"),
        ("proxy_redirect", &["off"], "answers pass as they came"),
        (
            "proxy_ignore_client_abort",
            &["off"],
            "a client that leaves ends its request",
        ),
        ("proxy_socket_keepalive", &["on"], "always on"),
    ] {
        if let Some(dir) = scope.find(name) {
            match values.contains(&dir.arg(0)) {
                true => site.ledger.carry(dir),
                false if site.ledger.is_open(dir) => {
                    comments.extend(site.ledger.leave(dir, reason));
                }
                false => {}
            }
        }
    }
}

/// A name for logs: the host and the path, of letters, digits and dashes.
fn name(server: &Server<'_>, path: &str) -> String {
    let host = server.hosts.first().map_or("", String::as_str);
    let mut name = String::new();
    for c in format!("{host}{path}").chars() {
        match c {
            c if c.is_ascii_alphanumeric() => name.push(c),
            '.' if !name.is_empty() => name.push('.'),
            _ if !name.ends_with('-') && !name.is_empty() => name.push('-'),
            _ => {}
        }
    }
    let name = name.trim_end_matches(['-', '.']);
    match name {
        "" => "all".to_owned(),
        name => name.chars().take(100).collect(),
    }
}
