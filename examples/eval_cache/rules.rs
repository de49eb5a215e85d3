//! What each rule of the guard costs and catches, among the hits of the lowest threshold without it.

use std::fmt::Write;

use tollgate::cache::guard::{Difference, Facts};

use crate::ask::{Kind, Outcome};
use crate::sets::Set;
use crate::way::Way;

/// Similarities from which on hits are looked at.
const FROM: [f64; 2] = [0.80, 0.90];

/// A table in Markdown.
pub(crate) fn table(set: &Set, ways: &[Way], answers: &[Vec<Outcome>]) -> String {
    let unguarded = |way: &Way| match way {
        Way::Threshold {
            least,
            guard: false,
        } => Some(*least),
        _ => None,
    };
    let lowest = ways
        .iter()
        .zip(answers)
        .filter_map(|(way, outcomes)| Some((unguarded(way)?, outcomes)))
        .min_by(|a, b| a.0.total_cmp(&b.0));
    let Some((_, outcomes)) = lowest else {
        return "No threshold without the guard was measured.\n".to_owned();
    };
    let mut text = String::new();
    for from in FROM {
        let hits: Vec<(bool, Facts, Facts)> = set
            .questions
            .iter()
            .zip(outcomes)
            .filter(|(question, outcome)| {
                question.counts && matches!(outcome.kind, Kind::Meaning(s) if s >= from)
            })
            .filter_map(|(question, outcome)| {
                let stored = set.questions.get(outcome.made_for)?;
                Some((
                    outcome.right,
                    Facts::of(&question.text),
                    Facts::of(&stored.text),
                ))
            })
            .collect();
        let of = |right: bool| hits.iter().filter(|hit| hit.0 == right).count();
        let (right, wrong) = (of(true), of(false));
        let _ = writeln!(
            text,
            "#### {}: the guard on {right} right and {wrong} wrong hits from {from:.2} on\n",
            set.name
        );
        text += "| rule | right ones lost | wrong ones caught |\n| --- | --- | --- |\n";
        let mut row = |name: &str, differ: &dyn Fn(&Facts, &Facts) -> bool| {
            let caught = |which: bool| {
                hits.iter()
                    .filter(|hit| hit.0 == which && differ(&hit.1, &hit.2))
                    .count()
            };
            let (lost, caught) = (caught(true), caught(false));
            let percent = |part: usize, of: usize| 100.0 * part as f64 / of.max(1) as f64;
            let _ = writeln!(
                text,
                "| {name} | {:.1} % ({lost}) | {:.1} % ({caught}) |",
                percent(lost, right),
                percent(caught, wrong)
            );
        };
        for rule in Difference::ALL {
            row(rule.name(), &|a, b| a.differs(b, rule));
        }
        row("all", &|a, b| a.same(b).is_err());
        text.push('\n');
    }
    if let Ok(rule) = std::env::var("EVAL_CACHE_SHOW") {
        show(&mut text, set, outcomes, &rule);
    }
    text
}

/// Each hit that a rule refuses, for whoever tunes it.
fn show(text: &mut String, set: &Set, outcomes: &[Outcome], rule: &str) {
    for (question, outcome) in set.questions.iter().zip(outcomes) {
        let Kind::Meaning(similarity) = outcome.kind else {
            continue;
        };
        let Some(stored) = set.questions.get(outcome.made_for) else {
            continue;
        };
        let (a, b) = (Facts::of(&question.text), Facts::of(&stored.text));
        let found = Difference::ALL
            .into_iter()
            .find(|known| known.name() == rule && a.differs(&b, *known));
        let passes = rule == "passes" && a.same(&b).is_ok();
        if found.is_some() || passes {
            let verdict = if outcome.right { "right" } else { "WRONG" };
            let _ = writeln!(
                text,
                "{verdict} {similarity:.3} {:?} / {:?}",
                question.text, stored.text
            );
        }
    }
}
