//! Faults on demand: what goes wrong, for which requests.
//!
//! A fault is written as one word with an optional number: `refuse` (the connection is reset before the body is read),
//! `refuse-late` (after it was read), `stale` (answered, but the next request on
//! the connection is reset), `hang` (no answer ever), `stall[:events]` (nothing more after so many events),
//! `cut[:events]` (the connection breaks there), `bad-chunk[:events]` (broken chunked framing there),
//! `drop-after-header`, `half-head` (the connection closes in the middle of the response head), `slow:ms` (so long before
//! the answer), or a status with an optional `Retry-After` in seconds (`429:2`, `500`). On an answer that is not a stream,
//! the events count as none or some: some means half the body.
//!
//! Three faults leave HTTP intact and spoil the answer itself: `bad-json[:events]` (the event after so many is half a JSON
//! document), `no-done` (a stream ends without the event that says so), `filtered` (a content filter ended the text).

use std::str::FromStr;
use std::time::Duration;

use parking_lot::Mutex;

/// What goes wrong with one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The connection is reset before the body is read.
    Refuse,
    /// The connection is reset after the body was read.
    RefuseLate,
    /// A proper answer, after which the next request on the same connection is refused: a pooled connection gone stale.
    Stale,
    /// No answer, until the client leaves.
    Hang,
    /// So long a wait before the request is served.
    Slow(Duration),
    /// An error answer.
    Status {
        /// Its status, 400 to 599.
        code: u16,
        /// Its `Retry-After`, in seconds.
        retry_after: Option<u32>,
    },
    /// The connection is closed in the middle of the response head.
    HalfHead,
    /// The answer breaks off.
    Break(Break),
    /// The answer comes whole, and is wrong.
    Spoil(Spoil),
}

/// What is wrong with an answer that comes whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spoil {
    /// After so many events one is cut in its middle; the others follow.
    BadJson(u32),
    /// The event that ends a stream is left out.
    NoEnd,
    /// The text ends because a content filter wanted so.
    Filtered,
}

/// Where and how an answer breaks off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Break {
    /// Events that are sent before.
    pub after: u32,
    /// What happens then.
    pub how: How,
}

/// How an answer breaks off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// Nothing more comes, the connection stays open.
    Stall,
    /// The connection is closed.
    Cut,
    /// Bytes come that are no chunk, and the connection is closed.
    Garble,
}

impl FromStr for Fault {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, number) = match text.split_once(':') {
            Some((kind, number)) => (
                kind,
                Some(
                    number
                        .parse::<u32>()
                        .map_err(|_| format!("not a number: {number}"))?,
                ),
            ),
            None => (text, None),
        };
        let breaks = |how, default| {
            Ok(Self::Break(Break {
                after: number.unwrap_or(default),
                how,
            }))
        };
        match (kind, number) {
            ("refuse", None) => Ok(Self::Refuse),
            ("refuse-late", None) => Ok(Self::RefuseLate),
            ("half-head", None) => Ok(Self::HalfHead),
            ("bad-json", _) => Ok(Self::Spoil(Spoil::BadJson(number.unwrap_or(1)))),
            ("no-done", None) => Ok(Self::Spoil(Spoil::NoEnd)),
            ("filtered", None) => Ok(Self::Spoil(Spoil::Filtered)),
            ("stale", None) => Ok(Self::Stale),
            ("hang", None) => Ok(Self::Hang),
            ("slow", Some(ms)) => Ok(Self::Slow(Duration::from_millis(ms.into()))),
            ("stall", _) => breaks(How::Stall, 3),
            ("cut", _) => breaks(How::Cut, 3),
            ("bad-chunk", _) => breaks(How::Garble, 1),
            ("drop-after-header", None) => breaks(How::Cut, 0),
            _ => match kind.parse() {
                Ok(code @ 400..=599) => Ok(Self::Status {
                    code,
                    retry_after: number,
                }),
                _ => Err(format!("unknown fault {text:?}")),
            },
        }
    }
}

/// The fault that strikes requests that ask for none themselves.
#[derive(Debug)]
pub(super) struct Planted {
    pub(super) fault: Fault,
    /// How many requests it still strikes; `None` is without end.
    pub(super) left: Option<u64>,
    pub(super) probability: f64,
}

/// Holds the planted fault and draws from it.
#[derive(Debug)]
pub(super) struct FaultBook(Mutex<(Option<Planted>, fastrand::Rng)>);

impl FaultBook {
    pub(super) fn new(planted: Option<Planted>, seed: u64) -> Self {
        Self(Mutex::new((planted, fastrand::Rng::with_seed(seed))))
    }

    pub(super) fn plant(&self, planted: Option<Planted>) {
        self.0.lock().0 = planted;
    }

    /// The fault for the next request, if it is struck.
    pub(super) fn draw(&self) -> Option<Fault> {
        let (planted, rng) = &mut *self.0.lock();
        let entry = planted.as_mut()?;
        if rng.f64() >= entry.probability {
            return None;
        }
        let fault = entry.fault;
        if let Some(left) = &mut entry.left {
            *left = left.saturating_sub(1);
            if *left == 0 {
                *planted = None;
            }
        }
        Some(fault)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_fault_is_read() {
        assert_eq!("refuse".parse(), Ok(Fault::Refuse));
        assert_eq!(
            "stall".parse(),
            Ok(Fault::Break(Break {
                after: 3,
                how: How::Stall
            }))
        );
        assert_eq!(
            "cut:7".parse(),
            Ok(Fault::Break(Break {
                after: 7,
                how: How::Cut
            }))
        );
        assert_eq!(
            "drop-after-header".parse(),
            Ok(Fault::Break(Break {
                after: 0,
                how: How::Cut
            }))
        );
        assert_eq!(
            "429:2".parse(),
            Ok(Fault::Status {
                code: 429,
                retry_after: Some(2)
            })
        );
        assert_eq!(
            "slow:250".parse(),
            Ok(Fault::Slow(Duration::from_millis(250)))
        );
        assert_eq!("half-head".parse(), Ok(Fault::HalfHead));
        assert_eq!("bad-json:2".parse(), Ok(Fault::Spoil(Spoil::BadJson(2))));
        assert_eq!("no-done".parse(), Ok(Fault::Spoil(Spoil::NoEnd)));
        assert_eq!("filtered".parse(), Ok(Fault::Spoil(Spoil::Filtered)));
        for wrong in [
            "",
            "slow",
            "no-done:1",
            "refuse:1",
            "200",
            "700",
            "cut:x",
            "stal",
        ] {
            assert!(wrong.parse::<Fault>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_counted_fault_strikes_that_often_and_no_more() {
        let book = FaultBook::new(
            Some(Planted {
                fault: Fault::Hang,
                left: Some(2),
                probability: 1.0,
            }),
            0,
        );
        assert_eq!(
            [book.draw(), book.draw(), book.draw()],
            [Some(Fault::Hang), Some(Fault::Hang), None]
        );
    }

    #[test]
    fn a_probable_fault_strikes_about_that_share() {
        let book = FaultBook::new(
            Some(Planted {
                fault: Fault::Hang,
                left: None,
                probability: 0.25,
            }),
            7,
        );
        let struck = (0..4000).filter(|_| book.draw().is_some()).count();
        assert!((900..1100).contains(&struck), "{struck}");
    }
}
