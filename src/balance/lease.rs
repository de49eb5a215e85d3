//! The right of one request to be served by one peer. Dropping it gives everything back, once.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use super::health::Change;
use super::live::{Charge, Ejection, Live, Seat, Trial};
use super::peer::Peer;
use super::pool::{Demand, Shared};

/// What a request holds of a peer from dispatch to its last byte: a place in flight, the tokens it is expected to
/// cost, and for the first request after an ejection the trial.
///
/// Give it back by dropping it, whatever the way out. The fields go in their order, so that a waiting request is
/// woken when the place is free.
#[derive(Debug)]
#[must_use = "dropping a lease gives the peer back"]
pub struct Lease {
    charge: Charge,
    trial: Option<Trial>,
    _seat: Seat,
    wake: Wake,
    output_tokens: u64,
    peer: Arc<Peer>,
}

/// Why a peer could not be leased.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// It is at its `max_requests`.
    Full,
    /// It is out, or its trial is running.
    Out,
}

impl Lease {
    /// Takes a place on the peer and charges it. `shared` is told when it is given back.
    pub(super) fn take(
        peer: &Arc<Peer>,
        demand: &Demand,
        shared: &Arc<Shared>,
        now: Instant,
    ) -> Result<Self, Refused> {
        let live = peer.live();
        let seat = Seat::take(live, peer.settings().max_requests).ok_or(Refused::Full)?;
        let Ok(trial) = trial_if_due(live, now) else {
            // Somebody may have found the peer full because of this seat, and wait.
            drop(seat);
            shared.wake();
            return Err(Refused::Out);
        };
        live.count_request();
        Ok(Self {
            charge: Charge::put(live, demand.prompt_tokens, demand.output_tokens),
            trial,
            _seat: seat,
            wake: Wake(Arc::clone(shared)),
            output_tokens: demand.output_tokens,
            peer: Arc::clone(peer),
        })
    }

    /// The peer.
    pub fn peer(&self) -> &Arc<Peer> {
        &self.peer
    }

    /// Where to connect.
    pub fn addr(&self) -> SocketAddr {
        self.peer.addr()
    }

    /// Whether this is the one request that decides if an ejected peer comes back.
    pub fn is_trial(&self) -> bool {
        self.trial.is_some()
    }

    /// Tokens still charged to the peer.
    pub fn tokens(&self) -> u64 {
        self.charge.tokens()
    }

    /// The first byte of an answer that is no failure: the prompt has been worked off, and a trial has passed.
    pub fn first_byte(&mut self, now: Instant) -> Change {
        self.peer.live().byte_seen(now);
        self.charge.prompt_done();
        self.pass_trial(now)
    }

    /// `output_tokens` have been received so far. The expected output is drawn down to what is left of it; a twentieth
    /// stays until the end, so that a request that outruns its estimate never counts as free.
    pub fn progress(&mut self, output_tokens: u64, now: Instant) {
        self.peer.live().byte_seen(now);
        self.charge.prompt_done();
        self.charge
            .output_left(self.output_tokens.saturating_sub(output_tokens));
    }

    /// Ends the trial well, if this is one.
    pub(super) fn pass_trial(&mut self, now: Instant) -> Change {
        let Some(trial) = self.trial.take() else {
            return Change::None;
        };
        let change = self
            .peer
            .live()
            .change_health(|health| health.trial_passed(now));
        drop(trial);
        self.wake.0.wake();
        change
    }

    /// Takes the trial out, so that its failure counts once.
    pub(super) fn take_trial(&mut self) -> Option<Trial> {
        self.trial.take()
    }
}

/// The trial of a half-open peer; nothing for one that is in use.
fn trial_if_due(live: &Arc<Live>, now: Instant) -> Result<Option<Trial>, Refused> {
    match live.ejection(now) {
        Ejection::None => return Ok(None),
        Ejection::Running(_) => return Err(Refused::Out),
        Ejection::TrialDue => {}
    }
    // The trial before this one may have ended between the two looks.
    let trial = Trial::take(live);
    match live.ejection(now) {
        Ejection::None => Ok(None),
        Ejection::TrialDue if trial.is_some() => Ok(trial),
        _ => Err(Refused::Out),
    }
}

/// Tells the pool when it goes.
#[derive(Debug)]
struct Wake(Arc<Shared>);

impl Drop for Wake {
    fn drop(&mut self) {
        self.0.wake();
    }
}
