//! What nginx answers by itself: `return`, and a `rewrite` that redirects.

use super::listen::Server;
use super::locations::Scope;
use super::tree::Dir;
use super::yaml::Map;

/// What a route does, and what is to be said about it.
pub(super) struct Action {
    pub(super) comments: Vec<String>,
    pub(super) map: Map,
}

/// A `return`, or a `rewrite` that redirects everything.
pub(super) fn direct<'a>(scope: &Scope<'a>, server: &Server<'_>) -> Option<(Action, &'a Dir)> {
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
    if to.contains("$hostname") {
        return None;
    }
    // The request's host, whatever it is.
    to = to.replacen("$host", "{host}", 1);
    for variable in ["$server_name", "$http_host"] {
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
    redirect.put("keep_path", if keep_path { "true" } else { "false" });
    let mut map = Map::default();
    map.put("redirect", redirect);
    Some(Action {
        comments: Vec::new(),
        map,
    })
}
