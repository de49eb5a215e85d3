//! The whole file: servers become listeners and routes.

use std::collections::HashSet;

use super::globals;
use super::ledger::Ledger;
use super::listen::{self, Server};
use super::locations::{Location, Scope, in_order};
use super::pools::Pools;
use super::route::{self, Made};
use super::tree::{Dir, named};
use super::yaml::{Item, Map, Yaml};

/// What routes are made with.
pub(super) struct Site<'a, 'l> {
    pub(super) ledger: &'l mut Ledger,
    pub(super) pools: Pools<'a>,
    /// `limit_req_zone` and `limit_conn_zone`.
    pub(super) zones: Vec<&'a Dir>,
    names: HashSet<String>,
}

/// The text of the Tollgate file.
pub(super) fn translate(top: &[Dir], ledger: &mut Ledger) -> Result<String, String> {
    // A file of `sites-enabled` has no `http` around it.
    let http = named(top, "http");
    let (outside, inside): (&[Dir], &[Dir]) = match http.first() {
        Some(http) => {
            ledger.carry(http);
            (top, http.inside())
        }
        None => (&[], top),
    };
    let dirs = named(inside, "server");
    if dirs.is_empty() {
        return Err("there is no server in it".to_owned());
    }
    let mut notes = Vec::new();
    let mut servers: Vec<Server<'_>> = Vec::new();
    for dir in &dirs {
        ledger.carry(dir);
        servers.push(listen::server(dir, ledger, &mut notes));
    }
    let first = default(&servers);
    let (servers, nameless): (Vec<_>, Vec<_>) = servers
        .into_iter()
        .partition(|server| !server.is_unnamed || first == Some(server.dir.id));
    for server in nameless {
        notes.extend(ledger.leave(server.dir, "none of its names could be carried over"));
    }
    let (mut servers, given_up) = side_by_side(servers);
    for (server, reason) in given_up {
        notes.extend(ledger.leave(server.dir, &reason));
    }

    let mut levels = vec![outside, inside];
    levels.extend(servers.iter().map(|server| server.dir.inside()));
    let globals = globals::translate(&levels, ledger);
    let listens = listen::section(&servers, inside, ledger);

    let mut zones = named(inside, "limit_req_zone");
    zones.extend(named(inside, "limit_conn_zone"));
    let mut site = Site {
        ledger,
        pools: Pools::new(named(inside, "upstream")),
        zones,
        names: HashSet::new(),
    };
    let default = default(&servers);
    servers.sort_by_key(|server| server.rank());
    let default = servers
        .iter()
        .position(|server| default.is_some_and(|id| server.dir.id == id));
    let mut routes = Vec::new();
    let wide = |server: &Server<'_>| server.hosts.iter().any(|host| host.contains('*'));
    for (n, server) in servers.iter().enumerate() {
        // The default server comes last and takes every name; its own names go before wider ones of others.
        let others_are_wide = servers
            .iter()
            .enumerate()
            .any(|(m, other)| m != n && wide(other));
        if default != Some(n) || (others_are_wide && !server.hosts.is_empty()) {
            site.server(server, &server.hosts, inside, &mut routes);
        }
    }
    if let Some(server) = default.and_then(|n| servers.get(n)) {
        let before = routes.len();
        site.server(server, &[], inside, &mut routes);
        if let (Some(first), false) = (routes.get_mut(before), server.hosts.is_empty()) {
            first.comments.push(format!(
                "for every host, as nginx has it: {} is the default server (server_name {})",
                server.dir.place,
                server.hosts.join(" ")
            ));
        }
    }

    let Site { ledger, pools, .. } = site;
    let pools = pools.section(ledger);
    notes.extend(ledger.rest(top));
    Ok(render(&notes, globals, listens, pools, routes))
}

