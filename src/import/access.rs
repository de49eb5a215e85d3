//! Who may come, and how often: `allow`, `deny`, `limit_req`, `limit_conn`.

use super::locations::Scope;
use super::site::Site;
use super::tree::Dir;
use super::units;
use super::yaml::{Map, Yaml, list};

/// `allow` and `deny`, up to the one that decides about all.
pub(super) fn addresses(
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
pub(super) fn flat(dirs: &[Dir]) -> Vec<&Dir> {
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
pub(super) fn limits(
    site: &mut Site<'_, '_>,
    scope: &Scope<'_>,
    map: &mut Map,
    comments: &mut Vec<String>,
) {
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
