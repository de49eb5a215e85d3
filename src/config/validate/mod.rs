//! `raw` to `model`: values, defaults, and what has to fit together.
//!
//! Every section is read to its end whatever was wrong before it; the model is only handed out when nothing was.

mod accept;
mod address;
mod cache;
mod client;
mod cross;
mod exchange;
mod key;
mod limit;
mod listen;
mod logs;
mod peer;
mod peer_tls;
mod pem;
mod pool;
mod price;
mod range;
mod route;
mod section;

use std::path::Path;
use std::time::Duration;

use section::{ANY_TIME, SOME_BYTES, Section};

use super::model::{Config, UpgradeSocket};
use super::nearest::suggest;
use super::path::At;
use super::raw::{Leaf, Named, RawConfig};
use super::report::Report;
use super::units::Refusal;

/// Longest path of a Unix socket on Linux, in bytes.
const MOST_SOCKET_PATH: usize = 107;
/// Most worker threads: a slip of the pen beyond it would only take memory.
const MOST_THREADS: usize = 1024;

/// The model of the file. Only to be used when `report` has no errors afterwards.
pub(super) fn validate(raw: &RawConfig, base: &Path, report: &mut Report) -> Config {
    let mut s = Section {
        at: At::top(),
        report,
        base,
    };
    let cores = std::thread::available_parallelism()
        .map_or(1, |cores| cores.get())
        .min(MOST_THREADS);
    let config = Config {
        listen: listen::listen(top(&mut s), raw.listen.as_ref()),
        client: client::client(top(&mut s), raw.client.as_ref()),
        admin: listen::admin(top(&mut s), raw.admin.as_ref()),
        threads: s.integer("threads", raw.threads.as_ref(), 1..=MOST_THREADS, cores),
        max_body: s.size("max_body", raw.max_body.as_ref(), SOME_BYTES, 32 << 20),
        shutdown_grace: s.duration(
            "shutdown_grace",
            raw.shutdown_grace.as_ref(),
            ANY_TIME,
            Duration::from_secs(60),
        ),
        upgrade_socket: upgrade_socket(&mut s, raw.upgrade_socket.as_ref()),
        access_log: logs::access(top(&mut s), raw.access_log.as_ref()),
        error_log: logs::error(top(&mut s), raw.error_log.as_ref()),
        pools: pool::pools(top(&mut s), raw.pools.as_ref()),
        routes: route::routes(top(&mut s), raw),
        caches: cache::caches(top(&mut s), raw),
        keys: key::keys(top(&mut s), raw.keys.as_ref()),
        tiers: limit::tiers(top(&mut s), raw.tiers.as_ref()),
        limits: limit::limits(top(&mut s), raw.limits.as_ref()),
        prices: price::prices(top(&mut s), raw.prices.as_ref()),
    };
    cross::check(s, raw, &config);
    config
}

fn top<'a>(s: &'a mut Section<'_>) -> Section<'a> {
    Section {
        at: At::top(),
        report: s.report,
        base: s.base,
    }
}

fn upgrade_socket(s: &mut Section<'_>, leaf: Option<&Leaf>) -> UpgradeSocket {
    let base = s.base;
    let socket = s.read("upgrade_socket", leaf, |text| match text {
        "off" | "false" => Ok(UpgradeSocket::Off),
        path if !path.contains('/') => {
            let hint = "such as /run/tollgate/upgrade.sock";
            Err(Refusal::new("must be off or the path of a socket", hint))
        }
        path => {
            let path = base.join(path);
            match path.as_os_str().len() <= MOST_SOCKET_PATH {
                true => Ok(UpgradeSocket::At(path)),
                false => Err(Refusal::new(
                    format!("is too long for a socket: at most {MOST_SOCKET_PATH} bytes"),
                    "such as /run/tollgate/upgrade.sock",
                )),
            }
        }
    });
    socket.unwrap_or(UpgradeSocket::Auto)
}

/// The names in a section, of refused members too: what refers to them is not at fault.
fn names<T>(named: Option<&Named<T>>) -> Vec<&str> {
    named
        .map(|named| named.0.iter().map(|(name, _)| name.as_str()).collect())
        .unwrap_or_default()
}

/// A name that has to exist.
fn known(text: &str, names: &[&str], what: &str) -> Result<String, Refusal> {
    match names.contains(&text) {
        true => Ok(text.to_owned()),
        false => {
            let hint = if names.is_empty() {
                "there is none".to_owned()
            } else {
                suggest(text, names)
            };
            Err(Refusal::new(
                format!("there is no {what} of this name"),
                hint,
            ))
        }
    }
}
