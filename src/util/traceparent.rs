//! `traceparent`, the W3C trace context (level 1): passed on when it is good, begun when there is none.
//!
//! Tollgate records no spans of its own, so a good context goes on as it is, parent id included: a parent id of ours
//! would name a span that no tracing system ever receives, and the peer's spans would hang on nothing. For the same reason
//! what begins here is marked as sampled: a peer that decides for itself when nobody asks it (OpenTelemetry's default)
//! would otherwise stop tracing the moment Tollgate stands before it.

use std::fmt;

use super::hex;

/// What to do with a request's trace headers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trace {
    /// `traceparent` and `tracestate` go on as they came.
    Kept(TraceId),
    /// `traceparent` becomes this and `tracestate` is dropped: it belonged to a context that does not exist.
    Begun(TraceId, String),
}

impl Trace {
    /// The trace, for logs.
    pub fn id(&self) -> TraceId {
        match self {
            Self::Kept(id) | Self::Begun(id, _) => *id,
        }
    }
}

/// A trace id, never zero; displayed as 32 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceId(u128);

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// Reads every `traceparent` of a request; `random` is asked for a trace and a span id where a trace must begin. More than
/// one header is as bad as a malformed one.
pub fn trace<'a>(
    values: impl IntoIterator<Item = &'a [u8]>,
    random: impl FnOnce() -> (u128, u64),
) -> Trace {
    let mut values = values.into_iter();
    if let (Some(value), None) = (values.next(), values.next())
        && let Some(id) = trace_id(value.trim_ascii())
    {
        return Trace::Kept(id);
    }
    let (trace, span) = random();
    let id = TraceId(trace.max(1));
    let mut value = String::with_capacity(LENGTH);
    value.push_str("00-");
    hex::push(id.0, 32, &mut value);
    value.push('-');
    hex::push(span.max(1).into(), 16, &mut value);
    value.push_str("-01");
    Trace::Begun(id, value)
}

/// Bytes of a version 00 value; later versions may only append to it.
const LENGTH: usize = 55;

/// The trace id of a valid value: `version-trace-parent-flags`, in lower case, neither id zero, version not `ff`.
fn trace_id(value: &[u8]) -> Option<TraceId> {
    let (head, rest) = value.split_at_checked(LENGTH)?;
    let [v0, v1, b'-', ids @ ..] = head else {
        return None;
    };
    let version = (hex(&[*v0, *v1])?, rest);
    match version {
        (0xff, _) => return None,
        (0, []) => {}
        (0, _) => return None,
        (_, [] | [b'-', ..]) => {}
        _ => return None,
    }
    let (trace, ids) = ids.split_at_checked(32)?;
    let (parent, flags) = ids.strip_prefix(b"-")?.split_at_checked(16)?;
    hex(flags.strip_prefix(b"-")?)?;
    match (hex(trace)?, hex(parent)?) {
        (0, _) | (_, 0) => None,
        (trace, _) => Some(TraceId(trace)),
    }
}

/// At most 32 digits. Upper case is not allowed here.
fn hex(digits: &[u8]) -> Option<u128> {
    digits.iter().try_fold(0, |number, digit| {
        let digit = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some((number << 4) | u128::from(digit))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn of(values: &[&str]) -> Trace {
        trace(values.iter().map(|value| value.as_bytes()), || (7, 9))
    }

    fn begun() -> Trace {
        Trace::Begun(
            TraceId(7),
            "00-00000000000000000000000000000007-0000000000000009-01".to_owned(),
        )
    }

    #[test]
    fn a_good_context_goes_on_as_it_came() {
        let kept = of(&[GOOD]);
        assert!(matches!(kept, Trace::Kept(_)));
        assert_eq!(kept.id().to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert!(matches!(of(&[&GOOD.replace("-01", "-00")]), Trace::Kept(_)));
    }

    #[test]
    fn a_later_version_may_be_longer_and_the_first_may_not() {
        assert!(matches!(
            of(&[&GOOD.replacen("00", "cc", 1)]),
            Trace::Kept(_)
        ));
        let longer = format!("{}-what-comes", GOOD.replacen("00", "01", 1));
        assert!(matches!(of(&[&longer]), Trace::Kept(_)));
        assert_eq!(of(&[&format!("{GOOD}-what-comes")]), begun());
        assert_eq!(
            of(&[&format!("{}x", GOOD.replacen("00", "01", 1))]),
            begun()
        );
    }

    #[test]
    fn what_is_absent_malformed_or_given_twice_begins_a_trace() {
        assert_eq!(of(&[]), begun());
        assert_eq!(of(&[GOOD, GOOD]), begun());
        for bad in [
            "",
            "00",
            &GOOD[..54],
            &GOOD.to_uppercase(),
            &GOOD.replacen("00", "ff", 1),
            &GOOD.replace('-', "_"),
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473g-00f067aa0ba902b7-01",
        ] {
            assert_eq!(of(&[bad]), begun(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn what_is_begun_here_is_kept_by_the_next(ids in any::<(u128, u64)>()) {
            let Trace::Begun(id, value) = trace([], || ids) else { panic!("kept nothing") };
            prop_assert_eq!(trace([value.as_bytes()], || (0, 0)), Trace::Kept(id));
        }

        #[test]
        fn no_bytes_make_it_panic(value in prop::collection::vec(any::<u8>(), 0..80), tail in "[-0-9a-f]{50,60}") {
            let _ = trace([value.as_slice()], || (0, 0));
            let _ = trace([tail.as_bytes()], || (0, 0));
        }
    }
}
