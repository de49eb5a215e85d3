//! What was measured, as tables and as JSON.

use std::fmt::Write;
use std::path::Path;

use serde_json::{Value, json};

use crate::score::{CURVES, Score, area, curve};
use crate::sets::Set;
use crate::{Measured, plot};

/// A set's table in Markdown.
pub(crate) fn table(set: &Set, scores: &[Score]) -> String {
    let mut text = format!("### {}: {} questions\n\n", set.name, set.counted());
    text += "| way | hit ratio | by meaning | wrong per hit | wrong per request | shadowed |\n";
    text += "| --- | --- | --- | --- | --- | --- |\n";
    for score in scores {
        let wrong = score.wrong_per_hit().map_or("-".to_owned(), |wrong| {
            format!(
                "{:.2} % ({} of {})",
                wrong * 100.0,
                score.meaning_wrong,
                score.meaning
            )
        });
        let broken = match (score.is_above(), score.is_broken()) {
            (_, true) => " **promise broken**",
            (true, false) => " above the promise, within chance",
            (false, false) => "",
        };
        let _ = writeln!(
            text,
            "| {} | {:.4} | {:.4} | {wrong}{broken} | {:.3} % | {:.2} % |",
            score.way,
            score.hit_ratio(),
            score.by_meaning(),
            score.wrong_per_request() * 100.0,
            score.share_shadowed() * 100.0,
        );
    }
    text.push('\n');
    for (name, of) in CURVES {
        let points = curve(scores, of);
        if points.len() > 1 {
            let last = points.last().map_or(0.0, |last| last.0);
            let _ = writeln!(
                text,
                "Area under precision against hit ratio, {name}: {:.4} (up to {last:.3}).  ",
                area(&points)
            );
        }
    }
    text
}

/// Writes the tables, the figures and the curves into a folder.
pub(crate) fn write(folder: &Path, measured: &[Measured]) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    let mut tables = String::new();
    let mut figures = serde_json::Map::new();
    for Measured { set, scores } in measured {
        tables += &table(set, scores);
        tables.push('\n');
        figures.insert(
            set.name.clone(),
            Value::Array(scores.iter().map(figure).collect()),
        );
        std::fs::write(
            folder.join(format!("eval-cache-{}.svg", set.name)),
            plot::svg(&set.name, scores),
        )?;
    }
    std::fs::write(folder.join("eval-cache.md"), tables)?;
    std::fs::write(
        folder.join("eval-cache.json"),
        serde_json::to_string_pretty(&figures)? + "\n",
    )
}

fn figure(score: &Score) -> Value {
    json!({
        "way": score.way.to_string(), "asked": score.asked, "exact": score.exact, "meaning": score.meaning,
        "exact_wrong": score.exact_wrong, "meaning_wrong": score.meaning_wrong, "shadowed": score.shadowed,
        "requests": score.requests, "hit_ratio": score.hit_ratio(), "by_meaning": score.by_meaning(),
        "wrong_per_hit": score.wrong_per_hit(), "wrong_per_request": score.wrong_per_request(),
        "share_shadowed": score.share_shadowed(),
    })
}
