//! `${NAME}` and `${NAME:-default}` in values, `$${` for a literal `${`.
//!
//! Replaced in the parsed tree, not in the text: whatever a variable holds, it stays one value.

use serde_yaml::Value;

use super::path::At;
use super::report::Report;

/// Looks a variable up.
pub(super) type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Replaces variables in every value of the tree. A value that cannot be completed is reported and becomes null.
pub(super) fn replace(tree: &mut Value, env: Lookup<'_>, report: &mut Report) {
    walk(tree, &At::top(), env, report);
}

fn walk(value: &mut Value, at: &At, env: Lookup<'_>, report: &mut Report) {
    match value {
        Value::String(text) if text.contains("${") => match expand(text, env) {
            Ok(expanded) => *text = expanded,
            Err(problem) => {
                report.error(at, Some(text), problem.reason(), problem.hint());
                *value = Value::Null;
            }
        },
        Value::Sequence(items) => {
            for (n, item) in items.iter_mut().enumerate() {
                walk(item, &at.index(n), env, report);
            }
        }
        Value::Mapping(mapping) => {
            for (key, item) in mapping.iter_mut() {
                walk(item, &at.key(key.as_str().unwrap_or_default()), env, report);
            }
        }
        _ => {}
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Problem {
    Unset(String),
    Unclosed,
    BadName(String),
}

impl Problem {
    fn reason(&self) -> String {
        match self {
            Self::Unset(name) => format!("environment variable `{name}` is not set"),
            Self::Unclosed => "`${` without `}`".to_owned(),
            Self::BadName(name) => format!("`{name}` is not a variable name"),
        }
    }

    fn hint(&self) -> &'static str {
        match self {
            Self::Unset(_) => "set it, or give a default: ${NAME:-default}",
            Self::Unclosed => "write $${ for a literal ${",
            Self::BadName(_) => "letters, digits and _; write $${ for a literal ${",
        }
    }
}

fn expand(text: &str, env: Lookup<'_>) -> Result<String, Problem> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        let (before, after) = (&rest[..start], &rest[start + 2..]);
        if let Some(before) = before.strip_suffix('$') {
            out.push_str(before);
            out.push_str("${");
            rest = after;
            continue;
        }
        let end = after.find('}').ok_or(Problem::Unclosed)?;
        out.push_str(before);
        out.push_str(&variable(&after[..end], env)?);
        rest = &after[end + 1..];
    }
    out.push_str(rest);
    Ok(out)
}

fn variable(inside: &str, env: Lookup<'_>) -> Result<String, Problem> {
    let (name, default) = match inside.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (inside, None),
    };
    let first_is_letter = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    if !first_is_letter || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        return Err(Problem::BadName(name.to_owned()));
    }
    match (env(name), default) {
        (Some(value), Some(default)) if value.is_empty() => Ok(default.to_owned()),
        (Some(value), _) => Ok(value),
        (None, Some(default)) => Ok(default.to_owned()),
        (None, None) => Err(Problem::Unset(name.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn env(name: &str) -> Option<String> {
        match name {
            "PORT" => Some("8000".to_owned()),
            "EMPTY" => Some(String::new()),
            "EVIL" => Some("x\nadmin: {address: 0.0.0.0:1}\n${PORT}".to_owned()),
            _ => None,
        }
    }

    #[test]
    fn variables_defaults_and_escapes() {
        let cases = [
            ("127.0.0.1:${PORT}", "127.0.0.1:8000"),
            ("${NONE:-a:-b}/${PORT}", "a:-b/8000"),
            ("${EMPTY:-d}|${EMPTY}|${NONE:-}", "d||"),
            ("$${PORT} $5 $$", "${PORT} $5 $$"),
        ];
        for (text, expanded) in cases {
            assert_eq!(expand(text, &env).unwrap(), expanded);
        }
    }

    #[test]
    fn what_cannot_be_replaced_is_an_error() {
        assert_eq!(
            expand("${NONE}", &env),
            Err(Problem::Unset("NONE".to_owned()))
        );
        assert_eq!(expand("a ${PORT", &env), Err(Problem::Unclosed));
        assert_eq!(
            expand("${1A}", &env),
            Err(Problem::BadName("1A".to_owned()))
        );
        assert_eq!(expand("${}", &env), Err(Problem::BadName(String::new())));
    }

    #[test]
    fn a_variable_cannot_add_keys_or_variables() {
        let mut tree: Value = serde_yaml::from_str("name: ${EVIL}").unwrap();
        replace(&mut tree, &env, &mut Report::default());
        assert_eq!(tree["name"].as_str(), env("EVIL").as_deref());
        assert_eq!(tree.as_mapping().unwrap().len(), 1);
    }

    #[test]
    fn an_unset_variable_is_reported_with_its_path() {
        let mut tree: Value = serde_yaml::from_str("a: [{b: x}, {b: \"${NONE}\"}]").unwrap();
        let mut report = Report::default();
        replace(&mut tree, &env, &mut report);
        let errors = report.finish("").unwrap_err().to_string();
        assert!(
            errors.starts_with("a[1].b: ${NONE}: environment variable `NONE` is not set"),
            "{errors}"
        );
    }

    proptest! {
        #[test]
        fn text_without_a_dollar_is_left_as_it_is(text in "[^$]*") {
            prop_assert_eq!(expand(&text, &env).unwrap(), text);
        }

        #[test]
        fn an_escaped_text_comes_back_whole(text in "[a${}:-]*") {
            let escaped = text.replace("${", "$${");
            // "$" directly before an escape is itself read as the escape's dollar: the one form that cannot be written.
            prop_assume!(!text.contains("$${"));
            prop_assert_eq!(expand(&escaped, &env).unwrap(), text);
        }
    }
}
