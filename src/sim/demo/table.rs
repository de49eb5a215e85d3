//! The table: columns that fit 100 characters, colours only for people.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write as _};
use std::time::Duration;

use super::ask::{Answer, Form, Source};

#[cfg(test)]
mod tests;

/// Widths of the columns; the last two are right-aligned.
const WIDTHS: [usize; 6] = [31, 6, 17, 15, 11, 7];
const RIGHT_FROM: usize = 4;
const HEAD: [&str; 6] = [
    "ASKED",
    "AS",
    "X-CACHE-STATUS",
    "PEER",
    "FIRST TOKEN",
    "TOTAL",
];

/// How a piece of text looks.
#[derive(Debug, Clone, Copy)]
enum Look {
    Plain,
    Title,
    Quiet,
    Hit,
    SemanticHit,
    Miss,
    Bad,
}

impl Look {
    fn code(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Title => "\x1b[1m",
            Self::Quiet => "\x1b[2m",
            Self::Hit => "\x1b[32m",
            Self::SemanticHit => "\x1b[36m",
            Self::Miss => "\x1b[33m",
            Self::Bad => "\x1b[31m",
        }
    }
}

/// Standard output as the demo writes it. A reader that has gone is nobody's fault, so nothing here fails.
pub(super) struct Screen {
    colour: bool,
}

impl Screen {
    /// Coloured on a terminal, unless `NO_COLOR` is set.
    pub(super) fn new() -> Self {
        let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
            || std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Self {
            colour: io::stdout().is_terminal() && !unwanted,
        }
    }

    /// A line as it is.
    pub(super) fn line(&mut self, text: &str) {
        let mut out = io::stdout().lock();
        let _ = writeln!(out, "{text}").and_then(|()| out.flush());
    }

    /// The name of a part, with a word on it.
    pub(super) fn title(&mut self, title: &str, more: &str) {
        let (title, more) = (
            self.paint(Look::Title, title),
            self.paint(Look::Quiet, more),
        );
        self.line(format!("\n {title}  {more}").trim_end());
    }

    /// The names of the columns.
    pub(super) fn head(&mut self) {
        let head = self.paint(Look::Quiet, &cells(HEAD.map(str::to_owned)).join("  "));
        let rule = self.paint(
            Look::Quiet,
            &WIDTHS.map(|width| "─".repeat(width)).join("──"),
        );
        self.line(&format!("\n  {head}\n  {rule}"));
    }

    /// Something that is not as it should be.
    pub(super) fn warn(&mut self, text: &str) {
        let text = self.paint(Look::Bad, &format!("! {text}"));
        self.line(&format!("\n {text}"));
    }

    /// One question and what became of it.
    pub(super) fn row(&mut self, question: &str, form: Form, answer: &Result<Answer, String>) {
        let line = self.row_text(question, form, answer);
        self.line(&line);
    }

    fn row_text(&self, question: &str, form: Form, answer: &Result<Answer, String>) -> String {
        let form = match form {
            Form::Stream => "stream",
            Form::Json => "JSON",
        };
        let answer = match answer {
            Ok(answer) => answer,
            Err(reason) => {
                let [question, form] = [(question, 0), (form, 1)].map(|(text, at)| cell(text, at));
                return format!("  {question}  {form}  {}", self.paint(Look::Bad, reason));
            }
        };
        let (status, look) = status(answer);
        let peer = match (&answer.peer, answer.attempts) {
            (None, _) => "-".to_owned(),
            (Some(peer), 1) => peer.clone(),
            (Some(peer), attempts) => format!("{peer}, try {attempts}"),
        };
        let cells = cells([
            question.to_owned(),
            form.to_owned(),
            status,
            peer,
            time(answer.first),
            time(answer.total),
        ]);
        let looks = [
            Look::Plain,
            Look::Quiet,
            look,
            if answer.attempts > 1 {
                Look::Bad
            } else {
                Look::Plain
            },
            look,
            Look::Plain,
        ];
        let mut line = String::new();
        for (cell, look) in cells.iter().zip(looks) {
            // Writing to a text cannot fail.
            let _ = write!(line, "  {}", self.paint(look, cell));
        }
        line
    }

    /// Coloured after it was made as wide as it has to be: colours have no width.
    fn paint(&self, look: Look, text: &str) -> String {
        match look.code() {
            code if self.colour && !code.is_empty() && !text.is_empty() => {
                format!("{code}{text}\x1b[0m")
            }
            _ => text.to_owned(),
        }
    }
}

fn status(answer: &Answer) -> (String, Look) {
    match answer.source {
        _ if answer.status != 200 => (format!("status {}", answer.status), Look::Bad),
        Source::Miss => ("MISS".to_owned(), Look::Miss),
        Source::Hit => ("HIT".to_owned(), Look::Hit),
        Source::SemanticHit(similarity) => {
            (format!("SEMANTIC_HIT {similarity:.2}"), Look::SemanticHit)
        }
        Source::Other => ("?".to_owned(), Look::Bad),
    }
}

fn cells(texts: [String; 6]) -> Vec<String> {
    texts
        .iter()
        .enumerate()
        .map(|(at, text)| cell(text, at))
        .collect()
}

/// A text exactly as wide as its column.
fn cell(text: &str, at: usize) -> String {
    let width = WIDTHS[at];
    let cut: String = if text.chars().count() > width {
        text.chars().take(width - 1).chain(['…']).collect()
    } else {
        text.to_owned()
    };
    if at < RIGHT_FROM {
        format!("{cut:<width$}")
    } else {
        format!("{cut:>width$}")
    }
}

/// A time as people read it, 7 characters at most below an hour.
pub(super) fn time(time: Duration) -> String {
    match time.as_secs_f64() * 1000.0 {
        ms if ms < 9.995 => format!("{ms:.2} ms"),
        ms if ms < 999.5 => format!("{ms:.0} ms"),
        ms => format!("{:.2} s", ms / 1000.0),
    }
}
