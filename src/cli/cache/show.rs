//! Answers of the admin API as people read them.

use std::fmt::Write;

use bytesize::ByteSize;
use serde_json::Value;

/// All caches, a line each.
pub(super) fn caches(answer: &Value) -> String {
    let mut rows =
        vec![["CACHE", "SCOPE", "ENTRIES", "BYTES", "OF", "HIT RATIO"].map(str::to_owned)];
    for (name, cache) in answer["caches"].as_object().into_iter().flatten() {
        rows.push([
            name.clone(),
            text(&cache["scope"]),
            text(&cache["entries"]),
            size(&cache["bytes"]),
            size(&cache["max_bytes"]),
            cache["hit_ratio"]
                .as_f64()
                .map_or_else(|| "-".to_owned(), |ratio| format!("{:.1} %", 100.0 * ratio)),
        ]);
    }
    table(&rows)
}

/// Entries of one cache, a line each.
pub(super) fn entries(answer: &Value) -> String {
    format!("{}{}", head(answer), listed(&answer["shown"]))
}

fn head(answer: &Value) -> String {
    format!(
        "{} entries, {}\n",
        text(&answer["entries"]),
        size(&answer["bytes"])
    )
}

fn listed(entries: &Value) -> String {
    let entries = entries.as_array().map(Vec::as_slice).unwrap_or_default();
    if entries.is_empty() {
        return String::new();
    }
    let mut rows =
        vec![["ID", "SCOPE", "ROUTE", "MODEL", "BYTES", "AGE", "LEFT"].map(str::to_owned)];
    for entry in entries {
        rows.push([
            text(&entry["id"]),
            text(&entry["scope"]),
            text(&entry["route"]),
            text(&entry["model"]),
            size(&entry["bytes"]),
            seconds(&entry["age_s"]),
            seconds(&entry["remaining_s"]),
        ]);
    }
    table(&rows)
}

/// One entry, a line a fact.
pub(super) fn entry(answer: &Value) -> String {
    facts(answer)
}

/// What a purge did, or would do.
pub(super) fn purge(answer: &Value) -> String {
    let mut shown = match answer["dry_run"].as_bool() {
        Some(false) => format!("purged: {}", head(answer)),
        _ => format!("would purge (do it with --yes): {}", head(answer)),
    };
    for (name, cache) in answer["caches"].as_object().into_iter().flatten() {
        let _ = write!(shown, "{name}: {}", head(cache));
        shown += &listed(&cache["some"]);
    }
    shown
}

/// Which epochs began.
pub(super) fn epoch(answer: &Value) -> String {
    let epochs = answer["epochs"].as_object().into_iter().flatten();
    epochs
        .map(|(name, epoch)| format!("{name}: epoch {epoch}\n"))
        .collect()
}

/// That feedback was taken.
pub(super) fn feedback(answer: &Value) -> String {
    let part = |name: &str| text(&answer[name]);
    format!("{}: {} is {}", part("cache"), part("id"), part("verdict"))
}

/// Precision against hit ratio, a table for each scope.
pub(super) fn curve(answer: &Value) -> String {
    let mut shown = String::new();
    let share = |value: &Value| match value.as_f64() {
        Some(share) => format!("{:.1} %", 100.0 * share),
        None => "-".to_owned(),
    };
    for scope in answer["scopes"].as_array().into_iter().flatten() {
        let part = |name: &str| text(&scope[name]);
        let serving = match scope["serving"] == true {
            true => "serving",
            false => "not serving",
        };
        let (of, route, labels) = (part("scope"), part("route"), part("labels"));
        let _ = writeln!(shown, "{of}, route {route}: {serving}, {labels} labels");
        let mut rows = vec![["HIT RATIO", "PRECISION", "AT LEAST", "LABELS"].map(str::to_owned)];
        for point in scope["curve"].as_array().into_iter().flatten() {
            rows.push([
                share(&point["hit_ratio"]),
                share(&point["precision"]),
                share(&point["precision_bound"]),
                text(&point["labels"]),
            ]);
        }
        shown += &table(&rows);
    }
    match shown.is_empty() {
        true => "nothing is known yet".to_owned(),
        false => shown,
    }
}

fn facts(value: &Value) -> String {
    let facts = value.as_object().into_iter().flatten();
    let facts: Vec<[String; 2]> = facts
        .map(|(name, value)| [name.clone(), text(value)])
        .collect();
    table(&facts)
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) if text.is_empty() => "-".to_owned(),
        // A terminal obeys what it is shown, and these are a client's words.
        Value::String(text) => {
            let seen = |c: char| !c.is_control() || c == '\n' || c == '\t';
            text.chars()
                .map(|c| if seen(c) { c } else { '?' })
                .collect()
        }
        other => other.to_string(),
    }
}

fn size(value: &Value) -> String {
    value.as_u64().map_or_else(
        || "-".to_owned(),
        |bytes| ByteSize(bytes).display().iec().to_string(),
    )
}

fn seconds(value: &Value) -> String {
    let seconds = value.as_u64().map(std::time::Duration::from_secs);
    seconds.map_or_else(
        || "-".to_owned(),
        |time| humantime::format_duration(time).to_string(),
    )
}

fn table<const N: usize>(rows: &[[String; N]]) -> String {
    let mut widths = [0; N];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let mut shown = String::new();
    for row in rows {
        let cells: Vec<String> = row
            .iter()
            .zip(widths)
            .map(|(cell, width)| format!("{cell:<width$}"))
            .collect();
        shown += cells.join("  ").trim_end();
        shown.push('\n');
    }
    shown
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn columns_stand_under_their_heads() {
        let shown = caches(&json!({ "caches": {
            "answers": { "scope": "key", "entries": 12, "bytes": 2048, "max_bytes": 1 << 20, "hit_ratio": 0.125 },
            "b": { "scope": "global", "entries": 0, "bytes": 0, "max_bytes": 1 << 20, "hit_ratio": null },
        } }));
        assert_eq!(
            shown,
            "CACHE    SCOPE   ENTRIES  BYTES    OF       HIT RATIO\n\
             answers  key     12       2.0 KiB  1.0 MiB  12.5 %\n\
             b        global  0        0 B      1.0 MiB  -\n"
        );
    }

    #[test]
    fn a_dry_run_says_what_to_do_next_and_a_purge_what_it_did() {
        let answer = |dry| json!({ "dry_run": dry, "entries": 1, "bytes": 10, "caches": { "a": { "entries": 1, "bytes": 10, "some": [{ "id": "x" }] } } });
        assert!(purge(&answer(true)).starts_with("would purge (do it with --yes): 1 entries"));
        assert!(purge(&answer(false)).starts_with("purged: 1 entries, 10 B\na: 1 entries"));
    }

    #[test]
    fn a_curve_is_a_table_for_each_scope() {
        let point =
            json!({ "hit_ratio": 0.25, "precision": 0.991, "precision_bound": 0.98, "labels": 40 });
        let scope = json!({ "scope": "global", "route": "chat", "serving": true, "labels": 90, "curve": [point] });
        assert_eq!(
            curve(&json!({ "scopes": [scope] })),
            "global, route chat: serving, 90 labels\n\
             HIT RATIO  PRECISION  AT LEAST  LABELS\n\
             25.0 %     99.1 %     98.0 %    40\n"
        );
        assert_eq!(curve(&json!({ "scopes": [] })), "nothing is known yet");
    }

    #[test]
    fn what_clients_wrote_cannot_speak_to_the_terminal() {
        assert!(!entry(&json!({ "question": "\u{1b}]0;owned\u{7}" })).contains('\u{1b}'));
    }
}
