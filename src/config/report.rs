//! The one place all steps write their complaints to.

use std::collections::HashSet;

use super::error::{ConfigError, ConfigErrors};
use super::locate::line_of;
use super::path::{At, Step};

/// More than anybody reads; a broken generator must not fill the log.
const KEPT: usize = 100;
/// Longest value that is repeated in a message, in characters.
const SHOWN: usize = 80;

/// Most bytes that are read again to find lines; a file that needs more is generated, and its lines help nobody.
const SEARCHED: usize = 64 << 20;

/// Complaints so far.
#[derive(Debug, Default)]
pub(super) struct Report {
    errors: Vec<(At, ConfigError)>,
    more: usize,
    bad: HashSet<String>,
    warnings: Vec<String>,
}

impl Report {
    /// A value that cannot be used.
    pub(super) fn error(
        &mut self,
        at: &At,
        value: Option<&str>,
        reason: impl Into<String>,
        hint: &str,
    ) {
        let path = at.to_string();
        self.bad.insert(path.clone());
        if self.errors.len() >= KEPT {
            self.more += 1;
            return;
        }
        let error = ConfigError {
            path,
            value: value.map(|value| match is_secret(at) {
                true => "***".to_owned(),
                false => shorten(value),
            }),
            reason: reason.into(),
            hint: (!hint.is_empty()).then(|| hint.to_owned()),
            line: None,
        };
        self.errors.push((at.clone(), error));
    }

    /// A file that cannot be read as YAML, from `place` on.
    pub(super) fn unreadable(&mut self, place: Option<(usize, usize)>, reason: String, hint: &str) {
        let path = match place {
            Some((line, column)) => format!("line {line}, column {column}"),
            None => "the file".to_owned(),
        };
        let hint = (!hint.is_empty()).then(|| hint.to_owned());
        let error = ConfigError {
            path,
            value: None,
            reason,
            hint,
            line: place.map(|(line, _)| line),
        };
        self.errors.push((At::top(), error));
    }

    /// Something that has to be there and is not. Silent where the value was there and already refused.
    pub(super) fn missing(&mut self, at: &At, reason: &str, hint: &str) {
        if !self.bad.contains(&at.to_string()) {
            self.error(at, None, reason, hint);
        }
    }

    /// Something that works and is probably not what was meant.
    pub(super) fn warn(&mut self, at: &At, text: impl AsRef<str>) {
        if self.warnings.len() < KEPT {
            self.warnings.push(format!("{at}: {}", text.as_ref()));
        }
    }

    pub(super) fn is_full(&self) -> bool {
        self.errors.len() >= KEPT
    }

    /// The warnings, or every error in the order of the file.
    pub(super) fn finish(self, text: &str) -> Result<Vec<String>, ConfigErrors> {
        match self.errors.is_empty() {
            true => Ok(self.warnings),
            false => Err(self.into_errors(text)),
        }
    }

    /// Every error in the order of the file.
    pub(super) fn into_errors(mut self, text: &str) -> ConfigErrors {
        let paths = self
            .errors
            .iter()
            .map(|(at, _)| at.steps().len())
            .sum::<usize>();
        let lines = paths.saturating_mul(text.len()) <= SEARCHED;
        for (at, error) in self.errors.iter_mut().filter(|_| lines) {
            error.line = error.line.or_else(|| line_of(text, at.steps()));
        }
        self.errors.sort_by_key(|(_, error)| error.line);
        let errors = self.errors.into_iter().map(|(_, error)| error).collect();
        ConfigErrors {
            errors,
            more: self.more,
        }
    }
}

/// Errors go to logs. Where a hash belongs people write the key itself, or under a key of their own invention.
fn is_secret(at: &At) -> bool {
    match at.steps() {
        [Step::Key(keys), rest @ ..] if keys == "keys" => {
            let open = ["name", "tenant", "tier", "key_file"];
            !matches!(rest, [Step::Index(_), Step::Key(key), ..] if open.contains(&key.as_str()))
        }
        _ => false,
    }
}

fn shorten(value: &str) -> String {
    let one_line = value
        .escape_debug()
        .to_string()
        .replace("\\\"", "\"")
        .replace("\\'", "'");
    if one_line.is_empty() {
        return "\"\"".to_owned();
    }
    match one_line.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}...", &one_line[..end]),
        None => one_line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_reads_path_value_reason_hint() {
        let mut report = Report::default();
        let at = At::top().key("pools").key("chat").key("weight");
        report.error(
            &at,
            Some("-2"),
            "must be greater than 0",
            "leave it out for 1",
        );
        let errors = report.finish("").unwrap_err();
        assert_eq!(
            errors.to_string(),
            "pools.chat.weight: -2: must be greater than 0 (leave it out for 1)"
        );
    }

    #[test]
    fn a_refused_value_is_not_also_called_missing() {
        let mut report = Report::default();
        let at = At::top().key("listen");
        report.error(&at, Some("5"), "must be a list", "");
        report.missing(&at, "is required", "");
        assert_eq!(report.finish("").unwrap_err().iter().count(), 1);
    }

    #[test]
    fn a_flood_of_errors_is_counted_not_kept() {
        let mut report = Report::default();
        (0..1000).for_each(|n| report.error(&At::top().index(n), None, "bad", ""));
        let errors = report.finish("").unwrap_err();
        assert_eq!(
            (errors.iter().count(), errors.left_off()),
            (KEPT, 1000 - KEPT)
        );
        assert!(errors.to_string().ends_with("and 900 more"));
    }

    #[test]
    fn a_long_or_many_lined_value_takes_one_short_line() {
        assert_eq!(shorten("a\nb"), "a\\nb");
        assert_eq!(shorten(""), "\"\"");
        assert_eq!(
            shorten(&"é".repeat(200)),
            format!("{}...", "é".repeat(SHOWN))
        );
    }
}
