//! The pause that a peer's refusal asks for.

use std::time::{Duration, SystemTime};

use crate::util::headers::Headers;

/// Longest time that is read; what comes of it is bounded by the configuration.
const LONGEST: Duration = Duration::from_secs(366 * 86_400);

/// A peer asked to be left alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pause {
    /// The status of its refusal: what a client hears while every peer is in such a pause.
    pub status: u16,
    /// For how long; `None` when it did not say.
    pub time: Option<Duration>,
}

impl Pause {
    /// What an answer asks for. A 429 always asks, a 503 where it says for how long: without that it is
    /// a failure like any other.
    ///
    /// The time is the first that is there of `retry-after-ms`, `Retry-After` (RFC 9110, 10.2.3: seconds or a date) and
    /// OpenAI's `x-ratelimit-reset-requests` and `-tokens`; of the last two those count whose `remaining` is 0, and the
    /// longer one wins. `now` is for dates.
    pub fn asked(status: u16, headers: &Headers, now: impl FnOnce() -> SystemTime) -> Option<Self> {
        let time = || {
            let text = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
            text("retry-after-ms")
                .and_then(|text| from_float(text.parse::<f64>().ok()? / 1000.0))
                .or_else(|| text("retry-after").and_then(|text| retry_after(text, now())))
                .or_else(|| {
                    ["requests", "tokens"]
                        .into_iter()
                        .filter(|what| text(&format!("x-ratelimit-remaining-{what}")) == Some("0"))
                        .filter_map(|what| reset(text(&format!("x-ratelimit-reset-{what}"))?))
                        .max()
                })
        };
        match status {
            429 => Some(Self {
                status,
                time: time(),
            }),
            503 => time().filter(|time| !time.is_zero()).map(|time| Self {
                status,
                time: Some(time),
            }),
            _ => None,
        }
    }
}

/// Seconds (some servers send fractions) or an HTTP date; one that is past is no time at all.
fn retry_after(text: &str, now: SystemTime) -> Option<Duration> {
    if let Ok(seconds) = text.parse::<f64>() {
        return from_float(seconds);
    }
    let at = httpdate::parse_http_date(text).ok()?;
    Some(at.duration_since(now).unwrap_or_default().min(LONGEST))
}

/// OpenAI's form, `1s`, `6m0s`, `120ms`; or plain seconds.
fn reset(text: &str) -> Option<Duration> {
    if let Ok(seconds) = text.parse::<f64>() {
        return from_float(seconds);
    }
    let mut left = text;
    let mut total = 0.0;
    while !left.is_empty() {
        let digits = left.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, rest) = left.split_at(digits);
        let letters = rest
            .find(|c: char| !c.is_ascii_alphabetic())
            .unwrap_or(rest.len());
        let (unit, rest) = rest.split_at(letters);
        let seconds = match unit {
            "ms" => 0.001,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            "d" => 86_400.0,
            _ => return None,
        };
        total += number.parse::<f64>().ok()? * seconds;
        left = rest;
    }
    from_float(total).filter(|_| !text.is_empty())
}

/// A time that is none, such as -1 or NaN, was not given.
fn from_float(seconds: f64) -> Option<Duration> {
    if seconds.is_nan() {
        return None;
    }
    Duration::try_from_secs_f64(seconds.min(LONGEST.as_secs_f64())).ok()
}

#[cfg(test)]
mod tests;
