//! `POST /api/v1/cache/epoch`.

use std::sync::Arc;
use std::time::Instant;

use serde::Deserialize;
use serde_json::{Map, json};

use super::{Call, audit, meant, not_durable};
use crate::admin::answer::{Answer, Refusal};
use crate::admin::body;
use crate::cache::Whose;
use crate::state::Snapshot;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Body {
    cache: Option<String>,
    all: bool,
    scope: Option<String>,
    tenant: Option<String>,
    route: Option<String>,
    model: Option<String>,
}

impl Body {
    fn whose(&self) -> Result<Whose, Refusal> {
        let named = [
            self.all.then_some(Whose::All),
            self.scope.clone().map(Whose::Scope),
            self.tenant.clone().map(Whose::Tenant),
            self.route.clone().map(Whose::Route),
            self.model.clone().map(Whose::Model),
        ];
        let mut named = named.into_iter().flatten();
        match (named.next(), named.next()) {
            (Some(whose), None) => Ok(whose),
            _ => Err(Refusal::at(
                "",
                "must name exactly one of scope, tenant, route, model, or all: true",
            )),
        }
    }
}

/// Makes what is older unreachable. What that was leaves memory and disk behind the answer.
pub(super) async fn bump(snapshot: &Snapshot, call: &Call<'_>) -> Result<Answer, Refusal> {
    let body: Body = body::parse(call.body)?;
    let whose = body.whose()?;
    let caches = meant(snapshot, body.cache.as_deref())?;
    let mut epochs = Map::new();
    for cache in caches {
        let epoch = cache
            .bump(whose.clone())
            .await
            .map_err(|why| not_durable(&why))?;
        epochs.insert(cache.config().name.clone(), json!(epoch));
        tokio::spawn(Arc::clone(&cache).clear_out(whose.clone(), Instant::now()));
    }
    let names: Vec<&str> = epochs.keys().map(String::as_str).collect();
    let line = audit(
        call,
        &format!("cache epoch of {whose:?} in {}", names.join(", ")),
    );
    Ok(Answer::ok(
        &json!({ "whose": whose, "epochs": epochs, "audit": line }),
    ))
}
