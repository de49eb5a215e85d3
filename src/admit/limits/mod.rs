//! Limits: how much each key and each tenant may do.
//!
//! A request reserves before it is sent and settles when its usage is known. To reserve is all or nothing over every
//! limit that applies: the members are locked together, in one order that every limiter keeps, so no request is
//! refused for a charge that another is about to take back.

mod bucket;
mod denied;
mod headers;
mod inherit;
mod member;
mod members;
mod reservation;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use parking_lot::MutexGuard;

use crate::config::model::{Dimension, Limit};

use super::auth::Client;

pub use denied::{Denied, What};
pub use headers::{RateHeaders, Standing, openai_duration};
pub use reservation::Reservation;

use member::{Refusal, Usage};
use members::{MAX_MEMBERS, Members};
use reservation::Seat;

/// Who asks, as limits see it.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// Name of the key; without `keys`, the client address.
    pub key: &'a str,
    /// The tenant; without `keys`, one word for everybody.
    pub tenant: &'a str,
    /// The tier, if any.
    pub tier: Option<&'a str>,
}

impl<'a> From<&'a Client> for Subject<'a> {
    fn from(client: &'a Client) -> Self {
        Self {
            key: &client.name,
            tenant: &client.tenant,
            tier: client.tier.as_deref(),
        }
    }
}

/// What a request is expected to use, in tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Need {
    /// Input: used as soon as the request is sent.
    pub input: u64,
    /// Output, as far as it can be foreseen.
    pub output: u64,
}

/// All limits of one configuration.
///
/// Each limit counts at most 65,536 members apart (about 20 MB). Beyond that, while none of them can be forgotten,
/// newcomers share one bucket: see `members`.
pub struct Limiter {
    // In the order of `Members::id`, which is the order of locking.
    rules: Vec<Rule>,
    live: Arc<AtomicUsize>,
    max_members: usize,
}

struct Rule {
    limit: Limit,
    members: Arc<Members>,
}

impl Limiter {
    /// A limiter where every bucket is full.
    #[must_use]
    pub fn new(limits: &[Limit]) -> Self {
        Self::with_max_members(limits, MAX_MEMBERS)
    }

    /// A limiter for `limits` that goes on where `old` stands. A limit that stays keeps its levels and reservations;
    /// one whose amounts changed keeps them too, each bucket with the share that is used. `old` is left as it is and
    /// may still be asked: both count in the same place.
    #[must_use]
    pub fn reconfigured(old: &Self, limits: &[Limit]) -> Self {
        let definitions: Vec<&Limit> = old.rules.iter().map(|rule| &rule.limit).collect();
        let heirs = inherit::heirs(&definitions, limits);
        let members = heirs.into_iter().map(|heir| match heir {
            Some(index) => Arc::clone(&old.rules[index].members),
            None => Arc::new(Members::new(old.max_members)),
        });
        Self::assembled(limits, members, Arc::clone(&old.live), old.max_members)
    }

    /// Takes one request and `need` from every limit that applies to `who`, or from none.
    ///
    /// A need larger than a whole bucket passes when that bucket is full, and leaves it overdrawn.
    ///
    /// # Errors
    /// [`Denied`] by the limit that would take longest to let the request in.
    pub fn reserve(
        &self,
        who: &Subject<'_>,
        need: Need,
        now: Instant,
    ) -> Result<Reservation, Box<Denied>> {
        let tokens = need.input.saturating_add(need.output);
        let rules = || self.rules.iter().filter(|rule| rule.applies_to(who));
        let seats: Vec<Seat> = rules().map(|rule| rule.seat(who, now)).collect();
        let mut usages: Vec<MutexGuard<'_, Usage>> =
            seats.iter().map(|seat| seat.member.usage.lock()).collect();

        let refusals = rules().zip(&seats).zip(&mut usages);
        let refusal = refusals
            .filter_map(|((rule, seat), usage)| {
                let refusal = usage.refusal(&rule.limit, tokens, now)?;
                Some((rule, seat, refusal))
            })
            .max_by_key(|(.., refusal)| refusal.wait);
        if let Some((rule, seat, refusal)) = refusal {
            let mut rates = RateHeaders::default();
            for (seat, usage) in seats.iter().zip(&mut usages) {
                usage.report(seat.requests, seat.tokens, now, &mut rates);
            }
            return Err(Box::new(denied(rule, seat, &refusal, rates)));
        }

        for (rule, usage) in rules().zip(&mut usages) {
            usage.take(&rule.limit, tokens, now);
        }
        drop(usages);
        let live = Arc::clone(&self.live);
        Ok(Reservation::new(seats, need.input, tokens, now, live))
    }

    /// Open reservations, those of earlier configurations included. Zero at rest.
    #[must_use]
    pub fn in_use(&self) -> usize {
        self.live.load(Ordering::Relaxed)
    }

    /// Members remembered over all limits.
    #[must_use]
    pub fn members(&self) -> usize {
        self.rules.iter().map(|rule| rule.members.len()).sum()
    }

    fn with_max_members(limits: &[Limit], max_members: usize) -> Self {
        let members = limits.iter().map(|_| Arc::new(Members::new(max_members)));
        Self::assembled(limits, members, Arc::default(), max_members)
    }

    fn assembled(
        limits: &[Limit],
        members: impl Iterator<Item = Arc<Members>>,
        live: Arc<AtomicUsize>,
        max_members: usize,
    ) -> Self {
        let limits = limits.iter().cloned();
        let mut rules: Vec<Rule> = limits
            .zip(members)
            .map(|(limit, members)| Rule { limit, members })
            .collect();
        rules.sort_by_key(|rule| rule.members.id);
        Self {
            rules,
            live,
            max_members,
        }
    }
}

impl Rule {
    fn applies_to(&self, who: &Subject<'_>) -> bool {
        match &self.limit.tier {
            Some(tier) => who.tier == Some(tier),
            None => true,
        }
    }

    fn seat(&self, who: &Subject<'_>, now: Instant) -> Seat {
        let name = match self.limit.per {
            Dimension::Key => who.key,
            Dimension::Tenant => who.tenant,
        };
        Seat {
            member: self.members.get(name, now),
            requests: self.limit.requests.is_some(),
            tokens: self.limit.tokens.is_some(),
        }
    }
}

fn denied(rule: &Rule, seat: &Seat, refusal: &Refusal, rates: RateHeaders) -> Denied {
    Denied {
        dimension: rule.limit.per,
        member: seat.member.name.as_ref().to_owned(),
        what: refusal.what,
        limit: refusal.limit,
        period: refusal.period,
        retry_after: refusal.wait,
        rates,
    }
}
