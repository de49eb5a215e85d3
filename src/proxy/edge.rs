//! Which route a request takes, and what that asks of it before any peer is asked.

use std::sync::Arc;

use http::header::{CONTENT_LENGTH, HOST, LOCATION};

use super::admission::reserve_of_route;
use super::ctx::Ctx;
use super::respond;
use super::stop::Stop;
use crate::front::Session;
use crate::llm::error::ApiError;
use crate::metrics::events::AbortStage;
use crate::route::{Action, Question, Route};
use crate::state::Pool;
use crate::wire::{RequestHead, ResponseHead};

/// Where a request ends.
pub(super) enum Way {
    /// At a peer of the pool.
    Peer(Arc<Route>, Arc<Pool>),
    /// Here: its route has the answer.
    Here(Arc<Route>),
}

/// Takes the route that the head decides, if it does, and returns it if it has the answer. `by_model`: the body may have a
/// say. A stranger, one without the key that is asked for, gets no further than to an answer of a route.
///
/// # Errors
/// The client may not use the route, or none of those that are left.
pub(super) fn early(
    session: &Session,
    ctx: &mut Ctx,
    by_model: bool,
    stranger: bool,
) -> Result<Option<Arc<Route>>, Stop> {
    let routes = &ctx.snapshot.routes;
    let question = question(session, ctx, None);
    let decided = match by_model {
        true => routes.decided(&question),
        false => routes.find(&question),
    };
    match decided.map(Arc::clone) {
        Some(route) if route.answers() || !stranger => {
            ctx.route = Some(Arc::clone(&route));
            may_use(ctx, &route)?;
            Ok(Some(route).filter(|route| route.answers()))
        }
        None if !stranger => {
            let mut left = routes.candidates(&question).peekable();
            match left.peek().is_some() && !left.any(|route| admits(ctx, route)) {
                true => Err(forbidden().into()),
                false => Ok(None),
            }
        }
        _ => Ok(None),
    }
}

/// Where a request for `model` goes. Its route is kept in `ctx`.
///
/// # Errors
/// No route takes it, the client may not use the route, or the path is none that can be rewritten.
pub(super) fn find_route(
    session: &Session,
    ctx: &mut Ctx,
    model: Option<&str>,
) -> Result<Way, Stop> {
    let route = match &ctx.route {
        Some(route) => Arc::clone(route),
        None => {
            let found = ctx.snapshot.routes.find(&question(session, ctx, model));
            let found = found.map(Arc::clone);
            let route = found.ok_or_else(|| ApiError::no_route(ctx.path(session), model))?;
            ctx.route = Some(Arc::clone(&route));
            may_use(ctx, &route)?;
            route
        }
    };
    let Action::Pool { name, .. } = &route.action else {
        return Ok(Way::Here(route));
    };
    target(session.head(), &route)?;
    match ctx.snapshot.pools.get(name) {
        Some(pool) => Ok(Way::Peer(Arc::clone(&route), Arc::clone(pool))),
        None => Err(ApiError::no_route(ctx.path(session), model).into()),
    }
}

/// The largest body that a model request may have as far as its head tells, in bytes.
pub(super) fn largest_body(session: &Session, ctx: &Ctx) -> u64 {
    let default = ctx.snapshot.config.max_body;
    if !ctx.snapshot.routes.decides_early() {
        return default;
    }
    match &ctx.route {
        Some(route) => route.max_body.unwrap_or(default),
        None => ctx
            .snapshot
            .routes
            .largest_body(&question(session, ctx, None), default),
    }
}

/// The target that a peer is asked for, where the route changes it.
///
/// # Errors
/// It is none that may be changed.
pub(super) fn target(head: &RequestHead, route: &Route) -> Result<Option<String>, Stop> {
    if !route.rewrite.changes_path() {
        return Ok(None);
    }
    let asked = path_and_query(head);
    match route.rewrite.target(&asked) {
        Ok(target) => Ok(Some(target.into_owned())),
        Err(_) => {
            let why = "the path climbs with '..', which is not followed here";
            Err(ApiError::bad_request(why, None).into())
        }
    }
}

/// Gives the client what its route has for it.
///
/// # Errors
/// A limit of the route is used up, the request names no host where one is needed, or the client left.
pub(super) async fn answer(
    session: &mut Session,
    ctx: &mut Ctx,
    route: &Route,
) -> Result<(), Stop> {
    let mut held = reserve_of_route(ctx)?;
    if let Some(held) = &mut held {
        held.answered_here();
    }
    let (head, body) = match &route.action {
        Action::Respond(fixed) => {
            let mut head = ResponseHead::new(fixed.status);
            for (name, value) in &fixed.headers {
                head.headers.append(name.clone(), value.clone());
            }
            (head, fixed.body.clone())
        }
        Action::Redirect(redirect) => {
            let asked = path_and_query(session.head());
            let location = redirect
                .location(host(session.head()), &asked)
                .ok_or_else(|| ApiError::bad_request("the request names no host", None))?;
            let mut head = ResponseHead::new(redirect.status);
            let _ = head.headers.set(LOCATION, location);
            head.headers.insert(CONTENT_LENGTH, 0.into());
            (head, bytes::Bytes::new())
        }
        Action::Pool { .. } => return Err(Stop::CutOff),
    };
    if head.status.as_u16() >= 400 {
        ctx.record.error_type = "policy_route";
    }
    if !session.body_done() {
        session.discard_body().await;
    }
    ctx.overhead_ends("answered");
    let body = match session.head().method {
        http::Method::HEAD => bytes::Bytes::new(),
        _ => body,
    };
    respond::begin(session, ctx, head);
    let gone = |_| Stop::ClientGone(AbortStage::MidStream);
    session.write(body, true).await.map_err(gone)
}

fn question<'a>(session: &'a Session, ctx: &'a Ctx, model: Option<&'a str>) -> Question<'a> {
    let head = session.head();
    Question {
        host: host(head),
        path: ctx.path(session),
        method: &head.method,
        headers: &head.headers,
        model,
        tenant: ctx.client.as_ref().map(|client| client.tenant.as_str()),
    }
}

/// The host that is asked for, perhaps with a port. A target with a host of its own overrules `Host`: RFC 9112, 3.2.2.
pub(super) fn host(head: &RequestHead) -> Option<&str> {
    match head.uri.authority() {
        // What stands before `@` names no host.
        Some(authority) => authority.as_str().rsplit('@').next(),
        None => head.headers.get(HOST)?.to_str().ok(),
    }
}

/// The target without scheme and host. Where the client names no path it is the root's.
fn path_and_query(head: &RequestHead) -> std::borrow::Cow<'_, str> {
    let target = head.uri.path_and_query();
    match target.map_or("/", |target| target.as_str()) {
        bare if bare.starts_with('?') => format!("/{bare}").into(),
        target => target.into(),
    }
}

fn may_use(ctx: &Ctx, route: &Route) -> Result<(), Stop> {
    match admits(ctx, route) {
        true => Ok(()),
        false => Err(forbidden().into()),
    }
}

/// Where nobody knows the address, lists of addresses admit nobody.
fn admits(ctx: &Ctx, route: &Route) -> bool {
    route.access.is_open() || ctx.client_ip.is_some_and(|ip| route.access.admits(ip))
}

fn forbidden() -> ApiError {
    ApiError::forbidden("this is not for clients of your address")
}
