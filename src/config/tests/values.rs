use std::time::Duration;

use super::*;
use crate::config::model::{
    AccessLogTo, Balance, Cooldown, Engine, LogFormat, Priority, Rate, RetryBudget, UpgradeSocket,
};

#[test]
fn the_least_file_gets_every_default() {
    let config = good("", "").config;
    assert_eq!(
        (config.max_body, config.shutdown_grace),
        (32 << 20, Duration::from_secs(60))
    );
    assert!(config.threads >= 1 && config.admin.is_none() && config.keys.is_none());
    assert_eq!(config.access_log.to, AccessLogTo::Stdout);
    assert_eq!(config.access_log.format, LogFormat::Json);
    assert_eq!(config.error_log.file, None);
    assert_eq!(config.error_log.level, log::LevelFilter::Info);
    assert_eq!(config.upgrade_socket, UpgradeSocket::Auto);
    let pool = &config.pools[0];
    assert_eq!(
        (pool.engine, pool.balance, pool.peers[0].weight),
        (Engine::Http, Balance::LeastTokens, 1.0)
    );
    assert_eq!(pool.retry.statuses, [429, 500, 502, 503, 504]);
    assert_eq!(pool.timeouts.total, Duration::from_secs(900));
    assert_eq!(
        (config.routes.len(), config.routes[0].action.pool()),
        (1, Some("a"))
    );
    assert!(
        config.routes[0].matches.path.is_none()
            && config.routes[0].matches.model.is_none()
            && config.routes[0].cache.is_none()
    );
}

#[test]
fn the_upgrade_socket_is_a_path_from_the_files_folder_or_off() {
    let socket = |rest: &str| good("", rest).config.upgrade_socket;
    assert_eq!(socket("upgrade_socket: off"), UpgradeSocket::Off);
    let UpgradeSocket::At(path) = socket("upgrade_socket: ./run/u.sock") else {
        panic!("a path");
    };
    assert!(path.ends_with("run/u.sock"));
    let long = format!("upgrade_socket: /{}", "x".repeat(107));
    let errors = parsed(&file("", &long)).unwrap_err();
    assert!(errors.to_string().contains("at most 107 bytes"), "{errors}");
}

#[test]
fn health_is_on_unless_the_engine_is_hosted_or_it_is_off() {
    let health = |pool: &str| good(pool, "").config.pools[0].health.clone();
    assert_eq!(health("").unwrap().path, "/health");
    assert_eq!(health("    health: off"), None);
    assert_eq!(health("    engine: anthropic"), None);
    assert_eq!(
        health("    engine: openai\n    health: on")
            .unwrap()
            .interval,
        Duration::from_secs(5)
    );
    assert_eq!(good("    eject: off", "").config.pools[0].eject.after, 0);
}

#[test]
fn a_variable_stands_for_a_number_too() {
    let config = good(
        "    queue: {max_requests: \"${PORT}\"}",
        "threads: ${N:-3}\nmax_body: ${PORT}",
    )
    .config;
    assert_eq!(
        (
            config.threads,
            config.max_body,
            config.pools[0].queue.max_requests
        ),
        (3, 8000, 8000)
    );
}

#[test]
fn a_section_can_be_shared_by_anchor() {
    let text = format!(
        "x-health: &h {{path: /ready}}\n{}",
        file("    health: *h", "")
    );
    let config = parsed(&text).unwrap().config;
    assert_eq!(config.pools[0].health.as_ref().unwrap().path, "/ready");
}

#[test]
fn limits_and_tiers_are_read() {
    let rest = "tiers: {paid: {priority: high}}\nlimits: [{per: tenant, tokens: 200k/min, concurrency: 4}]";
    let config = good("", rest).config;
    assert_eq!(config.tiers[0].priority, Priority::High);
    let limit = &config.limits[0];
    assert_eq!(
        limit.tokens,
        Some(Rate {
            amount: 200_000,
            period: Duration::from_secs(60)
        })
    );
    assert_eq!((limit.requests, limit.concurrency), (None, Some(4)));
}

fn warnings(pool: &str, rest: &str) -> Vec<String> {
    good(pool, rest)
        .warnings
        .into_iter()
        .filter(|warning| !warning.starts_with("keys: absent"))
        .collect()
}

