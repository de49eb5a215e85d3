//! The result of a run, for people and for programs.

use std::fmt::Write;
use std::time::Duration;

use serde_json::{Value, json};

use super::durations::Durations;
use super::tally::Tally;

/// Everything that a run has found.
#[derive(Debug)]
pub struct Report {
    pub(super) target: String,
    pub(super) tally: Tally,
    pub(super) elapsed: Duration,
    pub(super) max_in_flight: u64,
    pub(super) good_within: Duration,
    /// The first error in the schedule, which ended the sending.
    pub(super) schedule_error: Option<String>,
}

/// A generator whose p99 is later than this says so: what it measured is partly itself.
const LATE: f64 = 0.01;

impl Report {
    /// Whether anything reached its target.
    pub(super) fn reached(&self) -> bool {
        let unreachable = self.tally.errors.get("connect").copied().unwrap_or(0);
        self.tally.sent > unreachable
    }

    /// One JSON object; times are in seconds, and `null` where nothing was measured.
    pub fn document(&self) -> Value {
        let tally = &self.tally;
        let seconds = self.elapsed.as_secs_f64();
        json!({
            "target": self.target,
            "seconds": seconds,
            "sent": tally.sent,
            "ok": tally.ok,
            "sheds": tally.sheds,
            "errors": tally.errors,
            "unfinished": tally.sent - tally.ended_count(),
            "ttft_s": tally.first.document(),
            "total_s": tally.total.document(),
            "per_token_s": tally.per_token.document(),
            "tokens": {
                "input": tally.input, "output": tally.output, "output_per_s": per_second(tally.output, seconds),
            },
            "ok_per_s": per_second(tally.ok, seconds),
            "goodput": {
                "ttft_limit_s": self.good_within.as_secs_f64(), "good": tally.good, "share": tally.goodput(),
            },
            "cache": tally.cache,
            "peers": tally.peers,
            "max_in_flight": self.max_in_flight,
            "generator": {"late_s": tally.late.document(), "waited_for_connection": tally.waited},
            "schedule_error": self.schedule_error,
        })
    }

    /// A few lines for people.
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing into a String cannot fail.
        let _ = self.write(&mut text);
        text
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        let (tally, seconds) = (&self.tally, self.elapsed.as_secs_f64());
        writeln!(out, "{}", self.target)?;
        let unfinished = tally.sent - tally.ended_count();
        writeln!(
            out,
            "requests     {} sent in {seconds:.1} s, {} ok, {} shed, {} failed, {unfinished} unfinished, {} in flight at most",
            tally.sent,
            tally.ok,
            tally.sheds,
            tally.failed() - tally.sheds,
            self.max_in_flight
        )?;
        writeln!(
            out,
            "             {:>9} {:>9} {:>9} {:>9} {:>9}",
            "p50", "p90", "p95", "p99", "max"
        )?;
        for (name, times) in [
            ("first token", &tally.first),
            ("total", &tally.total),
            ("per token", &tally.per_token),
        ] {
            writeln!(out, "{name:<12} {}", row(times))?;
        }
        let limit = self.good_within.as_secs_f64();
        writeln!(
            out,
            "goodput      {:.1} % of all sent had their first token within {limit} s",
            tally.goodput() * 100.0
        )?;
        writeln!(
            out,
            "tokens       {} in, {} out, {:.0} out per second",
            tally.input,
            tally.output,
            per_second(tally.output, seconds)
        )?;
        for (name, counts) in [
            ("errors", &tally.errors),
            ("cache", &tally.cache),
            ("peers", &tally.peers),
        ] {
            if !counts.is_empty() {
                let all: Vec<_> = counts
                    .iter()
                    .map(|(name, count)| format!("{name} {count}"))
                    .collect();
                writeln!(out, "{name:<12} {}", all.join(", "))?;
            }
        }
        if let Some(late) = tally.late.quantile(0.99).filter(|late| *late > LATE) {
            writeln!(
                out,
                "warning      the generator was late: p99 {}; the times above include that",
                time(late)
            )?;
        }
        if tally.waited > 0 {
            writeln!(
                out,
                "warning      {} requests waited for a connection; --connections is too low",
                tally.waited
            )?;
        }
        if let Some(error) = &self.schedule_error {
            writeln!(out, "error        {error}; nothing after it was sent")?;
        }
        Ok(())
    }
}

fn per_second(count: u64, seconds: f64) -> f64 {
    if seconds > 0.0 {
        count as f64 / seconds
    } else {
        0.0
    }
}

fn row(times: &Durations) -> String {
    let cells = [0.5, 0.9, 0.95, 0.99, 1.0]
        .map(|quantile| times.quantile(quantile).map_or("-".to_owned(), time));
    cells.map(|cell| format!("{cell:>9}")).join(" ")
}

/// Seconds as people write them.
pub(super) fn time(seconds: f64) -> String {
    match seconds {
        s if s < 0.001 => format!("{:.0} us", s * 1e6),
        s if s < 0.1 => format!("{:.1} ms", s * 1e3),
        s if s < 1.0 => format!("{:.0} ms", s * 1e3),
        s => format!("{s:.2} s"),
    }
}