/// Servers that one set of routes can serve, and those it cannot, with the reason: routes hold for every listener.
fn side_by_side(servers: Vec<Server<'_>>) -> (Vec<Server<'_>>, Vec<(Server<'_>, String)>) {
    let (tls, plain): (Vec<_>, Vec<_>) = servers.into_iter().partition(|server| server.tls);
    let (mut kept, mut given_up): (Vec<Server<'_>>, Vec<_>) = (Vec::new(), Vec::new());
    for server in tls.into_iter().chain(plain) {
        match kept.iter().find(|other| other.clashes(&server)) {
            Some(other) => {
                let reason = format!(
                    "{} answers to the same names, and routes hold for every listener",
                    other.dir.place
                );
                given_up.push((server, reason));
            }
            None => kept.push(server),
        }
    }
    kept.sort_by_key(|server| server.dir.id);
    (kept, given_up)
}

/// The server for names that no server has, by its directive's number: the one marked so, else one without names, else
/// the first.
fn default(servers: &[Server<'_>]) -> Option<usize> {
    servers
        .iter()
        .find(|server| server.is_default)
        .or(servers.first())
        .map(|server| server.dir.id)
}

impl<'a> Site<'a, '_> {
    fn server(
        &mut self,
        server: &Server<'a>,
        hosts: &[String],
        http: &'a [Dir],
        routes: &mut Vec<Item>,
    ) {
        let scope = Scope(vec![server.dir.inside(), http]);
        let locations = in_order(&scope);
        let mut pending = Vec::new();
        let whole = route::of_server(self, server, &scope, hosts);
        let answers_all = whole.is_some();
        if let Some(made) = whole {
            self.add(made, &mut pending, routes);
        }
        for location in &locations {
            let made = match answers_all {
                true => Made::LeftOut(
                    self.ledger
                        .leave_location(location.dir, "the server answers before it gets here"),
                ),
                false => route::of_location(self, server, location, &locations, hosts),
            };
            self.add(made, &mut pending, routes);
        }
        pending.extend(self.ledger.rest(server.dir.inside()));
        if !pending.is_empty() {
            // Below the last route there is no entry to stand above.
            match routes.last_mut() {
                Some(route) => route.comments.extend(pending),
                None => routes.push(Item {
                    comments: pending,
                    value: Yaml::from(Map::default()),
                }),
            }
        }
    }

    fn add(&mut self, made: Made, pending: &mut Vec<String>, routes: &mut Vec<Item>) {
        match made {
            Made::Route(name, comments, map) => {
                let mut all = std::mem::take(pending);
                all.extend(comments);
                let mut named = Map::default();
                named.put("name", self.unused(name));
                routes.push(Item {
                    comments: all,
                    value: Yaml::from(named.and(map)),
                });
            }
            Made::LeftOut(comments) => pending.extend(comments),
        }
    }

    fn unused(&mut self, name: String) -> String {
        let mut free = name.clone();
        for n in 2.. {
            if self.names.insert(free.clone()) {
                break;
            }
            free = format!("{name}-{n}");
        }
        free
    }
}

/// The server of a location that a `mirror` names.
pub(super) fn location<'a, 'b>(
    locations: &'b [Location<'a>],
    uri: &str,
) -> Option<&'b Location<'a>> {
    locations.iter().find(|location| location.path == uri)
}

fn render(
    notes: &[String],
    globals: Map,
    listens: Vec<Item>,
    pools: Map,
    routes: Vec<Item>,
) -> String {
    let mut out = String::from(
        "# Made by `tollgate import`. Read it before use: every line that could not be carried over stands as a comment\n# with its place in nginx's files and the reason.\n",
    );
    if !notes.is_empty() {
        out.push_str("#\n# Left out:\n");
        for note in notes {
            out.push_str(&format!("#   {note}\n"));
        }
    }
    let mut all = Map::default();
    all.put("listen", listens);
    let mut all = all.and(globals);
    all.put("pools", pools);
    let (routes, empty): (Vec<Item>, Vec<Item>) = routes
        .into_iter()
        .partition(|route| route.value != Yaml::from(Map::default()));
    let comments = empty.into_iter().flat_map(|route| route.comments).collect();
    if !routes.is_empty() {
        all.put_with(comments, "routes", routes);
    } else {
        all.put_with(comments, "routes", Vec::new());
    }
    out.push_str(&all.render());
    out
}
