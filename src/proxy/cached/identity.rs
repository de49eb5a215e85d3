//! Which request it is: what separates clients, and what besides the body changes an answer.

use pingora::http::RequestHeader;

use super::Asked;
use crate::cache::{Cache, Caller, Directives, Identity, KeyParts, Unkeyable, scope};
use crate::front::Session;
use crate::proxy::ctx::Ctx;

/// A request's identity, and whom it may share answers with.
pub(super) struct Known {
    pub(super) identity: Identity,
    /// The partition of the cache's scope.
    pub(super) scope: String,
}

/// Identifies a request.
pub(super) fn identify(
    session: &Session,
    ctx: &Ctx,
    asked: &Asked<'_>,
    cache: &Cache,
    directives: &Directives,
    question: Option<&str>,
) -> Result<Known, Unkeyable> {
    let credential = match &ctx.client {
        Some(_) => String::new(),
        None => credential(session.head()),
    };
    let scope = scope::partition(cache.config().scope, &caller(ctx, &credential));
    let parts = KeyParts {
        partition: &[
            &scope,
            &asked.route.name,
            asked.route.pool(),
            asked.endpoint.name(),
            directives.namespace.as_deref().unwrap_or(""),
            &variant(session.head()),
        ],
        body: &asked.view.body,
        question,
    };
    let identity = Identity::with(&asked.read.key()?, &parts);
    Ok(Known { identity, scope })
}

/// Whatever peers may tell clients apart by, where that is left to them.
const CREDENTIALS: [&str; 5] = [
    "authorization",
    "x-api-key",
    "x-goog-api-key",
    "api-key",
    "cookie",
];

/// Headers by which a client chooses among answers to one body.
const VARIANTS: [&str; 5] = [
    "anthropic-version",
    "anthropic-beta",
    "openai-organization",
    "openai-project",
    "openai-beta",
];

/// All that the headers say under these names: the same text only for the same values.
fn said(head: &RequestHeader, names: &[&str]) -> String {
    let mut said = String::new();
    if !head
        .headers
        .keys()
        .any(|name| names.contains(&name.as_str()))
    {
        return said;
    }
    for name in names {
        for value in head.headers.get_all(*name) {
            // A line feed cannot be part of an escaped value.
            said += &format!("{name}: {}\n", value.as_bytes().escape_ascii());
        }
    }
    said
}

fn credential(head: &RequestHeader) -> String {
    said(head, &CREDENTIALS)
}

/// What besides the body changes an answer: some headers, and the query (`api-version`).
fn variant(head: &RequestHeader) -> String {
    said(head, &VARIANTS) + head.uri.query().unwrap_or_default()
}

fn caller<'a>(ctx: &'a Ctx, credential: &'a str) -> Caller<'a> {
    match &ctx.client {
        Some(client) => Caller {
            key: Some(&client.name),
            tenant: Some(&client.tenant),
            credential: None,
        },
        None => Caller {
            credential: Some(credential.as_bytes()).filter(|said| !said.is_empty()),
            ..Caller::default()
        },
    }
}
