//! One location as one route.

use super::access::{addresses, flat, limits};
use super::answer::{Action, direct};
use super::listen::Server;
use super::locations::{Location, Scope};
use super::proxy::{self, Target};
use super::reasons;
use super::site::{self, Site};
use super::tree::Dir;
use super::units;
use super::yaml::{Map, list};

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
    hosts: &[String],
) -> Option<Made> {
    let own = Scope(vec![server.dir.inside()]);
    let (action, dir) = direct(&own, server)?;
    site.ledger.carry(dir);
    let name = name(server, "");
    Some(finish(site, scope, name, hosts, None, action))
}

/// A location, `all` being those of its server.
pub(super) fn of_location<'a>(
    site: &mut Site<'a, '_>,
    server: &Server<'a>,
    location: &Location<'a>,
    all: &[Location<'a>],
    hosts: &[String],
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
    let made = finish(site, &location.scope, name, hosts, path, action);
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
        for dir in location.scope.own("default_type").into_iter().chain([dir]) {
            site.ledger.carry(dir);
        }
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
    if rewritten.has("strip_prefix") && !location.path.ends_with('/') {
        comments.push(format!(
            "{}: only whole segments are replaced, not the beginning of {}x",
            location.dir.place, location.path
        ));
    }
    let mut rewrite = Map::default();
    rewrite.put_map("path", rewritten);
    let headers = location.scope.all("proxy_set_header");
    // An upstream's name is nothing that its servers know.
    let host = (!site.pools.is_upstream(&target.host)).then_some(target.host.as_str());
    rewrite.put_map(
        "request_headers",
        proxy::request_headers(&headers, host, site.ledger, &mut comments),
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

/// Everything that a route has whatever it does.
fn finish(
    site: &mut Site<'_, '_>,
    scope: &Scope<'_>,
    name: String,
    hosts: &[String],
    path: Option<String>,
    action: Action,
) -> Made {
    let Action {
        mut comments,
        map: does,
    } = action;
    let (mut map, mut matches) = (Map::default(), Map::default());
    match hosts {
        [] => {}
        [only] => drop(matches.put("host", only.as_str())),
        several => drop(matches.put("host", list(several.iter().map(String::as_str)))),
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
