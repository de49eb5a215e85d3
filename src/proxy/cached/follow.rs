//! Sharing the upstream call of a request alike that is in flight.

use std::time::Duration;

use tokio::time::Instant;

use super::fill::{Fill, Flying};
use super::hit::hit;
use super::{Looked, status};
use crate::cache::flight::{FlightKey, Joined};
use crate::config::model::SingleFlight;
use crate::front::Session;
use crate::metrics::events;
use crate::proxy::admission::Held;
use crate::proxy::ctx::Ctx;
use crate::proxy::flight::{self, Followed, Wait};
use crate::proxy::stop::Stop;

/// Stands for a wait that is longer than the clock can say.
const FOREVER: Duration = Duration::from_secs(365 * 24 * 3600);

/// What sharing a call came to.
pub(in crate::proxy) enum Shared {
    /// The client has its answer, or the truth.
    Answered,
    /// A peer must be asked.
    Upstream,
}

impl Fill {
    /// Joins the flight of requests alike, or begins one.
    pub(super) fn board(&mut self) {
        let joined = self.cache.flights().join(FlightKey {
            exact: self.identity.exact,
            form: self.wanted.form(),
        });
        self.flight = match joined {
            Joined::Lead(lead) => Flying::Lead(lead),
            Joined::Follow(follow) => Flying::Follow(follow),
        };
    }

    /// Whether it leads, and its answer may have been stored since `landed` was read.
    pub(super) fn may_find_it_stored(&self, landed: u64) -> bool {
        matches!(self.flight, Flying::Lead(_)) && self.cache.flights().landed() != landed
    }

    /// Whether it waits for another's answer.
    pub(in crate::proxy) fn follows(&self) -> bool {
        matches!(self.flight, Flying::Follow(_))
    }

    /// Gives the client the answer that another request asked for.
    ///
    /// # Errors
    /// The client left, or the answer broke off in its middle.
    pub(in crate::proxy) async fn follow(
        &mut self,
        session: &mut Session,
        ctx: &mut Ctx,
        mut reservation: Option<&mut Held>,
    ) -> Result<Shared, Stop> {
        let Flying::Follow(follow) = std::mem::replace(&mut self.flight, Flying::Alone) else {
            return Ok(Shared::Upstream);
        };
        if let Some(held) = &mut reservation {
            held.lend_tokens();
        }
        let max_wait = match self.cache.config().single_flight {
            SingleFlight::On { max_wait } => max_wait,
            SingleFlight::Off => Duration::ZERO,
        };
        let now = Instant::now();
        let until = now.checked_add(max_wait).unwrap_or(now + FOREVER);
        status(ctx, "COALESCED");
        let followed = flight::follow(session, ctx, follow, Wait::Until(until)).await;
        let (outcome, result) = match &followed {
            Ok(Followed::Landed(_)) => ("answered", "hit"),
            Ok(Followed::Broken) | Err(Stop::CutOff) => ("broken", "miss"),
            Ok(Followed::Lead(_)) => ("promoted", "miss"),
            Ok(Followed::Alone) => ("alone", "miss"),
            Ok(Followed::Late) => ("late", "miss"),
            Err(_) => ("left", "miss"),
        };
        events::followed(outcome);
        events::cache_lookup("coalesced", result);
        let now = std::time::Instant::now();
        match followed? {
            Followed::Landed(landing) => {
                ctx.record.usage = landing.usage;
                ctx.record.response_model.clone_from(&landing.model);
                ctx.record.finish_reason.clone_from(&landing.finish_reason);
                return Ok(Shared::Answered);
            }
            Followed::Broken => return Ok(Shared::Answered),
            Followed::Lead(lead) => self.flight = Flying::Lead(lead),
            Followed::Alone | Followed::Late => {}
        }
        // Whoever led may have found it there.
        if let Some(entry) = self.cache.get_exact(&self.identity, now, None) {
            self.flight = Flying::Alone;
            events::cache_lookup("exact", "hit");
            let given = hit(session, ctx, self.endpoint, self.wanted, &entry, None).await?;
            if let Looked::Answered = given {
                return Ok(Shared::Answered);
            }
        }
        status(ctx, "MISS");
        if let Some(held) = reservation {
            held.take_back(now);
        }
        Ok(Shared::Upstream)
    }
}
