//! `/api/v1/cache`: what the caches hold, and how it is taken out.
//!
//! ```text
//! GET    /api/v1/cache                         all caches
//! GET    /api/v1/cache/NAME                    one
//! GET    /api/v1/cache/NAME/curve              precision against hit ratio of answers by meaning
//! GET    /api/v1/cache/NAME/entries?tenant=…   some of its entries
//! GET    /api/v1/cache/NAME/entries/ID         one entry
//! DELETE /api/v1/cache/NAME/entries/ID
//! POST   /api/v1/cache/purge                   take out what a selector means; a dry run unless told otherwise
//! POST   /api/v1/cache/epoch                   make all that is older unreachable
//! POST   /api/v1/cache/feedback                an answer was good, or bad
//! ```
//!
//! What was done is answered only once it would survive a power cut, and is a line in the error log.

mod entries;
mod epoch;
mod feedback;
pub(super) mod overview;
mod purge;
mod query;
mod select;

use std::sync::Arc;

use http::{Method, StatusCode};

use super::answer::{Answer, Refusal};
use super::curve;
use crate::cache::{Cache, NotDurable};
use crate::state::{Live, Snapshot};

/// The path that all of it lies under.
pub(super) const PATH: &str = "/api/v1/cache";

/// A call of the admin API.
pub(super) struct Call<'a> {
    pub(super) method: &'a Method,
    pub(super) path: &'a str,
    pub(super) query: &'a str,
    pub(super) body: &'a [u8],
    /// Whether the admin API is behind a token, which the caller has shown.
    pub(super) trusted: bool,
    /// Who calls, for the audit.
    pub(super) from: &'a str,
}

pub(super) async fn answer(live: &Live, call: &Call<'_>) -> Result<Answer, Refusal> {
    let snapshot = live.snapshot();
    let rest = call.path.strip_prefix(PATH).unwrap_or_default();
    let parts: Vec<&str> = rest.split('/').skip(1).collect();
    match (call.method, parts.as_slice()) {
        (&Method::GET, [] | [""]) => Ok(overview::all(&snapshot)),
        (&Method::POST, ["purge"]) => purge::purge(&snapshot, call).await,
        (&Method::POST, ["epoch"]) => epoch::bump(&snapshot, call).await,
        (&Method::POST, ["feedback"]) => feedback::give(&snapshot, call).await,
        (&Method::GET, [name]) => {
            let cache = named(&snapshot, name)?;
            Ok(Answer::ok(&overview::of(&cache)))
        }
        (&Method::GET, [name, "entries"]) => {
            entries::list(named(&snapshot, name)?, call.query).await
        }
        (&Method::GET, [name, "curve"]) => {
            let cache = named(&snapshot, name)?;
            Ok(Answer::ok(&curve::of(&cache)))
        }
        (&Method::GET, [name, "entries", id]) => {
            let cache = named(&snapshot, name)?;
            entries::show(&cache, id, call)
        }
        (&Method::DELETE, [name, "entries", id]) => {
            entries::delete(named(&snapshot, name)?, id, call).await
        }
        (_, [] | [_] | [_, "curve" | "entries"] | [_, "entries", _]) => Err(Refusal::new(
            StatusCode::METHOD_NOT_ALLOWED,
            format!("{} is not understood on {}", call.method, call.path),
        )),
        _ => Err(Refusal::not_found(
            "known paths: /api/v1/cache /api/v1/cache/{purge,epoch,feedback} /api/v1/cache/NAME \
             /api/v1/cache/NAME/curve /api/v1/cache/NAME/entries /api/v1/cache/NAME/entries/ID",
        )),
    }
}

/// The cache of this name, as a path has it.
fn named(snapshot: &Snapshot, name: &str) -> Result<Arc<Cache>, Refusal> {
    let name = query::decoded(name);
    snapshot
        .caches
        .get(&name)
        .cloned()
        .ok_or_else(|| unknown(snapshot, &name))
}

/// The cache that a body names, or all of them.
fn meant(snapshot: &Snapshot, name: Option<&str>) -> Result<Vec<Arc<Cache>>, Refusal> {
    let Some(name) = name else {
        let mut names: Vec<&String> = snapshot.caches.keys().collect();
        names.sort_unstable();
        let caches = names
            .into_iter()
            .filter_map(|name| snapshot.caches.get(name));
        return Ok(caches.cloned().collect());
    };
    let cache = snapshot.caches.get(name).cloned();
    Ok(vec![cache.ok_or_else(|| unknown(snapshot, name))?])
}

fn unknown(snapshot: &Snapshot, name: &str) -> Refusal {
    let mut names: Vec<&str> = snapshot.caches.keys().map(String::as_str).collect();
    names.sort_unstable();
    Refusal::not_found(format!(
        "there is no cache {name:?}; there are: {}",
        names.join(", ")
    ))
}

/// What was asked is done in memory, but might be undone by a restart.
fn not_durable(why: &NotDurable) -> Refusal {
    Refusal::new(
        StatusCode::SERVICE_UNAVAILABLE,
        format!("done in memory, but {why}: repeat the call"),
    )
}

/// A line for whoever asks later who did this.
fn audit(call: &Call<'_>, what: &str) -> String {
    let line = format!("audit: {}: {what}", call.from);
    log::warn!("{line}");
    line
}
