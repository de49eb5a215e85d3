//! What was seen, and whether that was everything.

use std::time::Duration;

use super::ask::{Answer, Form, Source};
use super::table::{Screen, time};

/// One question and what became of it.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) question: &'static str,
    pub(super) form: Form,
    pub(super) answer: Result<Answer, String>,
}

/// Everything that was asked.
#[derive(Debug, Default)]
pub(super) struct Tally(Vec<Seen>);

impl Tally {
    pub(super) fn add(&mut self, seen: Seen) {
        self.0.push(seen);
    }

    fn answers(&self) -> impl Iterator<Item = (&Seen, &Answer)> {
        self.0
            .iter()
            .filter_map(|seen| Some((seen, seen.answer.as_ref().ok()?)))
    }

    /// What went wrong or was not seen, one line each; empty when the demo showed all it should.
    pub(super) fn missing(&self) -> Vec<String> {
        let mut missing = Vec::new();
        for seen in &self.0 {
            let wrong = match &seen.answer {
                Err(reason) => Some(reason.clone()),
                Ok(answer) if answer.status != 200 => {
                    Some(format!("status {}: {}", answer.status, answer.text))
                }
                Ok(answer) if !self.is_true(seen, answer) => {
                    Some("the cache gave another answer than the engine did".to_owned())
                }
                Ok(_) => None,
            };
            missing.extend(wrong.map(|wrong| format!("\"{}\": {wrong}", seen.question)));
        }
        for (name, kind) in KINDS {
            if !self.answers().any(|(_, answer)| kind(answer)) {
                missing.push(format!("no answer was a {name}"));
            }
        }
        missing
    }

    /// A hit must be word for word what an engine said: to the same question, or by meaning to any earlier one.
    fn is_true(&self, seen: &Seen, answer: &Answer) -> bool {
        let mut engines = self.answers().filter(|(_, other)| is_miss(other));
        match answer.source {
            Source::Hit => engines
                .any(|(other, miss)| other.question == seen.question && miss.text == answer.text),
            Source::SemanticHit(_) => engines.any(|(_, miss)| miss.text == answer.text),
            Source::Miss | Source::Other => true,
        }
    }

    /// What the table comes to, in a few lines. `saved` is Tollgate's own count of tokens.
    pub(super) fn summary(&self, screen: &mut Screen, saved: Option<u64>) {
        screen.title("In short", "medians of the streams above");
        for line in self.summary_lines(saved) {
            screen.line(&format!("  {line}"));
        }
    }

    fn summary_lines(&self, saved: Option<u64>) -> Vec<String> {
        let mut lines = self.first_tokens();
        let all = self.0.len();
        let from_cache = self
            .answers()
            .filter(|(_, answer)| is_hit(answer) || is_semantic_hit(answer))
            .count();
        let saved = saved.map_or(String::new(), |tokens| {
            format!(": {tokens} tokens that no engine had to compute")
        });
        lines.push(format!(
            "{:>7}  answers came from the cache{saved}",
            format!("{from_cache}/{all}")
        ));
        let elsewhere = self
            .answers()
            .filter(|(_, answer)| answer.status == 200 && answer.attempts > 1)
            .count();
        if elsewhere > 0 {
            lines.push(format!(
                "{elsewhere:>7}  met an engine that refused; another one answered, and the client saw a 200"
            ));
        }
        lines
    }

    /// The median waits for the first token of a stream, side by side.
    fn first_tokens(&self) -> Vec<String> {
        let engine = self.first_token(is_miss);
        let mut lines: Vec<String> = engine
            .iter()
            .map(|wait| format!("{:>7}  to the first token from an engine", time(*wait)))
            .collect();
        for (kind, name) in [
            (is_hit as Kind, "an exact hit"),
            (is_semantic_hit, "a semantic hit"),
        ] {
            if let Some(wait) = self.first_token(kind) {
                let sooner = engine.map_or(String::new(), |engine| {
                    let times = engine.as_secs_f64() / wait.as_secs_f64().max(1e-6);
                    format!(", {times:.0} times sooner")
                });
                lines.push(format!("{:>7}  from {name}{sooner}", time(wait)));
            }
        }
        lines
    }

    /// The median time to the first token of streams.
    fn first_token(&self, kind: Kind) -> Option<Duration> {
        let mut times: Vec<Duration> = self
            .answers()
            .filter(|(seen, answer)| seen.form == Form::Stream && kind(answer))
            .map(|(_, answer)| answer.first)
            .collect();
        times.sort_unstable();
        times.get(times.len() / 2).copied()
    }
}

type Kind = fn(&Answer) -> bool;

const KINDS: [(&str, Kind); 3] = [
    ("MISS", is_miss),
    ("HIT", is_hit),
    ("SEMANTIC_HIT", is_semantic_hit),
];

fn is_miss(answer: &Answer) -> bool {
    answer.source == Source::Miss && answer.status == 200
}

fn is_hit(answer: &Answer) -> bool {
    answer.source == Source::Hit && answer.status == 200
}

fn is_semantic_hit(answer: &Answer) -> bool {
    matches!(answer.source, Source::SemanticHit(_)) && answer.status == 200
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(question: &'static str, source: Source, text: &str) -> Seen {
        let answer = Answer {
            status: 200,
            source,
            peer: None,
            attempts: 1,
            first: Duration::from_millis(match source {
                Source::Miss => 400,
                _ => 2,
            }),
            total: Duration::from_millis(500),
            text: text.to_owned(),
        };
        Seen {
            question,
            form: Form::Stream,
            answer: Ok(answer),
        }
    }

    fn tally(seen: impl IntoIterator<Item = Seen>) -> Tally {
        Tally(seen.into_iter().collect())
    }

    #[test]
    fn each_kind_once_is_everything() {
        let tally = tally([
            seen("a", Source::Miss, "text"),
            seen("a", Source::Hit, "text"),
            seen("b", Source::SemanticHit(0.9), "text"),
        ]);
        assert_eq!(tally.missing(), Vec::<String>::new());
        assert_eq!(
            tally.summary_lines(Some(80)),
            [
                " 400 ms  to the first token from an engine",
                "2.00 ms  from an exact hit, 200 times sooner",
                "2.00 ms  from a semantic hit, 200 times sooner",
                "    2/3  answers came from the cache: 80 tokens that no engine had to compute",
            ]
        );
    }

    #[test]
    fn a_kind_that_was_not_seen_is_named() {
        assert_eq!(
            tally([seen("a", Source::Miss, "text")]).missing(),
            ["no answer was a HIT", "no answer was a SEMANTIC_HIT"]
        );
    }

    #[test]
    fn a_hit_with_another_text_than_its_question_got_is_wrong() {
        let missing = tally([
            seen("a", Source::Miss, "text"),
            seen("b", Source::Miss, "other"),
            seen("a", Source::Hit, "other"),
            seen("c", Source::SemanticHit(0.9), "neither"),
        ])
        .missing();
        assert_eq!(missing.len(), 2, "{missing:?}");
        assert!(missing[0].starts_with("\"a\":") && missing[1].starts_with("\"c\":"));
    }

    #[test]
    fn an_error_status_is_wrong_and_counts_as_no_kind() {
        let mut refused = seen("a", Source::Miss, "no peer");
        if let Ok(answer) = &mut refused.answer {
            answer.status = 503;
        }
        let missing = tally([refused]).missing();
        assert_eq!(
            missing[..2],
            ["\"a\": status 503: no peer", "no answer was a MISS"]
        );
    }
}
