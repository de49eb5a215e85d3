//! What a flight knows, under its lock.

use std::sync::Arc;

use bytes::Bytes;

use super::{Begun, Break, Landing};
use crate::util::collected::Collected;

/// Leads that may fail before a first byte. Then nobody waits for another any more.
const MOST_LEADS: u32 = 3;

#[derive(Debug)]
pub(super) struct State {
    pub(super) phase: Phase,
    /// Leads that failed.
    failed: u32,
    body: Body,
    /// Bytes of the answer before those in `body`.
    start: u64,
}

#[derive(Debug)]
pub(super) enum Phase {
    /// Somebody asks; nothing came yet.
    Ahead,
    /// Whoever asked failed; a follower is to take over.
    Leaderless,
    /// Nothing comes of it: each goes by itself.
    Scattered,
    Begun(Begun),
    Landed(Begun, Arc<Landing>),
    Broken(Begun, Option<Arc<Break>>),
}

#[derive(Debug)]
enum Body {
    Growing(Collected),
    /// Too large to be held: the last bytes.
    Window(Vec<u8>),
    Whole(Bytes),
}

impl State {
    pub(super) fn new() -> Self {
        Self {
            phase: Phase::Ahead,
            failed: 0,
            body: Body::Growing(Collected::default()),
            start: 0,
        }
    }

    /// Leads on, where nobody does.
    pub(super) fn takes_over(&mut self) -> bool {
        let free = matches!(self.phase, Phase::Leaderless);
        if free {
            self.phase = Phase::Ahead;
        }
        free
    }

    /// Whether who comes now gets all of it.
    pub(super) fn takes_newcomers(&self) -> bool {
        match self.phase {
            Phase::Ahead | Phase::Leaderless => true,
            Phase::Begun(_) | Phase::Landed(..) => !matches!(self.body, Body::Window(_)),
            Phase::Scattered | Phase::Broken(..) => false,
        }
    }

    /// The lead is gone without an end. Whether the flight is over for newcomers.
    pub(super) fn abandoned(&mut self, followed: bool, why: Option<Arc<Break>>) -> bool {
        self.phase = match std::mem::replace(&mut self.phase, Phase::Scattered) {
            Phase::Ahead => {
                self.failed += 1;
                match followed && self.failed < MOST_LEADS {
                    true => Phase::Leaderless,
                    false => Phase::Scattered,
                }
            }
            Phase::Begun(begun) => Phase::Broken(begun, why),
            ended => ended,
        };
        !matches!(self.phase, Phase::Leaderless)
    }

    pub(super) fn begin(&mut self, begun: Begun) {
        if let Phase::Ahead = self.phase {
            self.phase = Phase::Begun(begun);
        }
    }

    /// Takes a part. True when it was the first that did not fit `most`.
    pub(super) fn push(&mut self, part: &Bytes, most: usize, followed: bool) -> bool {
        match &mut self.body {
            Body::Growing(body) if body.len() + part.len() <= most => {
                body.push(part);
                false
            }
            Body::Growing(body) => {
                let mut window = Vec::from(std::mem::take(body).into_bytes());
                window.extend_from_slice(part);
                self.body = Body::Window(window);
                self.trim(most, followed);
                true
            }
            Body::Window(window) => {
                window.extend_from_slice(part);
                self.trim(most, followed);
                false
            }
            Body::Whole(_) => false,
        }
    }

    /// Lets the oldest bytes go: half of them at once, so that each byte is moved once at most.
    fn trim(&mut self, most: usize, followed: bool) {
        let Body::Window(window) = &mut self.body else {
            return;
        };
        if !followed {
            self.start += window.len() as u64;
            *window = Vec::new();
        } else if window.len() > most {
            let gone = window.len() - most / 2;
            window.drain(..gone);
            self.start += gone as u64;
        }
    }

    /// The whole body, which grows no more; `None` where not all of it is there.
    pub(super) fn close(&mut self) -> Option<Bytes> {
        if let Body::Growing(body) = &mut self.body {
            self.body = Body::Whole(std::mem::take(body).into_bytes());
        }
        match &self.body {
            Body::Whole(body) => Some(body.clone()),
            Body::Growing(_) | Body::Window(_) => None,
        }
    }

    pub(super) fn land(&mut self, landing: Landing) {
        self.phase = match std::mem::replace(&mut self.phase, Phase::Scattered) {
            Phase::Begun(begun) => Phase::Landed(begun, Arc::new(landing)),
            // No head was shared: there is nothing to share.
            other => other,
        };
    }

    /// Bytes that came so far.
    pub(super) fn end(&self) -> u64 {
        let held = match &self.body {
            Body::Growing(body) => body.len(),
            Body::Window(window) => window.len(),
            Body::Whole(body) => body.len(),
        };
        self.start + held as u64
    }

    /// What is there from `from` on, at most `most` bytes; `None` where it is gone.
    pub(super) fn read(&self, from: u64, most: usize) -> Option<Bytes> {
        let skip = usize::try_from(from.checked_sub(self.start)?).ok()?;
        let piece = |whole: &[u8]| {
            let rest = whole.get(skip..)?;
            Some(skip..skip + rest.len().min(most))
        };
        match &self.body {
            Body::Growing(body) => body.read(skip, most),
            Body::Window(window) => Some(Bytes::copy_from_slice(&window[piece(window)?])),
            Body::Whole(body) => Some(body.slice(piece(body)?)),
        }
    }
}
