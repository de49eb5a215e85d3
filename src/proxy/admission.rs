//! Who asks, and how much may they still send?

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::Instant;

use super::ctx::Ctx;
use super::stop::Stop;
use crate::admit::{Identified, Limiter, Need, Reservation, Subject, presented_key};
use crate::config::model::Dimension;
use crate::front::Session;
use crate::llm::error::ApiError;
use crate::metrics::events;

/// Who asks?
pub(super) fn authenticate(session: &Session, ctx: &mut Ctx) -> Result<(), Stop> {
    match ctx
        .snapshot
        .keys
        .identify(presented_key(&session.head().headers))
    {
        Identified::Open => Ok(()),
        Identified::Known(client) => {
            ctx.client = Some(client);
            Ok(())
        }
        Identified::Missing => Err(ApiError::missing_key().into()),
        Identified::Unknown => Err(ApiError::unknown_key().into()),
    }
}

/// What a request has taken from the limits of the file and from those of its route.
pub(super) struct Held {
    file: Option<Reservation>,
    route: Option<Reservation>,
}

impl Held {
    fn each(&mut self) -> impl Iterator<Item = &mut Reservation> {
        self.file.iter_mut().chain(&mut self.route)
    }

    /// Says how many output tokens have come so far.
    pub(super) fn progress(&mut self, output_tokens: u64, now: Instant) {
        for held in self.each() {
            held.progress(output_tokens, now);
        }
    }

    /// Closes with the tokens that were really used.
    pub(super) fn settle(&mut self, actual_tokens: u64, now: Instant) {
        for held in self.each() {
            held.settle(actual_tokens, now);
        }
    }

    /// Gives the tokens back while somebody else's answer is awaited.
    pub(super) fn lend_tokens(&mut self) {
        for held in self.each() {
            held.lend_tokens();
        }
    }

    /// Takes them back: the request goes to a peer after all.
    pub(super) fn take_back(&mut self, now: Instant) {
        for held in self.each() {
            held.take_back(now);
        }
    }

    /// Closes for an answer that no peer gave.
    pub(super) fn answered_here(&mut self) {
        for held in self.each() {
            held.answered_from_cache();
        }
    }
}

/// Takes `need` from the limits of the file and of the request's route, or from none of them. `None` where there are none.
pub(super) fn reserve(ctx: &mut Ctx, need: Need) -> Result<Option<Held>, Stop> {
    let limited = !ctx.snapshot.config.limits.is_empty();
    let file = limited.then(|| Arc::clone(&ctx.snapshot.limiter));
    take(ctx, file, need)
}

/// Takes one request from the limits of its route alone: those of the file are about what peers do.
pub(super) fn reserve_of_route(ctx: &mut Ctx) -> Result<Option<Held>, Stop> {
    take(ctx, None, Need::default())
}

fn take(ctx: &mut Ctx, file: Option<Arc<Limiter>>, need: Need) -> Result<Option<Held>, Stop> {
    let own = ctx.route.as_ref().filter(|route| !route.limits.is_empty());
    let own = own.and_then(|route| ctx.snapshot.routes_live.get(&route.name));
    let own = own.map(|live| Arc::clone(&live.limiter));
    if file.is_none() && own.is_none() {
        return Ok(None);
    }
    let address;
    let subject = match &ctx.client {
        Some(client) => Subject::from(client.as_ref()),
        None => {
            address = ctx.client_ip.map(network).unwrap_or_default();
            Subject {
                key: &address,
                tenant: "",
                tier: None,
            }
        }
    };
    let now = ctx.now;
    let mut held = Held {
        file: None,
        route: None,
    };
    let limiters = [(file, &mut held.file), (own, &mut held.route)];
    let mut denied = None;
    for (limiter, place) in limiters {
        match limiter.map(|limiter| limiter.reserve(&subject, need, now)) {
            None => {}
            Some(Ok(reservation)) => *place = Some(reservation),
            Some(Err(refused)) => {
                denied = Some(refused);
                break;
            }
        }
    }
    let Some(denied) = denied else {
        events::limit_decision("none", "admitted");
        let rates = held.each().map(|held| held.headers(now));
        let rates = rates.reduce(|one, other| one.tightest(other));
        if let Some(rates) = rates {
            rates.write(&mut ctx.own);
        }
        return Ok(Some(held));
    };
    let mut rates = denied.rates;
    if let Some(admitted) = &mut held.file {
        admitted.refund_all();
        rates = rates.tightest(admitted.headers(now));
    }
    let dimension = match denied.dimension {
        Dimension::Key => "key",
        Dimension::Tenant => "tenant",
    };
    events::limit_decision(dimension, "refused");
    ctx.record.limit_bound = Some(dimension);
    rates.write(&mut ctx.own);
    Err(ApiError::rate_limited(&denied.to_string(), denied.retry_after).into())
}

/// Whose limits an address counts for: a host's own in IPv4, the /64 that one customer has in IPv6.
fn network(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => {
            let prefix = u128::from(ip) & !u128::from(u64::MAX);
            format!("{}/64", Ipv6Addr::from(prefix))
        }
    }
}

/// What `ip_hash` goes by. Unkeyed, so that a restart and a second host send a client to the same peer.
pub(super) fn client_hash(ctx: &Ctx) -> u64 {
    let mut hasher = DefaultHasher::new();
    ctx.client_ip.hash(&mut hasher);
    hasher.finish()
}
