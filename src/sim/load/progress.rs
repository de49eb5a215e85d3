//! Shows how a run goes: one live line on a terminal, a plain line now and then elsewhere. Always on standard error.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::report::time;
use super::tally::Tally;

pub(super) enum Progress {
    Line(ProgressBar),
    Plain,
}

impl Progress {
    pub(super) fn new() -> Self {
        if !std::io::stderr().is_terminal() {
            return Self::Plain;
        }
        let bar = ProgressBar::new_spinner();
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
            bar.set_style(style);
        }
        Self::Line(bar)
    }

    /// Time between two showings.
    pub(super) fn every(&self) -> Duration {
        match self {
            Self::Line(_) => Duration::from_millis(200),
            Self::Plain => Duration::from_secs(10),
        }
    }

    pub(super) fn show(&self, elapsed: Duration, tally: &Tally) {
        let quantile = |q| tally.first.quantile(q).map_or("-".to_owned(), time);
        let line = format!(
            "{:.0} s: {} sent, {} in flight, {} ok, {} shed, {} failed; first token p50 {}, p99 {}; {:.0} tokens/s",
            elapsed.as_secs_f64(),
            tally.sent,
            tally.sent - tally.ended_count(),
            tally.ok,
            tally.sheds,
            tally.failed() - tally.sheds,
            quantile(0.5),
            quantile(0.99),
            tally.output as f64 / elapsed.as_secs_f64().max(0.001),
        );
        match self {
            Self::Line(bar) => {
                bar.set_message(line);
                bar.tick();
            }
            Self::Plain => eprintln!("{line}"),
        }
    }

    pub(super) fn clear(&self) {
        if let Self::Line(bar) = self {
            bar.finish_and_clear();
        }
    }
}