#[test]
fn what_works_but_is_not_meant_is_a_warning() {
    let key = format!(
        "keys: [{{name: k, sha256: {}, tier: piad}}]\n",
        "ab".repeat(32)
    );
    for (pool, rest, expected) in [
        (
            "",
            "admin: {address: 0.0.0.0:9090}",
            "admin.address: 0.0.0.0:9090 is not loopback",
        ),
        (
            "",
            "routes: [{pool: a}, {pool: a, match: {path: /x}}]",
            "routes[1]: is never reached: routes[0]",
        ),
        (
            "",
            "routes: [{pool: a, cache: c}]\ncaches: {c: {}}",
            "caches.c.scope: key without `keys`",
        ),
        (
            "",
            "caches: {c: {scope: global}}",
            "caches.c: no route uses it",
        ),
        (
            "  b: {peers: [{address: b:1}]}",
            "routes: [{pool: a}]",
            "pools.b: no route leads to it",
        ),
        (
            "",
            &format!("{key}tiers: {{paid: {{priority: low}}}}"),
            "keys[0].tier: neither `tiers` nor `limits`",
        ),
        (
            "",
            &format!(
                "{key}limits: [{{per: key, tier: piad, requests: 1/s}}, {{per: key, tier: x, requests: 1/s}}]"
            ),
            "limits[1].tier: no key has",
        ),
        (
            "",
            "limits: [{per: key, tier: x, requests: 1/s}]",
            "limits[0].tier: without `keys` nobody",
        ),
        (
            "    timeouts: {total: 10s, first_byte: 20s}",
            "",
            "pools.a.timeouts.first_byte: 20s is longer",
        ),
        (
            "    health: {timeout: 9s}",
            "",
            "pools.a.health.timeout: is longer",
        ),
        (
            "    queue: {max_bytes: 1MiB}",
            "",
            "pools.a.queue.max_bytes: is smaller",
        ),
    ] {
        let found = warnings(pool, rest);
        assert!(
            found.len() == 1 && found[0].starts_with(expected),
            "{expected}: {found:?}"
        );
    }
    assert_eq!(warnings("", ""), [""; 0]);
    assert!(good("", "").warnings[0].starts_with("keys: absent"));
}

#[test]
fn a_route_after_one_for_any_model_is_reached_without_a_model() {
    assert_eq!(
        warnings("", "routes: [{pool: a, match: {model: \"*\"}}, {pool: a}]"),
        [""; 0]
    );
}

#[test]
fn retries_have_a_budget_unless_it_is_off() {
    let budget = |pool: &str| good(pool, "").config.pools[0].retry.budget.clone();
    let (share, min_per_second) = (0.2, 10.0);
    let default = RetryBudget {
        share,
        min_per_second,
    };
    assert_eq!(budget(""), Some(default));
    assert_eq!(budget("    retry: {budget: off}"), None);
    let asked = budget("    retry: {budget: 1.5, budget_min_per_second: 0}").unwrap();
    assert_eq!((asked.share, asked.min_per_second), (1.5, 0.0));
    for (retry, error) in [
        (
            "budget: 20%",
            "pools.a.retry.budget: 20%: must be `off` or a share of the requests, 0 to 100 (such as 0.2 for a fifth)",
        ),
        (
            "budget: -1",
            "pools.a.retry.budget: -1: must be `off` or a share of the requests, 0 to 100 (such as 0.2 for a fifth)",
        ),
        (
            "budget_min_per_second: -1",
            "pools.a.retry.budget_min_per_second: -1: must be from 0 to 1000000 (leave it out for 10)",
        ),
    ] {
        assert_eq!(bad(&format!("    retry: {{{retry}}}"), ""), [error]);
    }
}

#[test]
fn peers_are_given_the_pauses_they_ask_for_within_bounds() {
    let cooldown = |pool: &str| good(pool, "").config.pools[0].cooldown.clone();
    let seconds = |default, max| {
        let (default, max) = (Duration::from_secs(default), Duration::from_secs(max));
        Some(Cooldown { default, max })
    };
    assert_eq!(cooldown(""), seconds(1, 60));
    assert_eq!(cooldown("    cooldown: off"), None);
    assert_eq!(
        cooldown("    cooldown: {default: 0s, max: 5min}"),
        seconds(0, 300)
    );
    assert_eq!(
        bad("    cooldown: {default: 2min}", ""),
        ["pools.a.cooldown.default: 2min: 2m is longer than `max`, 1m"]
    );
    assert_eq!(
        bad("    eject: {max_ejected: 50}", ""),
        ["pools.a.eject.max_ejected: 50: must be a share from 0 to 1 (leave it out for 0.5)"]
    );
}

#[test]
fn logs_are_written_as_one_word_or_as_a_section() {
    let access = |text: &str| good("", text).config.access_log;
    assert_eq!(access("access_log: off").to, AccessLogTo::Off);
    assert_eq!(
        access("access_log: {format: combined}").to,
        AccessLogTo::Stdout
    );
    let full = access("access_log: {to: /var/log/a.log, format: combined}");
    assert_eq!(full.to, AccessLogTo::File("/var/log/a.log".into()));
    assert_eq!(full.format, LogFormat::Combined);
    assert_eq!(access("access_log: /var/log/a.log").format, LogFormat::Json);

    let error = |text: &str| good("", text).config.error_log;
    assert_eq!(error("error_log: stderr").file, None);
    let full = error("error_log: {to: /var/log/e.log, level: warn}");
    assert_eq!(full.file, Some("/var/log/e.log".into()));
    assert_eq!(full.level, log::LevelFilter::Warn);
}
